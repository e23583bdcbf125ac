//! Queries, keys, values and outputs of an attention along the ray in the CPU engine.

use crate::engine::SharedScratch;
use crate::layer_norm::LayerNorm;
use crate::layer_norm::engine::Norm;
use crate::linear::engine::{Matrix, Precision};
use crate::linear::{Linear, LinearKind};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// What all kinds have before and after their attention.
#[derive(Clone, Debug)]
pub(super) struct Projections {
    norm: Norm,
    /// `C → 3C`: queries, keys and values.
    qkv: Matrix,
    /// `C → C`.
    out: Matrix,
    /// C.
    pub width: usize,
}

impl Projections {
    pub fn new(
        precision: Precision,
        kind: LinearKind,
        (norm, qkv, out): (&LayerNorm, &Linear, &Linear),
        folded: &[f32],
    ) -> Self {
        let (norm, qkv) = Norm::with_layer(precision, kind, norm, qkv, folded);
        Self { norm, qkv, out: Matrix::of(precision, kind, out, folded), width: out.inputs }
    }

    /// Adds `out(attend(qkv(norm(q))))` to `q` `[rays, samples, C]`; `attend` takes the rows `[samples, 3C]` of queries, keys
    /// and values of one ray to `[samples, C]`, and the row of `first_rows` that is its own.
    #[inline(always)]
    pub fn around(
        &self,
        isa: Isa,
        q: &mut [f32],
        rays: usize,
        shared: &mut SharedScratch,
        mut first_rows: Option<&mut [f32]>,
        mut attend: impl FnMut(&[f32], &mut [f32], Option<&mut [f32]>),
    ) {
        let c = self.width;
        let SharedScratch { normal, wide, bytes } = shared;
        let samples = q.len() / c;
        self.norm.apply(isa, q, c, normal);
        let (qkv, mixed) = wide.split_at_mut(samples * 3 * c);
        self.qkv.apply(isa, samples, (normal, c, Sign::Signed), bytes, (qkv, 3 * c), Epilogue::Store);
        let each = samples / rays;
        let of_rays = qkv.chunks_exact(each * 3 * c).zip(mixed[..samples * c].chunks_exact_mut(each * c));
        for (ray, (qkv, mixed)) in of_rays.enumerate() {
            attend(qkv, mixed, first_rows.as_deref_mut().map(|rows| &mut rows[ray * each..][..each]));
        }
        self.out.apply(isa, samples, (mixed, c, Sign::Signed), bytes, (q, c), Epilogue::Add);
    }
}
