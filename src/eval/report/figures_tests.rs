use super::*;
use crate::report::testing;

#[test]
fn numbers_are_written_for_readers() {
    for (value, wanted) in [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (0.012345, "0.0123"),
        (-1234.5, "-1,234"),
        (12.345, "12.3"),
        (1234567.0, "1,234,567"),
        (1e-9, "1.00e-9"),
        (f64::NAN, "–"),
        (f64::NEG_INFINITY, "–"),
        (3e20, "3.00e20"),
    ] {
        assert_eq!(significant(value), wanted, "{value}");
    }
    assert_eq!([fixed(-0.001, 2), fixed(-0.0, 1), fixed(f64::NAN, 2)], ["0.00", "0.0", "–"]);
    assert_eq!([fixed(12345.678, 2), fixed(-0.5, 2), fixed(999.0, 0)], ["12,345.68", "-0.50", "999"]);
    assert_eq!([si(999.0), si(1500.0), si(2.5e9), si(0.0)], ["999", "1.50 k", "2.50 G", "0"]);
    assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(3 << 30)], ["0 B", "1023 B", "1.00 KiB", "3.00 GiB"]);
    assert_eq!([count(1, "view"), count(0, "view"), count(1234, "view")], ["1 view", "0 views", "1,234 views"]);
    assert_eq!(whole(u64::MAX), "18,446,744,073,709,551,615");
}

#[test]
fn long_names_are_cut_between_characters() {
    assert_eq!([short("ä-öü", 4), short("ä-öü", 3), short("", 0), short("ab", 1)], ["ä-öü", "ä-…", "", "…"]);
    assert_eq!(short("a\nb\u{1b}[31m", 20), "a�b�[31m");
}

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
