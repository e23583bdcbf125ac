//! How far two computations of the same rays are apart, and whether that is too far.

use super::material::Network;
use super::report::{Bound, Report};

/// In f32 a stage may differ by so much of its largest value.
pub const F32: f32 = 1e-4;
/// Where each side makes its own decisions, a bit of a code within rounding of its threshold is another one on the other
/// side, and what follows on that ray is another computation. With at most so many bits a ray, most rays must have none of
/// these; with more, nothing is judged.
const FEW_BITS: usize = 12_000;
/// The part of such rays that must keep to the bound.
pub const WITHOUT_FLIPS: f64 = 0.7;

/// Largest difference of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Name, such as `block 1 view`.
    pub stage: String,
    /// Largest absolute difference; infinite if a value is not a number.
    pub error: f32,
    /// Largest absolute value of the reference, at least 1.
    pub largest: f32,
    /// Largest absolute difference of each ray; of a source's map, of the whole.
    pub rays: Vec<f32>,
}

impl Difference {
    /// Compares the values of as many `rays`.
    pub fn new(stage: impl Into<String>, got: &[f32], want: &[f32], rays: usize) -> Self {
        assert_eq!((got.len(), want.len() % rays), (want.len(), 0), "values of a stage, and of {rays} rays");
        let off = |(a, b): (&f32, &f32)| if a.is_finite() { (a - b).abs() } else { f32::INFINITY };
        let worst = |(got, want): (&[f32], &[f32])| got.iter().zip(want).map(off).fold(0.0, f32::max);
        let part = (want.len() / rays).max(1);
        let rays: Vec<f32> = got.chunks(part).zip(want.chunks(part)).map(worst).collect();
        Self {
            stage: stage.into(),
            error: rays.iter().copied().fold(0.0, f32::max),
            largest: want.iter().fold(1.0, |m, v| m.max(v.abs())),
            rays,
        }
    }

    /// The part of the rays whose difference is at most `bound`, as in [`Difference::relative`].
    pub fn share_within(&self, bound: f32) -> f32 {
        let within = self.rays.iter().filter(|error| **error <= bound * self.largest).count();
        within as f32 / self.rays.len().max(1) as f32
    }

    /// The difference as a part of the largest value.
    pub fn relative(&self) -> f32 {
        self.error / self.largest
    }
}

/// The worst of some stages, with its name.
fn worst(stages: &[Difference]) -> (f64, &str) {
    let worst = stages.iter().max_by(|a, b| a.relative().total_cmp(&b.relative()));
    worst.map_or((f64::NAN, "none"), |d| (f64::from(d.relative()), &d.stage))
}

/// Judges stages by the worst value of the worst one.
pub fn judge_strictly(network: &Network, check: &str, stages: &[Difference], report: &mut Report) {
    let (found, stage) = worst(stages);
    report.add(&network.name, check, found, Bound::AtMost(f64::from(F32)), format!("worst stage: {stage}"));
}

/// Judges what each side has computed with its own decisions, for rays of `samples` samples: strictly where nothing is
/// decided, else by the part of the rays that keep to the bound at all stages, if decisions are few.
pub fn judge(network: &Network, check: &str, samples: usize, stages: &[Difference], report: &mut Report) {
    if !network.has_codes() || stages.is_empty() {
        return judge_strictly(network, check, stages, report);
    }
    let rays = stages[0].rays.len();
    let keeps = |ray: &usize| stages.iter().all(|stage| stage.rays[*ray] <= F32 * stage.largest);
    let share = (0..rays).filter(keeps).count() as f64 / rays.max(1) as f64;
    let config = &network.model.config;
    // Queries of the views, queries and keys along the ray.
    let few = 3 * samples * config.width * config.depth <= FEW_BITS;
    let bound = if few { Bound::AtLeast(WITHOUT_FLIPS) } else { Bound::None };
    let (largest, stage) = worst(stages);
    let note = format!("of the rays within {F32:e}, each side with its own codes; worst: {stage}, {largest:.1e}");
    report.add(&network.name, check, share, bound, note);
}
