//! The operations of a whole network, from its sizes: what is reported as its cost and what energy is modelled from.
//!
//! What is done once a source view, on its feature map, is not a ray's: the feature network, the first layer of the
//! tokens' features, and the key codes of the view attention; their weights are counted.
//!
//! Hamming attention is counted by its definition. A processor whose multiplications cost no more than its additions may
//! weight values one by one instead of summing them by score first, and the program's kernels do.

#[cfg(test)]
mod tests;

use crate::{Config, FeedForwardKind, Head, LinearKind, RayAttentionKind, Start, ViewAttentionKind};
use layers::operations::{Part, RaySize, Step, elementwise, linear};
use layers::view_attention::subtraction;

/// The dense network of `config`'s sizes as checkpoints describe it.
pub fn plain(config: &Config, samples: usize, views: usize) -> Vec<Step> {
    Network { config: &dense(config), form: Form::Plain, ray: RaySize::new(samples, views), shift_shares: &[] }.steps()
}

/// The dense network of `config`'s sizes as the program runs it, folded.
pub fn folded(config: &Config, samples: usize, views: usize) -> Vec<Step> {
    Network { config: &dense(config), form: Form::Folded, ray: RaySize::new(samples, views), shift_shares: &[] }.steps()
}

/// The network of `config` as the program runs it. `shift_shares` are the shares of the rows, from 0 to 1, that routers
/// send to the experts of shifts: one for each feed-forward part in the order in which the engine meets them, view and ray
/// part of block 0, of block 1, and so on. Networks without experts do not look at them.
///
/// # Panics
/// If a network with experts gets another number of shares, or one that is no share.
pub fn of_network(config: &Config, samples: usize, views: usize, shift_shares: &[f64]) -> Vec<Step> {
    if matches!(config.mlp, FeedForwardKind::Experts { .. }) {
        let expected = num_feed_forward_parts(config);
        assert_eq!(shift_shares.len(), expected, "shares of the shift experts, one a feed-forward part");
        let wrong = shift_shares.iter().find(|share| !(0.0..=1.0).contains(*share));
        assert!(wrong.is_none(), "share of a shift expert: 0 to 1, found {wrong:?}");
    }
    Network { config, form: Form::Folded, ray: RaySize::new(samples, views), shift_shares }.steps()
}

/// How many feed-forward parts a network has: two a block.
pub fn num_feed_forward_parts(config: &Config) -> usize {
    2 * config.depth
}

/// The dense network of the same sizes.
fn dense(config: &Config) -> Config {
    Config {
        view_attention: ViewAttentionKind::Subtract,
        ray_attention: RayAttentionKind::Softmax,
        linears: LinearKind::Dense,
        mlp: FeedForwardKind::Dense,
        ..*config
    }
}

/// How the layers are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One after the other, as they are published.
    Plain,
    /// With layers that follow each other made one.
    Folded,
}

/// A network whose steps are listed.
struct Network<'a> {
    config: &'a Config,
    form: Form,
    ray: RaySize,
    shift_shares: &'a [f64],
}

impl Network<'_> {
    fn steps(&self) -> Vec<Step> {
        let shape = &self.config.block_shape();
        let (c, s) = (self.width(), self.ray.samples);
        let mut steps = self.tokens();
        if self.config.start == Start::Stats {
            steps.push(linear(Part::Start, LinearKind::Dense, s, 2 * c, c));
        }
        for block in 0..self.config.depth {
            steps.extend(match self.form {
                Form::Plain => subtraction::plain_operations(shape, self.ray),
                Form::Folded => self.config.view_attention.operations(shape, self.ray),
            });
            steps.extend(self.feed_forward(Part::ViewFeedForward, 2 * block));
            if block % 2 == 0 {
                steps.extend(self.position());
            }
            steps.extend(self.config.ray_attention.operations(shape, self.ray));
            steps.extend(self.feed_forward(Part::RayFeedForward, 2 * block + 1));
        }
        steps.extend(self.head());
        steps
    }

    /// Channels of tokens and states, C.
    fn width(&self) -> u64 {
        self.config.width as u64
    }

    fn tokens(&self) -> Vec<Step> {
        let (c, features, pairs) = (self.width(), self.config.features.channels as u64, self.ray.pairs());
        let layer = |rows, inputs| linear(Part::Tokens, LinearKind::Dense, rows, inputs, c);
        match self.form {
            Form::Plain => vec![layer(pairs, 3 + features), layer(pairs, c)],
            // The features' part of the first layer is applied to the feature maps.
            Form::Folded => vec![layer(pairs, 3), layer(0, features), layer(pairs, c)],
        }
    }

    /// The feed-forward part of this number among all.
    fn feed_forward(&self, part: Part, number: usize) -> Vec<Step> {
        let shift_share = self.shift_shares.get(number).copied().unwrap_or_default();
        self.config.mlp.operations(&self.config.block_shape(), self.ray, part, shift_share)
    }

    fn position(&self) -> Vec<Step> {
        let (c, s) = (self.width(), self.ray.samples);
        let [all, sample] = [self.config.position.channels(), self.config.position.sample_channels()].map(|n| n as u64);
        let layer = |rows, inputs| linear(Part::Position, LinearKind::Dense, rows, inputs, c);
        match self.form {
            Form::Plain => vec![layer(s, c + all), layer(s, c)],
            // Channels that are constant along a ray are multiplied once.
            Form::Folded => vec![layer(s, c), layer(s, sample), layer(1, all - sample), layer(s, c)],
        }
    }

    fn head(&self) -> Vec<Step> {
        let (c, s, pairs) = (self.width(), self.ray.samples, self.ray.pairs());
        let layer = |rows, inputs, outputs| linear(Part::Head, LinearKind::Dense, rows, inputs, outputs);
        let mut steps = vec![layer(1, c, 3)];
        if self.config.head == Head::Blend {
            // Hidden layer of width C/2 on token, direction and state, its logits, and two weighted sums.
            let k = c / 2;
            steps.extend([layer(pairs, c, k), layer(pairs, 4, k), layer(pairs, k, 1), layer(s, c, k), layer(s, c, 1)]);
            steps.extend([elementwise(Part::Head, 3 * pairs), elementwise(Part::Head, s * (c + 3))]);
        }
        steps
    }
}
