use super::{CompactScratch, CompactTape};
use crate::config::CompactConfig;
use crate::model::Net;
use crate::{Config, Model};
use compute::Products;
use layers::params::SplitMix;

fn small() -> CompactConfig {
    CompactConfig {
        image_size: 8,
        classes: 3,
        stem: [8, 16],
        width: 16,
        depth: 2,
        heads: 2,
        ..CompactConfig::embedded()
    }
}

/// What is done to one image does not depend on the others.
#[test]
fn images_do_not_see_one_another() {
    let model = Model::new(Config::Compact(small()), Products::F32).unwrap();
    let Net::Compact(net) = &model.net else { panic!() };
    let folded = model.fold(&model.layout.initialise(3));
    let mut rng = SplitMix(8);
    let x: Vec<f32> = (0..2 * 8 * 8 * 3).map(|_| 2.0 * rng.uniform() - 1.0).collect();
    let (mut tape, mut scratch) = (CompactTape::default(), CompactScratch::default());
    net.forward(&folded, 2, &x, None, &mut tape, &mut scratch);
    let both = tape.logits.clone();
    net.forward(&folded, 1, &x[8 * 8 * 3..], None, &mut tape, &mut scratch);
    for (a, b) in both[3..].iter().zip(&tape.logits) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}
