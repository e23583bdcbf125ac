//! Multiplications of a network, counted from its sizes.

use gnt::{Config, Head, Start};
use serde::Serialize;

/// Multiply-accumulate operations for one ray, for all samples and source views. Normalisations, softmax, encodings
/// and look-ups are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Tokens from colours and features.
    pub tokens: u64,
    /// State of the samples before the first block.
    pub start: u64,
    /// Attention over views: what is computed for each sample and view.
    pub view_attention: u64,
    /// Attention over views: queries and outputs.
    pub view_query: u64,
    /// Feed-forward part of the view blocks.
    pub view_feed_forward: u64,
    /// Position layers.
    pub position: u64,
    /// Attention along the ray: queries, keys, values and outputs.
    pub ray_linear: u64,
    /// Attention along the ray: scores and their use.
    pub ray_attention: u64,
    /// Feed-forward part of the ray blocks.
    pub ray_feed_forward: u64,
    /// Colour.
    pub head: u64,
}

impl Cost {
    /// Operations of the network as checkpoints describe it.
    pub fn plain(config: &Config, samples: usize, views: usize) -> Self {
        let [c, h, f] = [config.width, config.attention_hidden, config.features.channels].map(|n| n as u64);
        let encoding = config.position.channels() as u64;
        let parts = Parts {
            token: (3 + f) * c + c * c,
            // Key and value, encoded direction, logits, and the weighted sum of values.
            view: 2 * c * c + (4 * h + h * c) + (c * h + h * c) + c,
            query: c * c,
            encoding: samples as u64 * encoding * c,
        };
        Self::count(config, samples, views, parts)
    }

    /// Operations that are left after folding, of samples that all views see. The part that is done once a source view,
    /// on its feature map, is not a ray's.
    pub fn folded(config: &Config, samples: usize, views: usize) -> Self {
        let [c, h] = [config.width, config.attention_hidden].map(|n| n as u64);
        let (sample, all) = (config.position.sample_channels() as u64, config.position.channels() as u64);
        let parts = Parts {
            token: 3 * c + c * c,
            // Token and hidden direction become value and hidden logits in one product.
            view: 4 * h + (c + h) * (c + h) + h * c + c,
            query: c * h,
            encoding: (samples as u64 * sample + (all - sample)) * c,
        };
        Self::count(config, samples, views, parts)
    }

    fn count(config: &Config, samples: usize, views: usize, parts: Parts) -> Self {
        let [c, s, v, depth, ratio] = [config.width, samples, views, config.depth, config.mlp_ratio].map(|n| n as u64);
        let feed_forward = depth * s * 2 * c * ratio * c;
        let blend = match config.head {
            Head::Mean => 0,
            // Hidden layer of width C/2 on token, direction and state, its logits, and two weighted sums.
            Head::Blend => {
                let k = c / 2;
                s * v * (c * k + 4 * k + k + 3) + s * (c * k + c + c + 3)
            }
        };
        Self {
            tokens: s * v * parts.token,
            start: if config.start == Start::Stats { s * 2 * c * c } else { 0 },
            view_attention: depth * s * v * parts.view,
            view_query: depth * s * (parts.query + c * c),
            view_feed_forward: feed_forward,
            // Every second block has a position layer, the first included.
            position: depth.div_ceil(2) * (s * 2 * c * c + parts.encoding),
            ray_linear: depth * s * 4 * c * c,
            ray_attention: depth * 2 * s * s * c,
            ray_feed_forward: feed_forward,
            head: 3 * c + blend,
        }
    }

    /// Names and numbers, in the order in which a ray meets them.
    pub fn parts(&self) -> [(&'static str, u64); 10] {
        [
            ("tokens", self.tokens),
            ("start", self.start),
            ("view attention", self.view_attention),
            ("view query, output", self.view_query),
            ("view feed-forward", self.view_feed_forward),
            ("position", self.position),
            ("ray linear", self.ray_linear),
            ("ray attention", self.ray_attention),
            ("ray feed-forward", self.ray_feed_forward),
            ("head", self.head),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.parts().iter().map(|(_, operations)| operations).sum()
    }
}

/// What differs between the plain and the folded network.
struct Parts {
    /// For each sample and view.
    token: u64,
    /// For each block, sample and view.
    view: u64,
    /// For each block and sample.
    query: u64,
    /// For each position layer and ray.
    encoding: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mega(operations: u64) -> f64 {
        operations as f64 / 1e6
    }

    /// Counts by layer hooks on the official modules, with ten views; rounded to 0.1 there.
    #[test]
    fn agrees_with_counts_of_the_official_code() {
        for (depth, samples, total) in [(8, 64, 108.9), (8, 192, 351.7), (4, 64, 56.5), (4, 192, 181.9)] {
            let found = mega(Cost::plain(&Config::official(depth), samples, 10).total());
            assert!((found - total).abs() < 0.1, "depth {depth}, {samples} samples: expected {total}, found {found}");
        }
        let cost = Cost::plain(&Config::official(8), 192, 10);
        let parts = [
            (cost.view_feed_forward, 50.3),
            (cost.view_query, 12.6),
            (cost.position, 12.5),
            (cost.ray_linear, 25.2),
            (cost.ray_feed_forward, 50.3),
            (cost.ray_attention, 37.7),
            (cost.tokens, 12.2),
        ];
        for (found, expected) in parts {
            assert!((mega(found) - expected).abs() < 0.051, "expected {expected}, found {}", mega(found));
        }
    }

    /// The view part loses 41 %, the whole ray at least 18 %; folding queries and features adds to that.
    #[test]
    fn folding_saves_what_it_promises() {
        let config = Config::official(8);
        let (plain, folded) = (Cost::plain(&config, 192, 10), Cost::folded(&config, 192, 10));
        let view = 1.0 - folded.view_attention as f64 / plain.view_attention as f64;
        let whole = 1.0 - folded.total() as f64 / plain.total() as f64;
        assert!((0.38..0.42).contains(&view), "{view}");
        assert!((0.18..0.25).contains(&whole), "{whole}");
        assert_eq!(folded.ray_attention, plain.ray_attention);
    }

    #[test]
    fn one_view_and_two_samples_are_counted_too() {
        let cost = Cost::folded(&Config::compact(), 2, 1);
        assert!(cost.start > 0 && cost.total() > cost.head);
        let (one, two) = (Cost::plain(&Config::compact(), 33, 1), Cost::plain(&Config::compact(), 33, 2));
        assert_eq!(two.view_attention, 2 * one.view_attention);
        assert_eq!(two.view_query, one.view_query);
    }
}
