//! The picture that is shown, as far as it is there.

use super::App;
use super::stage::{Paint, Picture};
use crate::proxy::depth::{self, DepthMap};
use crate::proxy::views::{self, Chosen};
use crate::work::parts::Level;
use crate::{Error, Result};
use scene::Camera;
use std::sync::Arc;

impl App {
    /// Photographs of the proxy.
    fn chosen(&self, camera: &Camera) -> Vec<Chosen> {
        let Some(stage) = &self.stage else { return Vec::new() };
        let truth = self.left_out();
        let frame = scene::Frame { name: String::new(), camera: *camera, truth, excluded: Vec::new() };
        let allowed = scene::paths::source_candidates(&self.scene, &frame);
        let mut ready = stage.proxy.ready();
        ready.retain(|view| allowed.binary_search(view).is_ok() && !self.look.hidden.contains(view));
        views::choose(&self.scene, camera, &ready)
    }

    /// The level that is shown; none while there is no picture at all.
    pub fn level(&self) -> Option<Level> {
        let stage = self.stage.as_ref()?;
        match stage.shown() {
            Some(made) => Some(made.level()),
            None => (!stage.proxy.ready().is_empty()).then_some(Level::Proxy),
        }
    }

    /// Depths of the colour map.
    pub fn depth_range(&self) -> [f32; 2] {
        self.scene.depth_range(1.2)
    }

    /// Draws the picture at `origin` of a target, unless the device is lost, and what is painted over it.
    pub fn draw(&mut self, paint: &Paint, target: &wgpu::TextureView, size: (u32, u32), origin: (u32, u32)) {
        if self.is_lost() {
            return; // Whoever has the window gives another device.
        }
        let camera = self.camera();
        let chosen = camera.as_ref().map(|camera| self.chosen(camera)).unwrap_or_default();
        let ready = self.level().is_some() || self.stage.as_ref().is_some_and(|stage| stage.held.is_some());
        let scene = Arc::clone(&self.scene);
        let (range, truth, kind) = (self.depth_range(), self.controls.view(), self.look.kind);
        let Some(stage) = &mut self.stage else { return };
        let picture = camera.as_ref().filter(|_| ready).map(|camera| Picture {
            camera,
            near: 0.05 * scene.near,
            chosen: &chosen,
            kind,
            range,
            level: Level::Full,
            truth: truth.map(|view| (view, &scene.views[view].camera)),
        });
        stage.draw(picture.as_ref(), paint, target, size, origin);
        if picture.is_some() && self.first_picture.is_none() {
            stage.gpu.finish();
            self.first_picture = Some(self.loaded.elapsed());
        }
        if let Some(problem) = stage.gpu.problem().filter(|_| !stage.gpu.is_lost()) {
            self.say(problem);
        }
    }

    /// The picture as it is shown, without the panel, up to a level and at the size of the network's picture.
    ///
    /// # Errors
    /// [`Error::Graphics`] if there is no device, or it is lost.
    pub fn read(&mut self, level: Level) -> Result<scene::Image> {
        let camera = self.shot.as_ref().map(|shot| shot.camera).or(self.camera());
        let camera = camera.ok_or_else(|| Error::Graphics("the picture has no size".into()))?;
        let chosen = self.chosen(&camera);
        let scene = Arc::clone(&self.scene);
        let (range, truth, kind) = (self.depth_range(), self.controls.view(), self.look.kind);
        let stage = self.stage.as_mut().ok_or_else(|| Error::Graphics("there is no device".into()))?;
        stage.read(&Picture {
            camera: &camera,
            near: 0.05 * scene.near,
            chosen: &chosen,
            kind,
            range,
            level,
            truth: truth.map(|view| (view, &scene.views[view].camera)),
        })
    }

    /// The camera of the picture that is shown, at the size that it has in the window: another one where the last complete
    /// picture is held.
    pub fn shown_camera(&self) -> Option<Camera> {
        let camera = self.camera()?;
        let held = self.stage.as_ref().and_then(|stage| stage.held.as_ref());
        Some(held.map_or(camera, |held| held.camera.resized(camera.width, camera.height)))
    }

    /// Name of the photograph that gives most of a pixel of the window's picture, where the network has made it.
    pub fn photograph_at(&self, x: f64, y: f64) -> Option<&str> {
        let (camera, shown) = (self.camera()?, self.stage.as_ref()?.shown()?);
        let (width, height) = shown.full.size;
        let at = |v: f64, of: u32, n: u32| (v >= 0.0).then_some((v / f64::from(of) * f64::from(n)) as u32);
        let texel = shown.full.at(at(x, camera.width, width)?, at(y, camera.height, height)?)?;
        Some(&self.scene.views.get(texel.view?)?.name)
    }

    /// Depth at a pixel of the window's picture: the network's where it is known, else that of the source views.
    pub fn depth_at(&self, x: f64, y: f64) -> Option<f32> {
        let camera = self.shown_camera()?;
        let stage = self.stage.as_ref()?;
        let (u, v) = (x / f64::from(camera.width), y / f64::from(camera.height));
        if !(0.0..1.0).contains(&u) || !(0.0..1.0).contains(&v) {
            return None;
        }
        let made = stage.shown().and_then(|made| {
            let (width, height) = made.full.size;
            made.depth((u * f64::from(width)) as u32, (v * f64::from(height)) as u32)
        });
        let of_maps = || {
            let chosen = self.chosen(&camera);
            let maps: Vec<&DepthMap> = chosen.iter().filter_map(|one| self.maps.get(&one.view)).collect();
            let ray = camera.ray(glam::Vec2::new(x as f32, y as f32));
            depth::meet(&ray, &maps, self.depth_range())
        };
        made.or_else(of_maps)
    }
}
