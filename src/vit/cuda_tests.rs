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

#[test]
fn logits_are_those_of_the_processor() {
    for config in configs() {
        let case = Case::new(config, 2);
        let mut classifier = CudaClassifier::new(&kernels_host::device(), &case.model, &case.params).unwrap();
        assert_near(&config, &classifier.classify(2, &case.x).unwrap(), &case);
        let usages = case.model.usage(&case.tape).into_iter().map(|usage| usage.counts.map(|n| n as u64));
        let counts: Vec<[u64; 2]> = usages.filter(|[multiply, shift]| multiply + shift > 0).collect();
        assert_eq!(classifier.expert_counts(), counts, "{config:?}");
        // What a pass leaves is no part of the next.
        assert_near(&config, &classifier.classify(2, &case.x).unwrap(), &case);
    }
}

#[test]
fn few_images_at_a_time_where_memory_is_short() {
    let config = configs()[0];
    let case = Case::new(config, 5);
    let bytes = 4 * case.model.folded.len() as u64;
    let classify = |memory: u64| {
        let device = kernels_host::device_with_memory(memory);
        let mut classifier = CudaClassifier::new(&device, &case.model, &case.params)?;
        let logits = classifier.classify(5, &case.x)?;
        Ok::<_, crate::Error>((logits, classifier.images_at_once()))
    };
    let (logits, images) = classify(bytes + (1 << 19)).unwrap();
    assert_near(&config, &logits, &case);
    assert!((1..5).contains(&images), "{images}");
    let problem = classify(bytes + (1 << 12)).unwrap_err().to_string();
    assert!(problem.contains("memory"), "{problem}");
}
