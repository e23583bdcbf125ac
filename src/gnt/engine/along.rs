//! Attention along a ray.

use super::linear::{Matrix, Norm, Precision, normed};
use super::ray::RayScratch;
use crate::Config;
use crate::network::parameters::RayLayer;
use layers::linear_angular::{self, LinearAngularTape};
use tensor::Level;
use tensor::ops::attend_ray::{self, attend_ray};
use tensor::ops::hamming::{self, attend_ray_codes, attend_ray_codes8, pack_signs, words};
use tensor::ops::product::Epilogue;
use tensor::ops::product8::{Rows8, Sign};

/// Weights of an attention along the ray.
#[derive(Clone, Debug)]
pub struct Along {
    norm: Norm,
    /// `C → 3C`: queries, keys and values.
    qkv: Matrix,
    kind: Kind,
    /// `C → C`.
    out: Matrix,
}

#[derive(Clone, Debug)]
enum Kind {
    Softmax,
    Hamming {
        tau: Vec<f32>,
        /// Whether weights and values are bytes too.
        bytes: bool,
    },
    /// With its filter `[heads, 9]`, where it has one.
    LinearAngular {
        filter: Option<Vec<f32>>,
    },
}

/// Buffers of a thread, for rays of up to `samples` samples.
#[derive(Clone, Debug, Default)]
pub struct AlongBuffers {
    samples: usize,
    softmax: Option<attend_ray::Scratch>,
    hamming: Option<hamming::RayScratch>,
    hamming8: Option<hamming::RayScratch8>,
    query: Vec<u64>,
    key: Vec<u64>,
    angular: LinearAngularTape,
    bytes: Rows8,
}

impl AlongBuffers {
    /// Grows the buffers to rays of `samples` samples and heads of `d` channels.
    pub fn fit(&mut self, samples: usize, d: usize) {
        if self.samples < samples {
            *self = Self { samples, ..Self::default() };
            self.softmax = Some(attend_ray::Scratch::new(samples, d));
            self.hamming = Some(hamming::RayScratch::new(samples, d));
            self.hamming8 = Some(hamming::RayScratch8::new(samples, d));
        }
    }
}

impl Along {
    /// Packs a layer of the folded network.
    pub fn new(precision: Precision, config: &Config, layer: &RayLayer, folded: &[f32]) -> Self {
        let shift = config.linears != crate::Weights::Dense;
        let (norm, qkv, out, kind) = match layer {
            RayLayer::Softmax(l) => (&l.norm, &l.qkv, &l.out, Kind::Softmax),
            RayLayer::Hamming(l) => (
                &l.norm,
                &l.qkv,
                &l.out,
                Kind::Hamming { tau: l.tau.of(folded).to_vec(), bytes: precision == Precision::Int8 },
            ),
            RayLayer::LinearAngular(l) => {
                let filter = l.filter.map(|f| f.of(folded).to_vec());
                (&l.norm, &l.qkv, &l.out, Kind::LinearAngular { filter })
            }
        };
        let (norm, qkv) = normed(precision, shift, norm, qkv, folded);
        Self { norm, qkv, kind, out: Matrix::of(precision, shift, out, folded) }
    }

    /// Adds the attention's output to the ray's states; `first_row`, where given, receives the attention row of the
    /// nearest sample, averaged over heads.
    pub fn apply(&self, level: Level, config: &Config, scratch: &mut RayScratch, first_row: Option<&mut [f32]>) {
        let Config { width: c, heads, .. } = *config;
        let RayScratch { q, normal, wide, along, .. } = scratch;
        let samples = q.len() / c;
        self.norm.apply(level, q, c, normal);
        let (qkv, mixed) = wide.split_at_mut(samples * 3 * c);
        let AlongBuffers { softmax, hamming, hamming8, query, key, angular, bytes, .. } = along;
        self.qkv.apply(level, samples, (normal, c, Sign::Signed), bytes, (qkv, 3 * c), Epilogue::Store);
        match &self.kind {
            Kind::Softmax => {
                let buffers = softmax.as_mut().expect("made before the first block");
                attend_ray(level, qkv, 3 * c, samples, c, heads, buffers, mixed, first_row);
            }
            Kind::Hamming { tau, bytes } => {
                query.resize(samples * words(c), 0);
                key.resize(samples * words(c), 0);
                pack_signs(level, samples, qkv, 3 * c, c, query);
                pack_signs(level, samples, &qkv[c..], 3 * c, c, key);
                let (value, stride) = (&qkv[2 * c..], 3 * c);
                // Without vector products of bytes the f32 kernel is faster.
                if *bytes && level > Level::Portable {
                    let buffers = hamming8.as_mut().expect("made before the first block");
                    attend_ray_codes8(
                        level, query, key, value, stride, samples, c, heads, tau, buffers, mixed, first_row,
                    );
                } else {
                    let buffers = hamming.as_mut().expect("made before the first block");
                    attend_ray_codes(
                        level, query, key, value, stride, samples, c, heads, tau, buffers, mixed, first_row,
                    );
                }
            }
            Kind::LinearAngular { filter } => {
                angular.qkv.clear();
                angular.qkv.extend_from_slice(qkv);
                linear_angular::attend(samples, heads, filter.as_deref(), c, angular);
                mixed.copy_from_slice(&angular.mixed);
                if let Some(row) = first_row {
                    row.copy_from_slice(&linear_angular::first_row(angular, samples, c, heads, 0));
                }
            }
        }
        self.out.apply(level, samples, (mixed, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}
