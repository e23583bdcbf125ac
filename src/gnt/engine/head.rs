//! From the samples' states to the colour of a ray.

use super::head_kernels::{pool, ray_logits, view_weights};
use super::output::RayOutput;
use crate::folded::{Folded, LAST_EPS};
use compute::Isa;
use compute::ops::gather::LookUp;
use compute::ops::normalise::normalise;
use compute::ops::padded;
use compute::ops::product::{Epilogue, Packed, product};
use layers::engine::{GROUP, SharedScratch};
use layers::layer_norm::engine::fold_norm;
use layers::softmax::softmax_rows;
use layers::view_attention::rows::TokenRows;

/// Packed weights.
#[derive(Clone, Debug)]
pub struct PackedHead {
    /// `C → 3`, with the last normalisation's gain and bias: `[C, 3]` and `[3]`.
    rgb: (Vec<f32>, [f32; 3]),
    /// Where the photographs' colours are blended.
    blend: Option<Blend>,
    width: usize,
}

/// Weights of the blending head.
#[derive(Clone, Debug)]
struct Blend {
    /// `C + 4 → K`: token, relative direction; with the bias.
    token: Packed,
    /// `C → K`.
    state: Packed,
    /// `[K]`, padded.
    view: Vec<f32>,
    /// `[C]`; the constant that the normalisation adds cancels in the softmax.
    ray: Vec<f32>,
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct HeadBuffers {
    logits: Vec<f32>,
    /// Weights of the views of some samples.
    views: Vec<f32>,
    /// What the states add, `[rays, samples, K]`.
    state: Vec<f32>,
    hidden: Vec<f32>,
}

impl PackedHead {
    /// Packs the head of the folded network.
    pub fn new(net: &Folded, folded: &[f32]) -> Self {
        let c = net.norm.width;
        let (rgb, constant) = fold_norm(&net.norm, &net.rgb, folded);
        let blend = net.blend.as_ref().map(|b| {
            let k = b.token.outputs;
            let token = [b.token.weight.of(folded), b.direction.weight.of(folded)].concat();
            let (state, constant) = fold_norm(&net.norm, &b.state, folded);
            let bias: Vec<f32> = b.token.bias_or_none(folded).iter().zip(&constant).map(|(a, b)| a + b).collect();
            Blend {
                token: Packed::new(&token, Some(&bias), c + 4, k),
                state: Packed::new(&state, None, c, k),
                view: [b.view.weight.of(folded), &vec![0.0; padded(k) - k]].concat(),
                ray: fold_norm(&net.norm, &b.ray, folded).0,
            }
        });
        Self { rgb: (rgb, [constant[0], constant[1], constant[2]]), blend, width: c }
    }

    /// Whether the weights along the ray are the head's own, not those of the last attention.
    pub fn blends(&self) -> bool {
        self.blend.is_some()
    }

    /// Reads colour and, where the head blends, weights along the ray from the states `q` `[rays, samples, C]`; `rows` are the
    /// tokens of the rays and where each was looked up.
    pub fn apply(
        &self,
        isa: Isa,
        rows: (&TokenRows, &[LookUp]),
        q: &[f32],
        shared: &mut SharedScratch,
        buffers: &mut HeadBuffers,
        out: &mut [RayOutput],
    ) {
        let (c, normal) = (self.width, &mut shared.normal[..q.len()]);
        let samples = q.len() / c / out.len();
        normalise(isa, q, c, LAST_EPS, normal);
        if let Some(blend) = &self.blend {
            let stride = padded(blend.state.outputs());
            buffers.state.resize(q.len() / c * stride, 0.0);
            product(isa, q.len() / c, normal, c, &blend.state, &mut buffers.state, stride, Epilogue::Store);
        }
        let mut pooled = vec![0.0; c];
        for (ray, (out, normal)) in out.iter_mut().zip(normal.chunks_exact(samples * c)).enumerate() {
            let mut blended = [0.0; 3];
            pooled.fill(0.0);
            out.shares.clear();
            match &self.blend {
                None => {
                    let scale = 1.0 / samples as f32;
                    for row in normal.chunks_exact(c) {
                        pooled.iter_mut().zip(row).for_each(|(p, n)| *p += n * scale);
                    }
                }
                Some(blend) => {
                    ray_logits(isa, normal, &blend.ray, &mut out.weights);
                    softmax_rows(isa, &mut out.weights, samples);
                    pool(isa, normal, &out.weights, &mut pooled);
                    blended = blend.colours(isa, rows, ray * samples, buffers, &out.weights, &mut out.shares);
                }
            }
            let (weight, bias) = &self.rgb;
            out.rgb = *bias;
            for (row, p) in weight.chunks_exact(3).zip(&pooled) {
                out.rgb.iter_mut().zip(row).for_each(|(o, w)| *o += w * p);
            }
            out.rgb.iter_mut().zip(blended).for_each(|(o, b)| *o += b);
        }
    }
}

impl Blend {
    /// Blends the photographs' colours over views and the samples of a ray, which are those from number `first` on. Samples of no
    /// weight are left out. `shares` becomes the share of each view.
    fn colours(
        &self,
        isa: Isa,
        (tokens, look_ups): (&TokenRows, &[LookUp]),
        first: usize,
        buffers: &mut HeadBuffers,
        weights: &[f32],
        shares: &mut Vec<f32>,
    ) -> [f32; 3] {
        /// All samples below it together change a colour by less than a tenth of an 8-bit step.
        const NEGLIGIBLE: f32 = 1e-6;
        let (samples, stride) = (weights.len(), padded(self.token.outputs()));
        let HeadBuffers { logits, views, state, hidden } = buffers;
        let (starts, uniform) = (&tokens.first[first..], &tokens.uniform[first..]);
        let rows_of = |s: usize, end: usize| (starts[end] - starts[s]) as usize;
        let counts = |s: usize| weights[s] > NEGLIGIBLE;
        let mut colour = [0.0; 3];
        let mut s = 0;
        while s < samples {
            if !counts(s) {
                s += 1;
                continue;
            }
            // Neighbours go together, as many as stay in the first cache.
            let mut end = s + 1;
            while end < samples && counts(end) && rows_of(s, end + 1) <= GROUP {
                end += 1;
            }
            let count = rows_of(s, end);
            hidden.resize(hidden.len().max(count * stride), 0.0);
            let values = &tokens.values[starts[s] as usize * tokens.stride + tokens.hidden..];
            product(isa, count, values, tokens.stride, &self.token, hidden, stride, Epilogue::Store);
            let some = &starts[s..=end];
            let of_state = (&state[(first + s) * stride..], &self.view[..]);
            view_weights(isa, hidden, of_state, some, &uniform[s..end], logits, views);
            for (at, look_up) in look_ups[some[0] as usize..][..count].iter().enumerate() {
                while starts[s + 1] - some[0] <= at as u32 {
                    s += 1;
                }
                let (share, view) = (weights[s] * views[at], look_up.view as usize);
                for i in 0..3 {
                    colour[i] += share * look_up.colour[i];
                }
                if shares.len() <= view {
                    shares.resize(view + 1, 0.0);
                }
                shares[view] += share;
            }
            s = end;
        }
        colour
    }
}
