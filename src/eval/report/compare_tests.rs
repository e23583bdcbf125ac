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
    assert!(of(|m| m.cases[0].photographs = "00".into()).contains("photographs"));
    assert!(of(|m| m.definitions.ssim = "uniform".into()).contains("SSIM is another figure"));
    assert!(of(|m| drop(m.cases[2].images.pop())).contains("expected image image001 of the baseline, found none"));
    assert!(of(|m| m.cases.clear()).contains("found none of them here"));
    assert!(of(|m| m.models[0].sha256 = "00".into()).is_empty(), "another model is what one compares");
    assert!(of(|m| drop(m.cases.pop())).is_empty(), "fewer cases may be compared");
    let mut part = testing::metrics();
    part.cases.iter_mut().for_each(|case| case.images.clear());
    let found = compare(&testing::metrics(), &part, &USUAL);
    assert!(found.compared == 0 && !found.failures.is_empty(), "a part without images compares with nothing");
}

/// LPIPS by other weights, or of colours in another range, is another figure; without it on one side there is none.
#[test]
fn lpips_is_compared_where_it_is_the_same() {
    let with = |name: Option<&str>, value: f64| {
        let mut metrics = changed(|s| s.lpips = name.map(|_| value));
        metrics.settings.lpips = name.map(str::to_owned);
        metrics
    };
    let found = |new, old| compare(&new, &old, &USUAL);
    let same = found(with(Some("vgg, a"), 0.2), with(Some("vgg, a"), 0.3));
    assert!(same.failures.iter().any(|f| f.contains("LPIPS 0.3000 within 0.005, found 0.2000, better")), "{same:?}");
    let other = found(with(Some("vgg, b"), 0.2), with(Some("vgg, a"), 0.2));
    assert!(other.failures.iter().any(|f| f.contains("LPIPS is another figure")), "{other:?}");
    for (new, old, side) in [(None, Some("vgg, a"), "this run"), (Some("vgg, a"), None, "the baseline")] {
        let none = found(with(new, 0.2), with(old, 0.2));
        assert!(none.failures.is_empty() && none.words.contains(&format!("{side} has none")), "{none:?}");
    }
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
    // Another device is slower for reasons of its own.
    let mut elsewhere = slower;
    elsewhere.latencies.iter_mut().for_each(|latency| latency.device = "abacus".into());
    let found = failures(&elsewhere, &timed);
    assert!(!found.is_empty() && found.iter().all(|f| f.contains("time on abacus") && f.ends_with("found none")));
    let words = compare(&elsewhere, &testing::metrics(), &USUAL).words;
    assert!(!words.contains(" %)"), "{words}");
}
