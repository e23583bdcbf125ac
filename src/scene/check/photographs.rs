//! Photographs that are blurred or exposed differently from the others.

use super::corners::Gray;
use super::{Finding, Severity, Subject, named, nearest};
use crate::Scene;
use crate::robust::median;

/// How many times less sharp than its neighbours a blurred photograph is.
const BLURRED: f64 = 0.45;
/// Stops by which the brightness of a photograph has to differ from its neighbours'.
const STOPS: f64 = 1.0;
/// Neighbours that a photograph is compared with.
const NEIGHBOURS: usize = 6;
/// Gamma of photographs, to count stops of light.
const GAMMA: f64 = 2.2;

/// What a photograph looks like as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Energy of the finest detail by that of coarser detail, which does not depend on contrast; in the direction in which
    /// it is less, since a camera that moves blurs in one direction.
    sharpness: f64,
    /// Median brightness as stored.
    brightness: f64,
}

impl Look {
    /// Of a reduced photograph.
    pub fn of(gray: &Gray) -> Self {
        let (w, h) = (gray.width, gray.height);
        let at = |x: usize, y: usize| f64::from(gray.data[y * w + x]);
        // Of second differences over one pixel and over three: smooth shading has none, so that a background out of focus
        // does not hide what became of the detail.
        let (mut fine, mut coarse) = ([0.0; 2], [0.0; 2]);
        const REACH: usize = 3;
        for y in REACH..h.saturating_sub(REACH) {
            for x in REACH..w.saturating_sub(REACH) {
                let twice = 2.0 * at(x, y);
                let across = |d: usize| (twice - at(x - d, y) - at(x + d, y)).powi(2);
                let down = |d: usize| (twice - at(x, y - d) - at(x, y + d)).powi(2);
                fine = [fine[0] + across(1), fine[1] + down(1)];
                coarse = [coarse[0] + across(REACH), coarse[1] + down(REACH)];
            }
        }
        // A direction without any detail tells nothing.
        let ratio = |i: usize| if coarse[i] > 0.0 { fine[i] / coarse[i] } else { 1.0 };
        let sharpness = ratio(0).min(ratio(1));
        Self { sharpness, brightness: median(gray.data.iter().map(|v| f64::from(*v))) }
    }
}

/// Photographs whose finest detail is missing beside their neighbours'.
pub(super) fn blurred(scene: &Scene, looks: &[Look]) -> Option<Finding> {
    let is_blurred = |&id: &usize| {
        let others = nearest(scene, id, NEIGHBOURS);
        let usual = median(others.iter().map(|other| looks[*other].sharpness));
        others.len() >= 2 && looks[id].sharpness < BLURRED * usual
    };
    let views: Vec<usize> = (0..looks.len()).filter(is_blurred).collect();
    (!views.is_empty()).then(|| Finding {
        severity: Severity::Worse,
        subject: Subject::Blur,
        problem: format!("blurred beside their neighbours: {}", named(scene, &views)),
        views,
        remedy: "take these photographs again or leave them out; a faster shutter or more light helps".into(),
    })
}

/// Photographs that are much brighter or darker than their neighbours.
pub(super) fn exposed(scene: &Scene, looks: &[Look]) -> Option<Finding> {
    let stops = |id: usize| {
        let others = nearest(scene, id, NEIGHBOURS);
        let usual = median(others.iter().map(|other| looks[*other].brightness));
        // Below a two-hundredth nothing is told from noise.
        let light = |brightness: f64| GAMMA * brightness.max(0.005).log2();
        if others.len() < 2 { 0.0 } else { light(looks[id].brightness) - light(usual) }
    };
    let all: Vec<f64> = (0..looks.len()).map(stops).collect();
    let views: Vec<usize> = (0..looks.len()).filter(|id| all[*id].abs() > STOPS).collect();
    (!views.is_empty()).then(|| {
        let most = views.iter().copied().max_by(|a, b| all[*a].abs().total_cmp(&all[*b].abs())).unwrap_or(0);
        let word = if all[most] < 0.0 { "darker" } else { "brighter" };
        Finding {
            severity: Severity::Worse,
            subject: Subject::Exposure,
            problem: format!(
                "exposed differently from their neighbours: {}; {} is {:.1} stops {word}",
                named(scene, &views),
                scene.views[most].name,
                all[most].abs()
            ),
            views,
            remedy: "fix exposure and white balance while taking photographs, or even them out before; new views will flicker \
                     otherwise"
                .into(),
        }
    })
}
