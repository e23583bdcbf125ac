//! Classifiers on the emulated device against the training pass.

use super::*;
use crate::Config;
use crate::testing::{Case, configs};

/// Largest distance of a logit, as a part of the greatest.
const NEAR: f32 = 1e-4;

fn assert_near(config: &Config, found: &[f32], case: &Case) {
    assert_eq!(found.len(), case.logits.len());
    for (a, b) in found.iter().zip(&case.logits) {
        assert!((a - b).abs() <= NEAR * case.largest(), "{config:?}: {a} {b}");
    }
}

/// Tokens of each expert in the training pass.
fn counts(case: &Case) -> Vec<[u64; 2]> {
    let usages = case.model.usage(&case.tape).into_iter().map(|usage| usage.counts.map(|n| n as u64));
    usages.filter(|[multiply, shift]| multiply + shift > 0).collect()
}

#[test]
fn logits_are_those_of_the_processor() {
    for config in configs() {
        let cases = [3, 1, 2].map(|images| Case::new(config, images));
        let mut classifier = CudaClassifier::new(&kernels_host::device(), &cases[0].model, &cases[0].params).unwrap();
        // What a pass leaves is no part of the next, whose images are fewer or more.
        for (case, images) in cases.iter().zip([3, 1, 2]) {
            let found = classifier.classify(images, &case.x).unwrap();
            assert_near(&config, &found.logits, case);
            assert_eq!(found.counts, counts(case), "{config:?}");
        }
    }
}

#[test]
fn few_images_at_a_time_where_memory_is_short() {
    // With experts, whose rows are counted once though passes fail.
    let config = configs()[1];
    let case = Case::new(config, 5);
    let bytes = 4 * case.model.folded.len() as u64;
    let classify = |memory: u64| {
        let device = kernels_host::device_with_memory(memory);
        let mut classifier = CudaClassifier::new(&device, &case.model, &case.params)?;
        let found = classifier.classify(5, &case.x)?;
        Ok::<_, crate::Error>((found, classifier.images_at_once()))
    };
    let (found, images) = classify(bytes + (1 << 19)).unwrap();
    assert_near(&config, &found.logits, &case);
    assert_eq!(found.counts, counts(&case));
    assert!((1..5).contains(&images), "{images}");
    let problem = classify(bytes + (1 << 12)).unwrap_err().to_string();
    assert!(problem.contains("memory"), "{problem}");
}
