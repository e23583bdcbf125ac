//! A path that is rendered in the background: frames put together and written, whole or not at all.

use crate::source::{Patch, Shot};
use crate::work::parts::Canvas;
use scene::fade::Fade;
use scene::{Camera, Frame, write};
use std::path::PathBuf;

/// Frames that are being rendered.
#[derive(Debug)]
pub struct PathJob {
    /// Where they go.
    pub folder: PathBuf,
    /// Frames in their order.
    pub frames: Vec<Frame>,
    /// How many are written.
    pub written: usize,
    /// The frame that is being made.
    canvas: Option<(usize, Canvas)>,
    /// Cameras of its source views, if what they do not see fades.
    sources: Option<(usize, Vec<Camera>)>,
}

impl PathJob {
    /// Frames for a folder, and their shots.
    pub fn new(folder: PathBuf, frames: Vec<Frame>) -> Self {
        Self { folder, frames, written: 0, canvas: None, sources: None }
    }

    /// The shots, in the quality of another one.
    pub fn shots<'a>(&'a self, like: &'a Shot) -> impl Iterator<Item = Shot> + 'a {
        self.frames.iter().map(|frame| Shot {
            camera: frame.camera,
            truth: None,
            excluded: like.excluded.clone(),
            quality: like.quality,
        })
    }

    /// Whether all are written.
    pub fn is_done(&self) -> bool {
        self.written == self.frames.len()
    }

    /// Begins a frame, whose unseen pixels fade if `sources`, the cameras of its source views, are told.
    pub fn begin(&mut self, frame: usize, sources: Option<Vec<Camera>>) {
        self.sources = sources.map(|sources| (frame, sources));
    }

    /// Puts in pixels of a frame.
    pub fn put(&mut self, frame: usize, patch: &Patch) {
        let Some(camera) = self.frames.get(frame).map(|frame| &frame.camera) else { return };
        if self.canvas.as_ref().is_none_or(|(of, _)| *of != frame) {
            self.canvas = Some((frame, Canvas::new((camera.width, camera.height))));
        }
        self.canvas.iter_mut().for_each(|(_, canvas)| canvas.put(patch));
    }

    /// Writes a frame that is complete.
    ///
    /// # Errors
    /// [`crate::Error::Scene`] if it cannot be written.
    pub fn finish(&mut self, frame: usize, fade: Option<Fade>) -> crate::Result<()> {
        let Some((_, mut canvas)) = self.canvas.take_if(|(of, canvas)| *of == frame && canvas.is_whole()) else {
            return Ok(());
        };
        if let (Some((_, sources)), Some(fade)) = (self.sources.take_if(|(of, _)| *of == frame), fade) {
            canvas.fade(fade, &self.frames[frame].camera, &sources);
        }
        let failed = |source| scene::Error::Io { path: self.folder.clone(), source };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        write::write_png(&self.folder.join(format!("{}.png", self.frames[frame].name)), &canvas.image())?;
        self.written += 1;
        Ok(())
    }
}
