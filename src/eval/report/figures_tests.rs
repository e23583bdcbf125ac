use super::*;
use crate::report::testing;

#[test]
fn rows_join_cases_and_times() {
    let metrics = testing::metrics();
    let rows = rows(&metrics);
    assert_eq!(rows.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(), [testing::DENSE, testing::MIXED]);
    let [dense, mixed] = &rows[..] else { panic!("expected two rows, found {}", rows.len()) };
    assert_eq!([dense.cases.len(), dense.latencies.len(), mixed.cases.len(), mixed.latencies.len()], [3, 3, 3, 2]);
    assert!(!dense.is_mixed() && mixed.is_mixed(), "one case of the second has no times");
    // The scenes have 1, 2 and 3 images, at 2, 3 and 4 seconds.
    let [scenes, images] = [dense.over_scenes(), dense.over_images()];
    assert_eq!([scenes.median, images.median], [Some(3.0), Some(20.0 / 6.0)]);
    assert_eq!([scenes.measured, images.measured], [Some(30.0), Some(200.0 / 6.0)]);
    assert_eq!(mixed.over_scenes().measured, None);
    assert_eq!(scenes.scores, dense.summary.mean_over_scenes);
}

#[test]
fn times_of_two_devices_are_not_added() {
    let mut metrics = testing::metrics();
    metrics.latencies[2].device = "cuda:0".into();
    let rows = rows(&metrics);
    assert!(rows[0].is_mixed());
    assert_eq!([rows[0].over_scenes().median, rows[0].device().map(|_| 0.0)], [None, None]);
    assert!(rows[0].over_scenes().modelled.is_some());
}

#[test]
fn means_over_unlike_images_are_not_compared() {
    let metrics = testing::metrics();
    let of = |metrics: &Metrics| comparable(&rows(metrics).iter().collect::<Vec<_>>());
    assert!(of(&metrics) && comparable(&[]));
    let mut fewer = metrics.clone();
    fewer.cases.pop();
    assert!(!of(&fewer), "one lacks a scene");
    let mut fewer = metrics.clone();
    fewer.cases[4].images.pop();
    assert!(!of(&fewer), "one lacks an image");
    // Cases in another order cover the same.
    let mut turned = metrics;
    turned.cases.reverse();
    assert!(of(&turned));
}

#[test]
fn labels_tell_views_and_splits_apart() {
    let metrics = testing::few_views();
    let labels: Vec<String> = rows(&metrics).into_iter().map(|r| r.label).collect();
    assert_eq!(labels[0], format!("{}, 1 view, held-out", testing::DENSE));
    assert_eq!(distinct(&labels).len(), labels.len());
}

#[test]
fn best_values_are_marked() {
    let line = |psnr: f64, median: Option<f64>| Line {
        scores: Scores { psnr, ..Scores::default() },
        median,
        ..Line::default()
    };
    let marks = |column: &Column, lines: &[Line]| column.cells(lines).into_iter().map(|c| c.1).collect::<Vec<_>>();
    let lines = [line(20.0, None), line(25.001, Some(3.0)), line(25.002, Some(2.0)), line(f64::NAN, Some(f64::NAN))];
    assert_eq!(marks(&COLUMNS[0], &lines), [false, true, true, false], "equal as printed");
    assert_eq!(marks(&COLUMNS[4], &lines), [false, false, true, false]);
    assert_eq!(COLUMNS[4].cells(&lines)[0], (NONE.to_owned(), false));
    assert_eq!(marks(&COLUMNS[0], &lines[..1]), [false], "nothing to compare with");
    assert_eq!(marks(&COLUMNS[0], &lines[1..3]), [false, false], "all alike");
    assert_eq!(marks(&COLUMNS[2], &lines), [false; 4]);
    assert!(COLUMNS[0].cells(&[]).is_empty());
}
