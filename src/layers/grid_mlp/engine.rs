//! The feed-forward part of published vision transformers in the CPU engine.

use super::train::{gather, scatter};
use super::{Choice, GridMlp};
use crate::feed_forward::FeedForwardKind;
use crate::feed_forward::experts::engine::{PackedRouter, Routes, count_rows};
use crate::gelu::gelu;
use crate::layer_norm::engine::Norm;
use crate::linear::engine::{LinearBuffers, PackedLinear, Precision};
use crate::linear::{Linear, LinearKind};
use compute::Isa;
use compute::ops::product::Epilogue;
use compute::ops::product8::Sign;

/// A packed feed-forward part.
#[derive(Clone, Debug)]
pub struct PackedGridMlp {
    layer: GridMlp,
    norm: Norm,
    layers: Layers,
}

#[derive(Clone, Debug)]
enum Layers {
    /// `fc1` and `fc2` of all tokens.
    One(Box<[PackedLinear; 2]>),
    /// Those of each expert, the router between them, and the number of feed-forward parts before this one.
    Experts(PackedRouter, Box<[[PackedLinear; 2]; 2]>, usize),
}

/// Buffers of a thread.
#[derive(Clone, Debug, Default)]
pub struct GridMlpBuffers {
    normal: Vec<f32>,
    hidden: Vec<f32>,
    mixed: Vec<f32>,
    linear: LinearBuffers,
    routes: Routes,
    gathered: Vec<f32>,
    made: Vec<f32>,
    /// Tokens that were routed to the multiply and to the shift expert so far, by feed-forward part of the network. Empty
    /// where there are no experts.
    pub counts: Vec<[u64; 2]>,
}

impl PackedGridMlp {
    /// Packs a layer of the folded network; `part` counts the feed-forward parts before it.
    pub fn new(precision: Precision, kind: FeedForwardKind, layer: &GridMlp, folded: &[f32], part: usize) -> Self {
        let pack = |kind, linear: &Linear| PackedLinear::new(precision, kind, linear, folded, Sign::Signed);
        let (norm, layers) = match &layer.choice {
            None => {
                let kind = kind.linears();
                let (norm, fc1) = Norm::with_layer(precision, kind, &layer.norm, &layer.fc1, folded);
                (norm, Layers::One(Box::new([PackedLinear::of(fc1, Sign::Signed), pack(kind, &layer.fc2)])))
            }
            Some(Choice { router, fc1, fc2, .. }) => {
                let multiply = [&layer.fc1, &layer.fc2].map(|linear| pack(LinearKind::Dense, linear));
                let shift = [fc1, fc2].map(|linear| pack(kind.linears(), linear));
                let router = PackedRouter::new(router, folded);
                (Norm::apart(&layer.norm, folded), Layers::Experts(router, Box::new([multiply, shift]), part))
            }
        };
        Self { layer: *layer, norm, layers }
    }

    /// Adds the part's output to the tokens `x` `[tokens, width]` of one image; `grid` is height and width of the tokens
    /// where there is a convolution, whose weights are read from `folded`.
    pub fn apply(&self, isa: Isa, folded: &[f32], grid: (usize, usize), x: &mut [f32], buffers: &mut GridMlpBuffers) {
        let GridMlpBuffers { normal, hidden, mixed, linear, routes, gathered, made, counts } = buffers;
        let (width, wide) = (self.layer.norm.width, self.layer.hidden());
        let tokens = x.len() / width;
        normal.resize(x.len(), 0.0);
        hidden.resize(tokens * wide, 0.0);
        mixed.resize(hidden.len(), 0.0);
        self.norm.apply(isa, x, width, normal);
        let epilogue = if self.layer.clips { Epilogue::Relu } else { Epilogue::Store };
        match &self.layers {
            Layers::One(layers) => layers[0].apply(isa, tokens, normal, linear, hidden, epilogue),
            Layers::Experts(router, experts, part) => {
                router.route(isa, normal, width, routes);
                count_rows(counts, *part, (1, tokens), 0, routes);
                for ([fc1, _], rows) in experts.iter().zip(&routes.rows).filter(|(_, rows)| !rows.is_empty()) {
                    gather(rows, normal, width, gathered);
                    made.resize(rows.len() * wide, 0.0);
                    fc1.apply(isa, rows.len(), gathered, linear, made, epilogue);
                    scatter(rows, made, wide, hidden);
                }
            }
        }
        if let Some(local) = &self.layer.local {
            local.forward(folded, grid, hidden, mixed);
            std::mem::swap(hidden, mixed);
        }
        gelu(isa, hidden, mixed);
        match &self.layers {
            Layers::One(layers) => layers[1].apply(isa, tokens, mixed, linear, x, Epilogue::Add),
            Layers::Experts(_, experts, _) => {
                for (e, [_, fc2]) in experts.iter().enumerate().filter(|(e, _)| !routes.rows[*e].is_empty()) {
                    let (rows, gates) = (&routes.rows[e], &routes.gates[e]);
                    gather(rows, mixed, wide, gathered);
                    made.resize(rows.len() * width, 0.0);
                    fc2.apply(isa, rows.len(), gathered, linear, made, Epilogue::Store);
                    for ((row, gate), out) in rows.iter().zip(gates).zip(made.chunks_exact(width)) {
                        let x = &mut x[*row as usize * width..][..width];
                        x.iter_mut().zip(out).for_each(|(x, o)| *x += gate * o);
                    }
                }
            }
        }
    }
}
