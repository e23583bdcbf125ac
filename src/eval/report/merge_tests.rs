use super::super::data::{CommandRun, Shard};
use super::super::testing;
use super::*;

/// The part of `whole` that has the images for which `keep(case, image)`.
fn part(whole: &Metrics, (index, count): (u32, u32), keep: impl Fn(usize, u32) -> bool) -> (String, Metrics) {
    let mut part = whole.clone();
    for (number, case) in part.cases.iter_mut().enumerate() {
        case.images.retain(|image| keep(number, image.index));
        let left: Vec<u32> = case.images.iter().map(|image| image.index).collect();
        for latency in part.latencies.iter_mut().filter(|latency| latency.key == case.key) {
            latency.images.retain(|image| left.contains(&image.index));
        }
    }
    part.shard = Some(Shard { index, count });
    part.runs = vec![CommandRun { shard: part.shard, ..whole.runs[0].clone() }];
    part.latencies.retain(|latency| !latency.images.is_empty());
    finish(&mut part);
    (format!("part-{index}"), part)
}

/// Metrics as a run leaves them.
fn whole() -> Metrics {
    let mut whole = testing::metrics();
    finish(&mut whole);
    whole
}

/// Whatever lies where, and in whatever order the parts come.
#[test]
fn parts_give_the_whole_again() {
    let whole = whole();
    let json = |metrics: &Metrics| serde_json::to_string_pretty(metrics).unwrap();
    type Keep = fn(usize, u32) -> bool;
    let ways: [[Keep; 3]; 3] = [
        [|_, i| i % 3 == 0, |_, i| i % 3 == 1, |_, i| i % 3 == 2],
        [|c, _| c < 1, |c, _| c == 1, |c, _| c > 1],
        [|_, _| false, |_, _| true, |_, _| false],
    ];
    for way in ways {
        let part = |i: u32| part(&whole, (i, 3), way[i as usize - 1]);
        for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
            let mut merged = merge(&order.map(part)).unwrap();
            assert_eq!((merged.shard, merged.runs.len()), (None, 3));
            merged.runs.clone_from(&whole.runs);
            // Costs are the caller's to fill in; here they were never changed.
            assert_eq!(json(&merged), json(&whole));
        }
    }
}

#[test]
fn times_of_one_case_are_pooled() {
    let whole = whole();
    let mut again = whole.clone();
    again.latencies.iter_mut().flat_map(|l| &mut l.images).for_each(|image| image.seconds = vec![5.0; 3]);
    let merged = merge(&[("a".into(), whole.clone()), ("b".into(), again.clone())]).unwrap();
    assert_eq!(merged.latencies[0].timed, 4 * whole.latencies[0].timed);
    again.latencies.iter_mut().for_each(|l| l.device = "cuda:0".into());
    let merged = merge(&[("a".into(), whole.clone()), ("b".into(), again)]).unwrap();
    assert_eq!(merged.latencies.len(), 2 * whole.latencies.len(), "devices stay apart");
    assert_eq!(merged.latencies[0].key, merged.latencies[1].key, "side by side");
}

#[test]
fn what_does_not_fit_is_named() {
    let whole = whole();
    let [a, b] = [1, 2].map(|i| part(&whole, (i, 2), move |_, image| image % 2 == i - 1));
    let fails = |parts: &[(String, Metrics)], wanted: &[&str]| {
        let problem = merge(parts).unwrap_err();
        wanted.iter().for_each(|text| assert!(problem.contains(text), "expected {text:?} in {problem}"));
    };
    fails(&[], &["found none"]);
    fails(std::slice::from_ref(&a), &["expected all images", "flower", "1 of 2", "part 2/2"]);
    type Change = fn(&mut Metrics);
    let changes: [(Change, &str); 6] = [
        (|m| m.settings.samples = Some(7), "settings"),
        (|m| m.models[0].sha256 = "00".into(), "models"),
        (|m| m.scenes[1].sha256 = "00".into(), "scenes"),
        (|m| m.definitions.ssim = "another".into(), "definitions"),
        (|m| drop(m.cases.pop()), "cases"),
        (|m| m.cases[0].precision = "bf16".into(), "precision"),
    ];
    for (change, wanted) in changes {
        let mut other = b.clone();
        change(&mut other.1);
        fails(&[a.clone(), other], &["part-2", wanted]);
    }
    let mut other = whole.clone();
    other.cases[0].images[0].scores.psnr += 1e-9;
    fails(&[("a".into(), whole), ("b".into(), other)], &["b: fern", "image000", "PSNR"]);
}
