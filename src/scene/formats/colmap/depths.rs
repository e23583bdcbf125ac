//! Near and far bounds of photographs from the points that they see.
//!
//! As in LLFF's conversion of COLMAP models, the bounds are the depths that all but a thousandth of the points on either
//! side lie between. Points of which COLMAP is least certain, seen in two pictures only, take part only where few
//! others are.

use super::places::Found;
use super::{ModelImage, ModelPoint};
use crate::Result;
use crate::formats::posed::Photograph;
use crate::robust::{median, sorted};
use glam::DVec4;
use std::collections::HashMap;

/// Part of the points that may lie before the near and beyond the far bound.
const OUTSIDE: f64 = 0.001;
/// Fewest points that tell a bound.
const FEWEST: usize = 8;

/// Depths of the points that each image sees.
pub(super) struct Depths {
    /// By the identifier of the image: of points that three images see, then of the others.
    of_images: HashMap<u32, [Vec<f32>; 2]>,
    are_there: bool,
}

impl Depths {
    /// Reads the points of a model, if it has any.
    pub fn of(images: &[ModelImage], found: &Found) -> Result<Self> {
        // The third row of each camera-from-world gives depths.
        let rows: HashMap<u32, DVec4> =
            images.iter().filter_map(|image| Some((image.id, image.camera_from_world().ok()?.row(2)))).collect();
        let mut of_images: HashMap<u32, [Vec<f32>; 2]> = HashMap::new();
        let are_there = found.each_point(&mut |point: ModelPoint| {
            if !point.place.is_finite() || point.error > f64::MAX {
                return;
            }
            let kind = usize::from(point.seen_by.len() < 3);
            for id in point.seen_by {
                let Some(row) = rows.get(id) else { continue };
                let depth = row.dot(point.place.extend(1.0));
                if depth > 0.0 && depth.is_finite() {
                    of_images.entry(*id).or_default()[kind].push(depth as f32);
                }
            }
        })?;
        Ok(Self { of_images, are_there })
    }

    /// Bounds of an image; none if it sees too few points.
    pub fn bounds(&mut self, id: u32) -> Option<[f64; 2]> {
        let [certain, others] = self.of_images.remove(&id)?;
        let depths = if certain.len() >= 4 * FEWEST { certain } else { [certain, others].concat() };
        if depths.len() < FEWEST {
            return None;
        }
        let depths = sorted(depths.into_iter().map(f64::from));
        let at = |part: f64| {
            let place = part * (depths.len() - 1) as f64;
            let (low, high) = (depths[place.floor() as usize], depths[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        let [near, far] = [at(OUTSIDE), at(1.0 - OUTSIDE)];
        (near < far).then_some([near, far])
    }

    /// Gives photographs that see too few points the bounds of the others, and says so; none has any if most see too few.
    pub fn fill(&self, photographs: &mut [Photograph], warnings: &mut Vec<String>) {
        let known: Vec<[f64; 2]> = photographs.iter().filter_map(|photograph| photograph.bounds).collect();
        let poor = photographs.len() - known.len();
        if poor == 0 {
            return;
        }
        let Some(first) = photographs.iter().find(|photograph| photograph.bounds.is_none()) else { return };
        let what = first.what.clone();
        if 2 * known.len() < photographs.len() {
            let found = if self.are_there {
                "see fewer than 8 points of the model"
            } else {
                "have no points: points3D is missing"
            };
            warnings.push(format!(
                "{what}: {poor} of {} photographs {found}, so that depths are not taken from it",
                photographs.len()
            ));
            photographs.iter_mut().for_each(|photograph| photograph.bounds = None);
            return;
        }
        let usual = [0, 1].map(|end| median(known.iter().map(|bounds| bounds[end])));
        let more = if poor > 1 { format!(" and {} more", poor - 1) } else { String::new() };
        warnings.push(format!(
            "{what}{more}: fewer than {FEWEST} points of the model are seen, so that the bounds of the others are used"
        ));
        photographs.iter_mut().for_each(|photograph| {
            photograph.bounds.get_or_insert(usual);
        });
    }
}
