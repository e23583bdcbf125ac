//! `shiftray.Renderer`.

use crate::arrays::{self, Numbers};
use crate::engine::{self, Opened};
use crate::py_scene::PyScene;
use crate::{errors, interrupt};
use gnt::renderer::{Backend, Rendered, Renderer, Samples, Settings, Stop};
use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use scene::{Camera, Frame, Scene};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

/// Longest side of an image in pixels, and most pixels.
const LONGEST: u32 = 1 << 15;
const MOST_PIXELS: u64 = 1 << 26;
/// Most threads and source views, as for the program.
const MOST_THREADS: usize = 1024;
const MOST_VIEWS: usize = 1000;

/// A network, ready to render views of scenes.
///
/// Source views are prepared when they are first needed and kept from one call to the next, as long as those are about the
/// same Scene. One call at a time renders; others wait for it.
#[pyclass(name = "Renderer", module = "shiftray", frozen)]
pub struct PyRenderer {
    work: Mutex<Work>,
    model: String,
    device: String,
    samples: Samples,
    views: usize,
    threads: usize,
}

/// An engine, before it meets its first scene and after.
enum Work {
    /// Taken out when it meets it.
    Engine(Option<Backend>),
    /// The renderer of a scene, and which one that is.
    Renderer(Box<Renderer>, Arc<Scene>),
}

/// The samples of a ray, as they are given.
#[derive(FromPyObject)]
enum Given {
    Number(i64),
    Text(String),
}

impl Default for Given {
    fn default() -> Self {
        Self::Text("auto".into())
    }
}

/// Image and depth as numpy's arrays.
type Arrays<'py> = (Bound<'py, PyArray3<f32>>, Bound<'py, PyArray2<f32>>);

#[pymethods]
impl PyRenderer {
    /// Loads a model.
    ///
    /// model: one of shiftray.MODELS, or a model file.
    /// device: "cpu", "cuda", "cuda:N", or "auto" for the first GPU that is there and renders what the processor renders.
    /// threads: by default as many as the process may use. On a CPU, images do not depend on it.
    /// samples: of a ray: "auto" (12, guided by a coarse grid of rays), a number (even in inverse depth), or
    ///   "CELL:COARSE+SAMPLES".
    /// views: source views of an image; by default as many as the model asks for.
    #[new]
    #[pyo3(
        signature = (model = gnt::builtin::NAMES[0], *, device = "cpu", threads = None, samples = Given::default(), views = None),
        text_signature = "(model='gnt-shiftadd', *, device='cpu', threads=None, samples='auto', views=None)"
    )]
    fn new(
        py: Python<'_>,
        model: &str,
        device: &str,
        threads: Option<i64>,
        samples: Given,
        views: Option<i64>,
    ) -> PyResult<Self> {
        let threads = count("threads", threads, MOST_THREADS)?.unwrap_or_else(compute::parallel::available);
        let views = count("views", views, MOST_VIEWS)?;
        let text = match samples {
            Given::Number(number) => number.to_string(),
            Given::Text(text) => text,
        };
        let samples =
            text.parse().map_err(|expected| PyValueError::new_err(format!("samples: {expected}, found {text:?}")))?;
        let Opened { backend, device, config } = engine::open(py, model, device)?;
        let views = views.unwrap_or(config.views);
        Ok(Self { work: Mutex::new(Work::Engine(Some(backend))), model: model.into(), device, samples, views, threads })
    }

    /// The model's name or file.
    #[getter]
    fn model(&self) -> &str {
        &self.model
    }

    /// What computes, such as "cpu".
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    /// Renders an image. Other threads of Python go on meanwhile, and Ctrl-C ends it.
    ///
    /// scene: a Scene.
    /// pose: the camera's pose, camera-to-world, 4x4: its columns are the camera's right, down and forward axes and its
    ///   centre, in the coordinates of the scene's `world`, as View.camera_to_world has it.
    /// intrinsics: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels, 3x3. Pixel coordinates are integers at pixel centres, as
    ///   View.intrinsics has it; where the middle of an image is at width / 2, take 0.5 off cx and cy first.
    /// size: width and height in pixels.
    /// exclude: names of views that must not be sources, such as that of the photograph to compare with.
    ///
    /// Returns the image, float32 [height, width, 3] from 0 to 1, and the depth along the optical axis in the units of
    /// `world`, float32 [height, width]. Colours are as they come out, as with --no-fade of the program.
    #[pyo3(signature = (scene, pose, intrinsics, size, exclude = Vec::new()))]
    fn render<'py>(
        &self,
        py: Python<'py>,
        scene: &Bound<'py, PyScene>,
        pose: Numbers<'py>,
        intrinsics: Numbers<'py>,
        size: [i64; 2],
        exclude: Vec<String>,
    ) -> PyResult<Arrays<'py>> {
        let PyScene { scene, world, .. } = scene.get();
        let (width, height) = image_size(size)?;
        let (focal, center) = arrays::intrinsics(&intrinsics)?;
        let world_from_camera = world.pose_in_scene(scene, arrays::pose(&pose)?);
        let camera = Camera { width, height, focal, center, world_from_camera };
        let frame = Frame { excluded: excluded(scene, &exclude)?, ..Frame::new("pose", camera) };
        frame.camera.validate(&frame.name).map_err(errors::of_scene)?;

        let rendered = interrupt::run(py, |stop| self.work(scene, &frame, stop))?;
        let Some(mut rendered) = rendered? else {
            return Err(PyRuntimeError::new_err("rendering was stopped"));
        };
        rendered.image.data.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        let unit = world.unit(scene) as f32;
        rendered.depth.iter_mut().for_each(|depth| *depth *= unit);
        let (width, height) = (width as usize, height as usize);
        Ok((
            PyArray1::from_vec(py, rendered.image.data).reshape([height, width, 3])?,
            PyArray1::from_vec(py, rendered.depth).reshape([height, width])?,
        ))
    }

    fn __repr__(&self) -> String {
        let Self { model, device, samples, views, .. } = self;
        format!("<shiftray.Renderer {model:?} on {device}: {views} source views, samples {samples}>")
    }
}

impl PyRenderer {
    /// Renders a frame, when no other call does; none if `stop` came first.
    fn work(&self, scene: &Arc<Scene>, frame: &Frame, stop: Stop) -> PyResult<Option<Rendered>> {
        let Some(mut work) = self.wait(stop) else { return Ok(None) };
        if let Work::Engine(engine) = &mut *work {
            let engine = engine.take().ok_or_else(|| PyRuntimeError::new_err("the engine failed before"))?;
            let renderer = Renderer::new(engine, Scene::clone(scene));
            *work = Work::Renderer(Box::new(renderer), scene.clone());
        }
        let Work::Renderer(renderer, known) = &mut *work else { unreachable!("there is a renderer now") };
        if !Arc::ptr_eq(known, scene) {
            renderer.set_scene(Scene::clone(scene));
            *known = scene.clone();
        }
        let settings = Settings::new(scene, renderer.config(), self.samples);
        let settings = Settings { views: self.views, threads: self.threads, ..settings };
        renderer.render_unless(frame, &settings, &|_| {}, stop).map_err(errors::of_network)
    }

    /// Waits for the renderer; none if `stop` came first.
    fn wait(&self, stop: Stop) -> Option<MutexGuard<'_, Work>> {
        loop {
            match self.work.try_lock() {
                Ok(work) => return Some(work),
                // What was prepared before a mistake of this program is whole.
                Err(TryLockError::Poisoned(work)) => return Some(work.into_inner()),
                Err(TryLockError::WouldBlock) if stop() => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// A number that is given, from 1 to `most`.
fn count(name: &str, given: Option<i64>, most: usize) -> PyResult<Option<usize>> {
    let Some(given) = given else { return Ok(None) };
    let number = usize::try_from(given).ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| errors::of_argument(name, &format!("a number from 1 to {most}"), given))
}

/// A size that can be rendered.
fn image_size([width, height]: [i64; 2]) -> PyResult<(u32, u32)> {
    let side = |side: i64| u32::try_from(side).ok().filter(|side| (1..=LONGEST).contains(side));
    let size = side(width).zip(side(height)).filter(|(w, h)| u64::from(*w) * u64::from(*h) <= MOST_PIXELS);
    size.ok_or_else(|| {
        let expected = format!("width and height from 1 to {LONGEST}, and {MOST_PIXELS} pixels at most");
        errors::of_argument("size", &expected, format!("{width}x{height}"))
    })
}

/// The views of these names.
fn excluded(scene: &Scene, names: &[String]) -> PyResult<Vec<usize>> {
    let mut ids = Vec::new();
    for name in names {
        let before = ids.len();
        ids.extend((0..scene.views.len()).filter(|id| scene.views[*id].name == *name));
        if ids.len() == before {
            return Err(errors::of_argument("exclude", "names of views of the scene", format!("{name:?}")));
        }
    }
    Ok(ids)
}
