//! The cameras of a path file's frames: what a frame gives, and what comes from the photographs.

use super::fields::Fields;
use super::size;
use crate::json::kind;
use crate::{Camera, Result, Scene};
use glam::Vec2;
use std::collections::BTreeSet;

/// Longest side of a frame.
const MAX_SIDE: u32 = 16_384;

/// What is the same for all frames of a file.
pub(super) struct Reading<'a> {
    pub scene: &'a Scene,
    pub template: Camera,
    pub warnings: Vec<String>,
    pub unknown: BTreeSet<String>,
}

impl Reading<'_> {
    pub fn note_unknown(&mut self, fields: &Fields, known: &[&str]) {
        self.unknown.extend(fields.unknown(known));
    }

    /// A frame's camera in our own format, without its pose.
    pub fn own(&mut self, fields: &Fields) -> Result<Camera> {
        const KNOWN: [&str; 10] = ["name", "camera_to_world", "w", "h", "fl_x", "fl_y", "cx", "cy", "fov", "exclude"];
        const HARMLESS: [&str; 13] = [
            "camera_type",
            "camera_model",
            "k1",
            "k2",
            "k3",
            "k4",
            "k5",
            "k6",
            "p1",
            "p2",
            "crop",
            "distortion_params",
            "file_path",
        ];
        self.note_unknown(fields, &[KNOWN.as_slice(), &HARMLESS].concat());
        let (mut camera, _) = self.sized(fields, "w", "h")?;
        let (fl_x, fl_y, fov) = (fields.number("fl_x")?, fields.number("fl_y")?, fields.number("fov")?);
        match (fl_x.or(fl_y), fov) {
            (Some(focal), _) => camera.focal = Vec2::new(fl_x.unwrap_or(focal) as f32, fl_y.unwrap_or(focal) as f32),
            (None, Some(fov)) => camera = square(camera, fov, fields)?,
            (None, None) => {}
        }
        if let Some(cx) = fields.number("cx")? {
            camera.center.x = cx as f32;
        }
        if let Some(cy) = fields.number("cy")? {
            camera.center.y = cy as f32;
        }
        Ok(camera)
    }

    /// A frame's camera as nerfstudio's viewer writes it, without its pose.
    pub fn viewer(&mut self, root: &Fields, fields: &Fields) -> Result<Camera> {
        let (mut camera, _) = self.sized(root, "render_width", "render_height")?;
        let fov = fields.number("fov")?;
        let fov = if fov.is_some() { fov } else { root.number("default_fov")? };
        if let Some(fov) = fov {
            camera = square(camera, fov, fields)?;
            camera.center = crate::middle(camera.width, camera.height);
        }
        let rendered = f64::from(camera.width) / f64::from(camera.height);
        if let Some(aspect) = fields.number("aspect")?.filter(|aspect| (aspect / rendered - 1.0).abs() > 0.02) {
            let (w, h) = (camera.width, camera.height);
            let warning =
                format!("expected an aspect of {rendered:.3} as {w}x{h} pixels have, found {aspect:.3}: ignored");
            // One frame stands for all.
            if !self.warnings.iter().any(|known| known.ends_with(&warning)) {
                self.warnings.push(format!("{}: {warning}", fields.what));
            }
        }
        Ok(camera)
    }

    /// The photographs' camera at the size under two keys, each side by default its own.
    fn sized(&self, fields: &Fields, width: &str, height: &str) -> Result<(Camera, size::Cropped)> {
        let side = |key: &str, default: u32| match fields.number(key)? {
            None => Ok(default),
            Some(v) if v >= 1.0 && v <= f64::from(MAX_SIDE) && v.fract() == 0.0 => Ok(v as u32),
            Some(v) => Err(fields.fail(format!("expected {key} of 1 to {MAX_SIDE} whole pixels, found {v}"))),
        };
        let (width, height) = (side(width, self.template.width)?, side(height, self.template.height)?);
        Ok(size::fitted(&self.template, width, height))
    }

    /// The views that a frame excludes, by their names or files.
    pub fn excluded(&self, fields: &Fields) -> Result<Vec<usize>> {
        let mut ids = Vec::new();
        for value in fields.list("exclude")?.unwrap_or_default() {
            let of_name = |name: &str| {
                let views = &self.scene.views;
                let called = |id: &usize| views[*id].name == name || file_below(self.scene, *id) == name;
                (0..views.len()).filter(called).collect::<Vec<_>>()
            };
            match value.as_str().map(of_name).as_deref() {
                Some([id]) => ids.push(*id),
                Some([first, second, ..]) => {
                    let [first, second] = [first, second].map(|id| file_below(self.scene, *id));
                    let problem = format!(
                        "expected exclude to name one photograph, found {}, which is {first} and {second}",
                        kind(value)
                    );
                    return Err(fields.fail(problem));
                }
                _ => return Err(fields.fail(format!("expected exclude to name photographs, found {}", kind(value)))),
            }
        }
        Ok(ids)
    }
}

/// The camera with square pixels and a vertical field of view in degrees.
fn square(camera: Camera, fov: f64, fields: &Fields) -> Result<Camera> {
    size::with_fov(&Camera { focal: Vec2::ONE, ..camera }, fov).map_err(|problem| fields.fail(problem))
}

/// A name that is safe as a file stem.
pub(super) fn checked_name(name: &str, fields: &Fields) -> Result<String> {
    let unsafe_char = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || name.contains(unsafe_char) {
        let start: String = name.chars().take(40).collect();
        let problem = format!("expected a name that a file can have on any system, found {start:?}");
        return Err(fields.fail(problem));
    }
    Ok(name.to_owned())
}

/// A view's photograph as it is called from the scene's folder, such as `test/r_0.png`.
pub(super) fn file_below(scene: &Scene, id: usize) -> String {
    let path = &scene.views[id].path;
    path.strip_prefix(&scene.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
