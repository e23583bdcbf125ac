//! What shapes the result of a run.

use crate::distillation::Distillation;
use crate::guided::{GUIDED_SAMPLES, GuidedSteps};
use crate::ps::ShiftForm;
use crate::schedule::Schedule;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What shapes the result of a run; saved with its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Seed of weights and batches.
    pub seed: u64,
    /// Rays a step.
    pub rays: usize,
    /// Samples a ray.
    pub samples: usize,
    /// Fewest and most source views.
    pub views: (usize, usize),
    /// Weight of the depth loss.
    pub depth_weight: f32,
    /// Learning rates.
    pub schedule: Schedule,
    /// Seconds of training after which the rate is at its floor and the run at its end, in place of a number of steps. What
    /// such a run gives depends on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Decay of the running average of the weights.
    pub average_decay: f32,
    /// Largest norm of the gradient; longer ones are scaled down.
    pub clip_norm: f32,
    /// Whether the feature network and the token layers stay as they are.
    #[serde(default)]
    pub freeze_features: bool,
    /// What is learned from a teacher.
    #[serde(default)]
    pub distillation: Distillation,
    /// Shares of the multiply and the shift expert in the latency, and weight of the loss that balances them.
    #[serde(default)]
    pub balance: Option<([f32; 2], f32)>,
    /// Whether routers are held at the shares of rows that the latencies ask for, see [`crate::routing`].
    #[serde(default)]
    pub hold_routers: bool,
    /// What is trained of shift layers.
    #[serde(default)]
    pub form: ShiftForm,
    /// Steps whose rays have few samples, placed as after a coarse pass.
    #[serde(default)]
    pub guided: Option<GuidedSteps>,
}

impl RunOptions {
    /// Checks that every number can be used; states from outside pass through here.
    ///
    /// # Errors
    /// [`Error::Run`] naming the option, what is allowed and what was found.
    pub fn validate(&self) -> Result<()> {
        let wrong = |what: &str, expected: &str, found: String| {
            Err(Error::Run(format!("{what}: expected {expected}, found {found}")))
        };
        if !(1..=MOST_RAYS).contains(&self.rays) {
            return wrong("rays", &format!("1 to {MOST_RAYS}"), self.rays.to_string());
        }
        if !(2..=4096).contains(&self.samples) {
            return wrong("samples", "2 to 4096", self.samples.to_string());
        }
        let (least, most) = self.views;
        if least < 1 || least > most || most > MOST_VIEWS {
            let expected = format!("a least number from 1 on and a most up to {MOST_VIEWS}");
            return wrong("views", &expected, format!("{least} and {most}"));
        }
        if let Some(GuidedSteps { samples, share }) = self.guided {
            if !GUIDED_SAMPLES.contains(&samples) {
                let expected = format!("{} to {}", GUIDED_SAMPLES.start(), GUIDED_SAMPLES.end());
                return wrong("guided samples", &expected, samples.to_string());
            }
            // What is not a number is in no range.
            if !(0.0..=1.0).contains(&share) {
                return wrong("share of guided steps", "a number from 0 to 1", share.to_string());
            }
        }
        if let Some(seconds) = self.seconds
            && !(seconds > 0.0 && seconds < 1e9)
        {
            return wrong("seconds", "a number above 0 and below 1000000000", seconds.to_string());
        }
        let Distillation { features, states, colour, weights } = self.distillation;
        let (alpha, balance) = self.balance.unwrap_or_default();
        let numbers = [
            ("depth weight", self.depth_weight),
            ("rate", self.schedule.peak),
            ("rate of the features", self.schedule.feature_factor),
            ("decay of the average", self.average_decay),
            ("longest gradient", self.clip_norm),
            ("weight of the teacher's features", features),
            ("weight of the teacher's states", states),
            ("weight of the teacher's colours", colour),
            ("weight of the teacher's weights", weights),
            ("latency share", alpha[0]),
            ("latency share", alpha[1]),
            ("weight of the balance", balance),
        ];
        match numbers.into_iter().find(|(_, number)| !(0.0..=1e6).contains(number)) {
            Some((name, found)) => wrong(name, "a number from 0 to 1000000", found.to_string()),
            None => Ok(()),
        }
    }
}

/// Most rays of a step.
pub const MOST_RAYS: usize = 1 << 20;
/// Most source views of a step.
pub const MOST_VIEWS: usize = 1000;
