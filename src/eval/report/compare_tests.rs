use super::super::testing;
use super::*;

const STRICT: Tolerance = Tolerance { psnr: 0.0, likeness: 0.0, time: None, allow_better: false };
const USUAL: Tolerance = Tolerance { psnr: 0.1, likeness: 0.005, time: None, allow_better: false };

fn failures(new: &Metrics, tolerance: &Tolerance) -> Vec<String> {
    compare(new, &testing::metrics(), tolerance).failures
}

/// The same figures, with the last image of the last case changed.
fn changed(change: impl Fn(&mut Scores)) -> Metrics {
    let mut metrics = testing::metrics();
    change(&mut metrics.cases.last_mut().unwrap().images.last_mut().unwrap().scores);
    metrics
}

#[test]
fn the_same_is_the_same() {
    let metrics = testing::metrics();
    let found = compare(&metrics, &metrics, &STRICT);
    assert_eq!((found.failures.len(), found.compared), (0, metrics.cases.len()));
    assert!(found.words.contains("(+0.000)") && found.words.lines().all(|line| line.chars().count() <= 140));
}

#[test]
fn one_image_is_enough() {
    for sign in [1.0, -1.0] {
        let moved = changed(|s| s.psnr += 0.2 * sign);
        let found = failures(&moved, &USUAL);
        assert_eq!(found.len(), 1, "the mean of three moves less than 0.1: {found:?}");
        let wanted = if sign > 0.0 { "better by 0.2000" } else { "worse by 0.2000" };
        assert!(found[0].contains("PSNR") && found[0].contains("image002") && found[0].contains(wanted), "{found:?}");
        let better = Tolerance { allow_better: true, ..USUAL };
        assert_eq!(failures(&moved, &better).is_empty(), sign > 0.0);
    }
    assert_eq!(failures(&changed(|s| s.psnr -= 9.0), &USUAL).len(), 2, "image and mean");
    assert!(failures(&changed(|s| s.psnr -= 0.09), &USUAL).is_empty());
    assert!(failures(&changed(|s| s.flip += 0.006), &USUAL)[0].contains("FLIP"));
    assert!(failures(&changed(|s| s.ssim -= 0.006), &USUAL)[0].contains("SSIM"));
    assert!(!failures(&changed(|s| s.psnr = f64::NAN), &USUAL).is_empty());
}

#[test]
fn figures_that_cannot_be_compared_are_failures() {
    let of = |change: fn(&mut Metrics)| {
        let mut metrics = testing::metrics();
        change(&mut metrics);
        failures(&metrics, &USUAL).join("\n")
    };
    assert!(of(|m| m.cases[0].samples = 48).contains("expected samples as in the baseline, 192, found 48"));
    assert!(of(|m| m.cases[0].size = [31, 33]).contains("images of the size"));
    assert!(of(|m| m.scenes[0].sha256 = "00".into()).contains("photographs"));
    assert!(of(|m| m.definitions.ssim = "uniform".into()).contains("SSIM is another figure"));
    assert!(of(|m| drop(m.cases[2].images.pop())).contains("expected image image001 of the baseline, found none"));
    assert!(of(|m| m.cases.clear()).contains("found none of them here"));
    assert!(of(|m| m.models[0].sha256 = "00".into()).is_empty(), "another model is what one compares");
    assert!(of(|m| drop(m.cases.pop())).is_empty(), "fewer cases may be compared");
}

#[test]
fn times_count_where_a_ratio_is_given() {
    let mut slower = testing::metrics();
    slower.latencies.iter_mut().for_each(|latency| latency.median *= 1.5);
    assert!(failures(&slower, &USUAL).is_empty());
    let timed = Tolerance { time: Some(1.2), ..USUAL };
    assert_eq!(failures(&slower, &timed).len(), slower.latencies.len());
    let mut faster = testing::metrics();
    faster.latencies.iter_mut().for_each(|latency| latency.median /= 1.5);
    assert!(!failures(&faster, &timed).is_empty());
    assert!(failures(&faster, &Tolerance { allow_better: true, ..timed }).is_empty());
}
