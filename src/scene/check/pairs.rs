//! Pairs of neighbouring photographs, their matches, and how far poses agree with them.

use super::corners::Corners;
use super::geometry::most_on_lines;
use super::{Finding, Severity, Subject, named, nearest};
use crate::robust::{median, quantile, sorted};
use crate::{Camera, Scene, parallel};
use glam::{DMat4, DVec3, Vec2};
use std::collections::BTreeSet;

/// Neighbours of each view that it is compared with.
const NEIGHBOURS: usize = 4;
/// Most views that are compared; of more, every n-th with its neighbours.
const MOST_VIEWS: usize = 150;
/// Fewest matches that say something about a pair.
const FEWEST: usize = 20;
/// How far from its epipolar line a match may lie, in pixels of the reduced photographs.
const ON_LINE: f64 = 2.0;
/// A pair agrees from this part of its matches on their lines; chance gives about a fiftieth, and wrong matches, which are
/// some in any pair, take from the rest.
const AGREES: f64 = 0.4;
/// How many times less than the usual agreement a pair is when its poses are wrong.
const DISAGREES: f64 = 0.5;

/// Two views with places that show the same.
pub(super) struct Pair {
    pub ids: [usize; 2],
    /// Rays `(x, y, 1)` of the cameras, x right, y down.
    pub rays: Vec<[DVec3; 2]>,
    /// Pixels of the reduced photographs by focal lengths, of the second view.
    focal: f64,
}

/// All pairs.
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    /// Matches each view with those that look most nearly the same way from most nearly the same place.
    pub fn of(scene: &Scene, corners: &[Corners], threads: usize) -> Self {
        let count = scene.views.len();
        let wanted: BTreeSet<[usize; 2]> = (0..count)
            .step_by(count.div_ceil(MOST_VIEWS).max(1))
            .flat_map(|i| nearest(scene, i, NEIGHBOURS).into_iter().map(move |j| [i.min(j), i.max(j)]))
            .collect();
        let wanted: Vec<[usize; 2]> = wanted.into_iter().collect();
        let pairs = parallel::map(wanted.len(), threads, |n| {
            let [i, j] = wanted[n];
            let matches = corners[i].matches(&corners[j]);
            let [a, b] = [i, j].map(|id| &scene.views[id].camera);
            let rays = matches.iter().map(|&(p, q)| [ray(a, corners[i].places[p]), ray(b, corners[j].places[q])]);
            let focal = f64::from(b.focal.x.abs().min(b.focal.y.abs()) / corners[j].scale);
            Pair { ids: [i, j], rays: rays.collect(), focal }
        });
        Self(pairs.into_iter().filter(|pair| pair.rays.len() >= FEWEST).collect())
    }

    /// Number of pairs that say something.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Median agreement with the poses of the scene; none without pairs of cameras that stand apart.
    pub fn agreement(&self, scene: &Scene) -> Option<f64> {
        let all = self.agreements(&|id| scene.views[id].camera.world_from_camera.as_dmat4());
        let known: Vec<f64> = all.into_iter().flatten().collect();
        (!known.is_empty()).then(|| median(known))
    }

    /// Agreement of each pair with poses, where both cameras stand apart.
    pub fn agreements(&self, pose: &dyn Fn(usize) -> DMat4) -> Vec<Option<f64>> {
        self.0.iter().map(|pair| pair.agreement(pose(pair.ids[0]), pose(pair.ids[1]))).collect()
    }

    /// Views most of whose pairs disagree, while those of others agree.
    pub fn wrong_poses(&self, scene: &Scene, threads: usize) -> Vec<Finding> {
        let all = self.agreements(&|id| scene.views[id].camera.world_from_camera.as_dmat4());
        let known = || all.iter().flatten().copied();
        let usual = quantile(&sorted(known()), 0.6);
        if known().count() == 0 {
            return Vec::new();
        }
        if usual < AGREES {
            return vec![Finding {
                severity: Severity::Wrong,
                subject: Subject::Pose,
                views: Vec::new(),
                problem: format!(
                    "the poses do not fit the photographs: of what two neighbouring photographs both show, {:.0} % lies where \
                     the poses say it should, instead of most",
                    100.0 * usual
                ),
                remedy: "find the poses anew (`shiftray poses`), and check that no photograph was renamed, turned, cropped or \
                         resized after they were found"
                    .into(),
            }];
        }
        // A pair speaks against its poses only if its matches fit other cameras better; else the matches are what is wrong.
        let clear: Vec<Option<f64>> = parallel::map(all.len(), threads, |n| {
            let agreement = all[n]?;
            let poor = agreement < DISAGREES * usual;
            (!poor || self.0[n].fits_other_cameras(agreement)).then_some(agreement)
        });
        let mut wrong: BTreeSet<usize> = BTreeSet::new();
        // One wrong view spoils the pairs of its neighbours: the worst is taken out first, then it is looked again.
        loop {
            let mut worst: Option<(f64, usize)> = None;
            for id in 0..scene.views.len() {
                let own: Vec<f64> = self
                    .0
                    .iter()
                    .zip(&clear)
                    .filter(|(pair, _)| pair.ids.contains(&id) && !pair.ids.iter().any(|other| wrong.contains(other)))
                    .filter_map(|(_, agreement)| *agreement)
                    .collect();
                if own.len() >= 2 && median(own.iter().copied()) < DISAGREES * usual {
                    let mean = own.iter().sum::<f64>() / own.len() as f64;
                    worst = worst.filter(|(least, _)| *least <= mean).or(Some((mean, id)));
                }
            }
            match worst {
                Some((_, id)) => wrong.insert(id),
                None => break,
            };
        }
        let wrong: Vec<usize> = wrong.into_iter().collect();
        if wrong.is_empty() {
            return Vec::new();
        }
        vec![Finding {
            severity: Severity::Wrong,
            subject: Subject::Pose,
            problem: format!("poses that do not fit the photographs: {}", named(scene, &wrong)),
            views: wrong,
            remedy: "leave these photographs out, or find their poses anew with more photographs from places between them and \
                     the others"
                .into(),
        }]
    }

    /// Depths that a twentieth of the places that agree is nearer and farther than, in scene units.
    pub fn depths(&self, scene: &Scene) -> Option<[f64; 2]> {
        let pose = |id: usize| scene.views[id].camera.world_from_camera.as_dmat4();
        let mut depths = Vec::new();
        for pair in &self.0 {
            let [a, b] = pair.ids.map(pose);
            let relative = b.inverse() * a;
            if pair.agreement(a, b).is_some_and(|agreement| agreement >= AGREES) {
                depths.extend(pair.rays.iter().filter_map(|rays| pair.depth(relative, rays)));
            }
        }
        let depths = sorted(depths);
        (depths.len() >= 5 * FEWEST).then(|| [quantile(&depths, 0.05), quantile(&depths, 0.95)])
    }
}

impl Pair {
    /// Part of the matches within [`ON_LINE`] of their epipolar lines, in front of both cameras; none where the cameras stand
    /// in one place. Poses are camera-to-world, x right, y down, z forward.
    fn agreement(&self, first: DMat4, second: DMat4) -> Option<f64> {
        let relative = second.inverse() * first;
        let way = relative.w_axis.truncate();
        if way.length() < 1e-9 {
            return None;
        }
        let on_line = self.rays.iter().filter(|rays| self.is_on_line(relative, rays)).count();
        Some(on_line as f64 / self.rays.len() as f64)
    }

    /// Whether there are cameras that explain more of the matches than those that explain a part `agreement` of them.
    fn fits_other_cameras(&self, agreement: f64) -> bool {
        let most = most_on_lines(&self.rays, ON_LINE / self.focal);
        most >= AGREES && agreement < DISAGREES * most
    }

    fn is_on_line(&self, relative: DMat4, [a, b]: &[DVec3; 2]) -> bool {
        let line = relative.w_axis.truncate().cross(relative.transform_vector3(*a));
        let normal = line.truncate().length();
        if normal < 1e-12 {
            return false;
        }
        let off = line.dot(*b).abs() / normal * self.focal;
        off < ON_LINE && self.depth_of(relative, [a, b]).is_some_and(|depth| depth > 0.0)
    }

    /// Depth in the second view of a match on its line.
    fn depth(&self, relative: DMat4, rays: &[DVec3; 2]) -> Option<f64> {
        let parallax = relative.transform_vector3(rays[0]).angle_between(rays[1]);
        // Depths of places that hardly move are noise.
        (self.is_on_line(relative, rays) && parallax * self.focal > 3.0 * ON_LINE)
            .then(|| self.depth_of(relative, [&rays[0], &rays[1]]))
            .flatten()
    }

    /// Depth in the second view where both rays come closest; negative behind either camera, infinite if they are parallel.
    fn depth_of(&self, relative: DMat4, [a, b]: [&DVec3; 2]) -> Option<f64> {
        let (from, along) = (relative.w_axis.truncate(), relative.transform_vector3(*a));
        // s·b ≈ from + t·along, by least squares.
        let (bb, ab, aa) = (b.length_squared(), along.dot(*b), along.length_squared());
        let determinant = aa * bb - ab * ab;
        if determinant < 1e-7 * aa * bb {
            // So far away that both see it in one direction: in front, if both look the same way.
            return (ab > 0.0).then_some(f64::INFINITY);
        }
        let (fa, fb) = (from.dot(along), from.dot(*b));
        let s = (aa * fb - ab * fa) / determinant;
        let t = (ab * fb - bb * fa) / determinant;
        Some(if t > 0.0 { s } else { -s.abs() })
    }
}

fn ray(camera: &Camera, pixel: Vec2) -> DVec3 {
    ((pixel - camera.center) / camera.focal).extend(1.0).as_dvec3()
}
