//! The processor against itself: its sets of instructions, its precisions, its threads.

use super::Scope;
use super::difference::{Difference, judge};
use super::material::{Material, Network, VIEWS, networks};
use super::report::{Bound, Report};
use compute::Isa;
use gnt::engine::{Engine, Precision, PreparedSource, RayOutput, RayScratch};
use gnt::renderer::{Settings, render_rays};
use gnt::{FeedForwardKind, LinearKind};
use scene::Ray;
use scene::image::{CHECK_FLOOR, mean_squared_error, psnr};
use std::sync::Arc;

/// Images on 8-bit activations have at least so many dB, where weights are trained.
const BYTES_DB: f64 = 50.0;

/// Runs all checks.
///
/// # Errors
/// If a network in this program is broken.
pub fn run(scope: Scope, report: &mut Report) -> anyhow::Result<()> {
    let material = Material::new(VIEWS);
    for network in networks(scope.quick)? {
        // Rays, samples, views.
        let cases: &[(usize, usize, usize)] = match scope.quick {
            true => &[(5, 7, 1), (9, 33, 3)],
            false => &[(37, 7, 1), (37, 48, 3), (11, 192, VIEWS)],
        };
        let cpu = Cpu::new(&network, &material)?;
        for &(rays, samples, views) in cases {
            cpu.case(&material.rays(rays), samples, views, report);
        }
        cpu.order(report);
        cpu.threads(report);
    }
    Ok(())
}

/// What rays give: colours, weights, depths.
#[derive(Default)]
struct Outcome {
    rgb: Vec<f32>,
    weights: Vec<f32>,
    depth: Vec<f32>,
}

struct Cpu<'a> {
    network: &'a Network,
    material: &'a Material,
    engine: Engine,
    sources: Vec<PreparedSource>,
    /// Engines of the other precisions, with the sources as each keeps them.
    others: Vec<(Engine, Vec<PreparedSource>)>,
}

/// The material's source views as `engine` reads them.
fn prepare(engine: &Engine, material: &Material) -> gnt::Result<Vec<PreparedSource>> {
    let prepare = |(camera, image): &(scene::Camera, scene::Image)| engine.prepare(camera, Arc::new(image.clone()));
    material.sources.iter().map(prepare).collect()
}

impl<'a> Cpu<'a> {
    fn new(network: &'a Network, material: &'a Material) -> gnt::Result<Self> {
        let engine = Engine::with_precision(network.model.clone(), &network.params, Precision::F32);
        let sources = prepare(&engine, material)?;
        let config = &network.model.config;
        let in_bytes = config.linears != LinearKind::Dense || config.mlp != FeedForwardKind::Dense;
        let others = [(Precision::Mixed, in_bytes), (Precision::Int8, in_bytes), (Precision::Bf16, true)]
            .into_iter()
            .filter(|(precision, wanted)| *wanted && precision.runs_on(compute::isa()))
            .map(|(precision, _)| {
                let engine = Engine::with_precision(network.model.clone(), &network.params, precision);
                prepare(&engine, material).map(|sources| (engine, sources))
            })
            .collect::<gnt::Result<_>>()?;
        Ok(Self { network, material, engine, sources, others })
    }

    fn render(&self, engine: &Engine, sources: &[&PreparedSource], rays: &[Ray], samples: usize) -> Outcome {
        let depths = self.material.depths(samples);
        let (mut scratch, mut out, mut all) = (RayScratch::default(), RayOutput::default(), Outcome::default());
        for ray in rays {
            engine.render_ray(sources, ray, &depths, self.material.depth_range, &mut scratch, &mut out);
            all.rgb.extend(out.rgb);
            all.depth.push(depths.iter().zip(&out.weights).map(|(z, w)| z * w).sum());
            all.weights.extend(&out.weights);
        }
        all
    }

    /// All sets of instructions against the plainest, then all precisions against f32.
    fn case(&self, rays: &[Ray], samples: usize, views: usize, report: &mut Report) {
        let sources: Vec<&PreparedSource> = self.sources.iter().take(views).collect();
        let case = format!("{} rays, {samples} samples, {views} views", rays.len());
        let portable = self.render(&self.engine.clone().with_isa(Isa::PORTABLE), &sources, rays, samples);
        for isa in compute::isa().subsets().filter(|isa| *isa != Isa::PORTABLE) {
            let got = self.render(&self.engine.clone().with_isa(isa), &sources, rays, samples);
            judge(self.network, &format!("f32, {}, {case}", isa.name()), samples, &compare(&got, &portable), report);
        }
        for (engine, own) in &self.others {
            let own: Vec<&PreparedSource> = own.iter().take(views).collect();
            let got = self.render(engine, &own, rays, samples);
            let psnr = psnr(mean_squared_error(&got.rgb, &portable.rgb), CHECK_FLOOR);
            let (bound, note) = match self.network.trained {
                true => (Bound::AtLeast(BYTES_DB), "dB of the colours"),
                false => (Bound::None, "dB; colours of random weights are no image"),
            };
            report.add(&self.network.name, format!("{}, {case}", engine.precision().name()), psnr, bound, note);
        }
    }

    /// Sources in another order.
    fn order(&self, report: &mut Report) {
        let rays = self.material.rays(19);
        let order = |order: [usize; 3]| order.map(|i| &self.sources[i]);
        let first = self.render(&self.engine, &order([0, 1, 2]), &rays, 24);
        let other = self.render(&self.engine, &order([2, 0, 1]), &rays, 24);
        judge(self.network, "f32, sources in another order", 24, &compare(&other, &first), report);
    }

    /// A frame of one thread and of several.
    fn threads(&self, report: &mut Report) {
        let sources: Vec<&PreparedSource> = self.sources.iter().take(3).collect();
        let frame = |threads: usize| {
            let depth_range = self.material.depth_range;
            let (routing, confidence) = (false, false);
            let settings = Settings {
                samples: 8,
                guided: None,
                importance: 3,
                views: 3,
                threads,
                stride: 5,
                depth_range,
                routing,
                confidence,
            };
            render_rays(&self.engine, &sources, &self.material.target, &settings, &|_| {}).image.data
        };
        let (one, several) = (frame(1), frame(3));
        let unlike = one.iter().zip(&several).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let note = "values that differ from one thread's";
        report.add(&self.network.name, "f32, a frame of 3 threads", unlike as f64, Bound::AtMost(0.0), note);
    }
}

fn compare(got: &Outcome, want: &Outcome) -> [Difference; 3] {
    let rays = want.depth.len();
    [
        Difference::new("colour", &got.rgb, &want.rgb, rays),
        Difference::new("depth", &got.depth, &want.depth, rays),
        Difference::new("weights", &got.weights, &want.weights, rays),
    ]
}
