//! How well binary codes stand in for the queries and keys of the embedded dense model, on rays of the bundled scene:
//! signs (threshold 0, and the channel's mean for keys) against kernel-based supervised hashing (EcoFormer's codes).
//!
//! `cargo bench --bench codes`. Correlation is Pearson's between the dense logits of a head and the code scores;
//! distance is the mean total variation between the dense attention rows and those of the codes at the best single
//! factor; "uniform" is that of rows without any attention.

mod fidelity;
mod ksh;

use fidelity::{channel_means, fidelity, sign_codes};
use glam::Vec2;
use gnt::network::sources::{RayChunk, SourceMap, sources};
use gnt::network::{NetworkOn, Workspace};
use gnt::sampling;
use ksh::{Ksh, KshOptions};
use layers::RayAttention;
use std::path::Path;

const RAYS: usize = 24;

fn main() {
    let (model, params, _) = gnt::builtin::load("gnt-dense").expect("built in");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes/still-life");
    let scene = scene::formats::load(&folder, &scene::LoadOptions::default()).expect("the bundled scene");
    let (samples, c) = (model.config.samples, model.config.width);
    let target = scene.views[0].camera;
    let others: Vec<usize> = (1..scene.views.len()).collect();
    let chosen = scene::nearest_sources(&scene, &target, &others, model.config.views).expect("views");
    let (folded, prepared) = (model.fold(&params), model.features.prepare_inference(&params));
    let views: Vec<_> =
        chosen.iter().map(|&v| (scene.views[v].camera, scene.views[v].load_image().expect("a photograph"))).collect();
    let maps: Vec<SourceMap> = views
        .iter()
        .map(|(_, image)| {
            let map = model.features.forward(&prepared, &image.data, image.height as usize, image.width as usize);
            let mut made = SourceMap::default();
            made.forward(&model.net, &folded, image, (map.width, map.height), &map.data);
            made
        })
        .collect();
    let sources = sources(&views, &maps);
    let [near, far] = scene.depth_range(scene::FAR_EVAL);
    let rays: Vec<_> = (0..RAYS).map(|i| target.ray(Vec2::new((i * 53 % 300) as f32, (i * 37 % 230) as f32))).collect();
    let depths = sampling::inverse_depth(near, far, samples).repeat(RAYS);
    let mut workspace = Workspace::default();
    let chunk = RayChunk { rays: &rays, depths: &depths, depth_range: (near, far) };
    let Ok(()) = workspace.forward(NetworkOn::cpu(&model, &folded), &sources, chunk);

    println!("block head codes              correlation distance uniform");
    for (i, (block, tape)) in model.net.blocks.iter().zip(&workspace.trunk.blocks).enumerate() {
        let RayAttention::Softmax(layer) = &block.ray else { continue };
        let d = c / layer.heads;
        for head in 0..layer.heads {
            let part = |p: usize| -> Vec<f32> {
                let rows = tape.ray.softmax.qkv.chunks_exact(3 * c);
                rows.flat_map(|row| row[p * c + head * d..][..d].to_vec()).collect()
            };
            let (q, k) = (part(0), part(1));
            let zero = vec![0.0; d];
            let both: Vec<f32> = [&q[..], &k[..]].concat();
            let ksh = Ksh::fit(&both, d, 1, KshOptions::default()).expect("finite rows");
            let hash = |x: &[f32]| -> Vec<u64> { x.chunks_exact(d).map(|row| u64::from(ksh.encode(row))).collect() };
            // One ray's queries meet that ray's keys; a few rays are enough for the figures to settle.
            let cases = [
                ("sign, threshold 0", sign_codes(&q, &zero), sign_codes(&k, &zero), d as u32),
                ("sign, keys at mean", sign_codes(&q, &zero), sign_codes(&k, &channel_means(&k, d)), d as u32),
                ("KSH", hash(&q), hash(&k), 16),
            ];
            for (name, codes_q, codes_k, bits) in cases {
                let mut mean = [0.0; 3];
                for ray in 0..RAYS {
                    let at = ray * samples..(ray + 1) * samples;
                    let values = at.start * d..at.end * d;
                    let codes = (&codes_q[at.clone()], &codes_k[at]);
                    let f = fidelity(&q[values.clone()], &k[values], d, codes.0, codes.1, bits);
                    for (m, v) in mean.iter_mut().zip([f.correlation, f.distance, f.distance_uniform]) {
                        *m += f64::from(v as f32) / RAYS as f64;
                    }
                }
                println!("{i:5} {head:4} {name:18} {:11.3} {:8.3} {:7.3}", mean[0], mean[1], mean[2]);
            }
        }
    }
}
