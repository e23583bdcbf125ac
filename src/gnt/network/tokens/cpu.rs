//! Tokens on the CPU.

use super::{TokenExecutor, Tokens};
use crate::config::Position;
use crate::encoding;
use crate::network::sources::{MapGrads, RayChunk, Source};
use crate::projection::{Taps, colour, taps, toward};
use crate::surface::{CLEARANCE, HIDDEN};
use compute::simd_fn;
use glam::Vec3;
use layers::executor::Cpu;
use layers::linear::{Linear, relu};
use std::convert::Infallible;

/// Where the samples of a chunk are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// World points `[T]`.
    pub points: Vec<Vec3>,
    /// Neighbours in the feature maps `[T, V]`.
    pub taps: Vec<Taps>,
}

impl TokenExecutor for Cpu {
    type Sources<'a> = &'a [Source<'a>];
    type MapGrads = MapGrads;
    type Places = Places;

    fn views(sources: &[Source]) -> usize {
        sources.len()
    }

    fn project(&self, sources: &[Source], chunk: RayChunk, tokens: &mut Tokens<Self>) -> Result<(), Infallible> {
        let Tokens { shared, colours, places: Places { points, taps: all_taps }, .. } = tokens;
        let (views, samples) = (sources.len(), chunk.samples());
        let mut hidden = vec![false; views];
        points.clear();
        all_taps.clear();
        for (ray, depths) in chunk.rays.iter().zip(chunk.depths.chunks_exact(samples)) {
            points.extend(depths.iter().map(|z| *z * ray.direction + ray.origin));
        }
        for (i, point) in points.iter().enumerate() {
            let to_target = toward(*point, chunk.rays[i / samples].origin);
            hidden.fill(false);
            for (v, source) in sources.iter().enumerate() {
                let at = i * views + v;
                let p = source.projector.project(*point, to_target);
                shared.mask[at] = f32::from(u8::from(p.visible));
                shared.directions[at * 4..][..4].copy_from_slice(&p.direction);
                let size = (source.image.width as usize, source.image.height as usize);
                if let Some(clearance) = source.visibility.clearance(p.pixel, p.z) {
                    shared.directions[at * 4 + CLEARANCE] = clearance;
                    hidden[v] = clearance < HIDDEN;
                }
                colour(source.image, &taps(p.pixel, size, size), &mut colours[at * 3..][..3]);
                all_taps.push(taps(p.pixel, size, source.map_size));
            }
            leave_hidden_out(&mut shared.mask[i * views..][..views], &hidden);
        }
        Ok(())
    }

    fn gather(
        &self,
        layer: &Linear,
        params: &[f32],
        sources: &[Source],
        tokens: &mut Tokens<Self>,
    ) -> Result<(), Infallible> {
        gather(compute::isa(), sources, &tokens.places.taps, layer.outputs, &mut tokens.hidden);
        layer.forward(params, &tokens.colours, &mut tokens.hidden, true);
        relu(compute::isa(), &mut tokens.hidden);
        Ok(())
    }

    fn gather_keys(&self, channels: usize, sources: &[Source], tokens: &mut Tokens<Self>) -> Result<(), Infallible> {
        let Tokens { shared, places, .. } = tokens;
        for (i, (out, taps)) in shared.keys.chunks_exact_mut(channels).zip(&places.taps).enumerate() {
            let keys = sources[i % sources.len()].keys;
            out.copy_from_slice(&keys[taps.nearest() as usize * channels..][..channels]);
        }
        Ok(())
    }

    fn scatter(&self, channels: usize, tokens: &Tokens<Self>, d_maps: &mut MapGrads) -> Result<(), Infallible> {
        scatter(compute::isa(), &mut d_maps.maps, &tokens.places.taps, channels, &tokens.d_hidden);
        Ok(())
    }

    fn scatter_keys(&self, channels: usize, tokens: &Tokens<Self>, d_maps: &mut MapGrads) -> Result<(), Infallible> {
        let views = d_maps.keys.len();
        for (i, (d, taps)) in tokens.shared.d_keys.chunks_exact(channels).zip(&tokens.places.taps).enumerate() {
            let at = &mut d_maps.keys[i % views][taps.nearest() as usize * channels..][..channels];
            at.iter_mut().zip(d).for_each(|(a, d)| *a += d);
        }
        Ok(())
    }

    fn encode(
        &self,
        position: Position,
        chunk: RayChunk,
        tokens: &Tokens<Self>,
        out: &mut Vec<f32>,
    ) -> Result<(), Infallible> {
        for (i, out) in out.chunks_exact_mut(position.channels()).enumerate() {
            let (point, direction) = (tokens.places.points[i], chunk.rays[i / chunk.samples()].direction);
            encoding::sample(position, point, direction, chunk.depths[i], chunk.depth_range, out);
        }
        Ok(())
    }
}

/// Takes the views that a sample is hidden from out of its `mask`, unless it is hidden from all that see its place.
fn leave_hidden_out(mask: &mut [f32], hidden: &[bool]) {
    if mask.iter().zip(hidden).any(|(mask, hidden)| *mask > 0.0 && !hidden) {
        mask.iter_mut().zip(hidden).filter(|(_, hidden)| **hidden).for_each(|(mask, _)| *mask = 0.0);
    }
}

simd_fn! {
    fn gather(isa: Isa, sources: &[Source], taps: &[Taps], c: usize, out: &mut [f32]) {
        for (i, (out, taps)) in out.chunks_exact_mut(c).zip(taps).enumerate() {
            let map = sources[i % sources.len()].map;
            let [a, b, d, e] = taps.index.map(|at| &map[at as usize * c..][..c]);
            let w = taps.weight;
            for i in 0..c {
                out[i] = w[0] * a[i] + w[1] * b[i] + w[2] * d[i] + w[3] * e[i];
            }
        }
    }
}

simd_fn! {
    fn scatter(isa: Isa, d_maps: &mut [Vec<f32>], taps: &[Taps], c: usize, d_out: &[f32]) {
        let views = d_maps.len();
        for (i, (d_out, taps)) in d_out.chunks_exact(c).zip(taps).enumerate() {
            let map = &mut d_maps[i % views];
            for (index, weight) in taps.index.iter().zip(taps.weight) {
                if weight != 0.0 {
                    let at = &mut map[*index as usize * c..][..c];
                    for i in 0..c {
                        at[i] += weight * d_out[i];
                    }
                }
            }
        }
    }
}
