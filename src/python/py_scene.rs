//! `shiftray.Scene` and `shiftray.View`.

use crate::coordinates::World;
use crate::{arrays, errors};
use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use scene::{FAR_EVAL, LoadOptions, Scene, View};
use std::path::PathBuf;
use std::sync::Arc;

/// Posed photographs.
///
/// What is given to and told of a scene (poses, depths, bounds) is in the coordinates of its files, or, with world="scene",
/// in those in which it is rendered. Either way a camera looks along z with x to the right and y down.
#[pyclass(name = "Scene", module = "shiftray", frozen)]
pub struct PyScene {
    pub scene: Arc<Scene>,
    pub world: World,
    views: Py<PyTuple>,
}

#[pymethods]
impl PyScene {
    /// Reads a scene. Photographs are read when they are needed.
    ///
    /// path: a folder or a zip file, or a name such as "llff/fern" that is looked up in the folders of `scenes`, those of
    ///   the environment variable SHIFTRAY_SCENES, and in scenes/; "still-life" is in the package.
    /// factor: reduction of the photographs; by default that of images_8, images_4 or images, whichever comes first.
    /// bounds: near and far depth in the units of the scene's files; by default what the files tell.
    /// format: layout of the files, such as "colmap"; by default what they are recognised as.
    /// world: whose coordinates are used, "file" or "scene".
    ///
    /// What looked odd while reading is told by warnings.
    #[new]
    #[pyo3(signature = (path, *, factor = None, bounds = None, format = None, scenes = Vec::new(), world = "file"))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        factor: Option<u32>,
        bounds: Option<[f64; 2]>,
        format: Option<&str>,
        scenes: Vec<PathBuf>,
        world: &str,
    ) -> PyResult<Self> {
        let world = World::named(world)?;
        let format = format.map(str::parse).transpose().map_err(errors::of_scene)?;
        let options = LoadOptions { factor, bounds, format, ..LoadOptions::default() };
        let Some(name) = path.to_str() else {
            return Err(errors::of_argument("path", "a path in Unicode", path.display()));
        };
        let scene = py.detach(|| scene::open(name, &scenes, &options)).map_err(errors::of_scene)?;
        for warning in &scene.warnings {
            errors::warn(py, warning)?;
        }
        let scene = Arc::new(scene);
        let views = (0..scene.views.len()).map(|id| PyView { scene: scene.clone(), world, id });
        let views = PyTuple::new(py, views.map(|view| Py::new(py, view)).collect::<PyResult<Vec<_>>>()?)?.unbind();
        Ok(Self { scene, world, views })
    }

    /// Name of the scene: the last part of its folder.
    #[getter]
    fn name(&self) -> &str {
        &self.scene.name
    }

    /// Its folder.
    #[getter]
    fn root(&self) -> PathBuf {
        self.scene.root.clone()
    }

    /// The layout that it was read as.
    #[getter]
    fn format(&self) -> &'static str {
        self.scene.format.name()
    }

    /// Whose coordinates are used: "file" or "scene".
    #[getter]
    fn world(&self) -> &'static str {
        self.world.name()
    }

    /// All views, in order.
    #[getter]
    fn views(&self, py: Python<'_>) -> Py<PyTuple> {
        self.views.clone_ref(py)
    }

    /// Names of the views that are kept for testing. They are sources all the same, unless they are excluded.
    #[getter]
    fn held_out(&self) -> Vec<&str> {
        self.scene.held_out.iter().map(|id| self.scene.views[*id].name.as_str()).collect()
    }

    /// Width and height that most views have, in pixels.
    #[getter]
    fn size(&self) -> (u32, u32) {
        self.scene.size()
    }

    /// Near and far depth along the optical axis, between which is rendered.
    #[getter]
    fn depth_range(&self) -> (f64, f64) {
        let unit = self.world.unit(&self.scene);
        let [near, far] = self.scene.depth_range(FAR_EVAL).map(|depth| f64::from(depth) * unit);
        (near, far)
    }

    /// The 4x4 matrix from the coordinates of the scene's files to those in which it is rendered: scaled, turned and moved.
    #[getter]
    fn scene_from_file<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let rows = self.scene.scene_from_file.rows().map(|row| row.to_vec());
        Ok(PyArray2::from_vec2(py, &rows)?)
    }

    /// What looked odd while reading.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.scene.warnings.clone()
    }

    fn __repr__(&self) -> String {
        let (width, height) = self.scene.size();
        let (format, views) = (self.scene.format.name(), self.scene.views.len());
        format!("<shiftray.Scene {:?}: {format}, {views} views of {width}x{height}>", self.scene.name)
    }
}

/// A photograph of a scene with its camera.
#[pyclass(name = "View", module = "shiftray", frozen)]
pub struct PyView {
    scene: Arc<Scene>,
    world: World,
    id: usize,
}

impl PyView {
    fn view(&self) -> &View {
        &self.scene.views[self.id]
    }
}

#[pymethods]
impl PyView {
    /// Name of the photograph's file, without its ending.
    #[getter]
    fn name(&self) -> &str {
        &self.view().name
    }

    /// The photograph's file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.view().path.clone()
    }

    /// Width and height in pixels, after the scene's reduction.
    #[getter]
    fn size(&self) -> (u32, u32) {
        (self.view().camera.width, self.view().camera.height)
    }

    /// [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels, 3x3 float64. Pixel coordinates are integers at pixel centres: the
    /// middle of an image is at (width - 1) / 2.
    #[getter]
    fn intrinsics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        arrays::of_intrinsics(py, self.view().camera.focal, self.view().camera.center)
    }

    /// The pose, camera-to-world, 4x4 float64: its columns are the camera's right, down and forward axes and its centre, in
    /// the coordinates of the scene's `world`.
    #[getter]
    fn camera_to_world<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        arrays::of_pose(py, self.world.pose_of(&self.scene, self.view().camera.world_from_camera))
    }

    /// Reads the photograph as the camera sees it, undistorted: float32 [height, width, 3], 0 to 1.
    fn image<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f32>>> {
        let image = py.detach(|| self.view().load_image()).map_err(errors::of_scene)?;
        PyArray1::from_vec(py, image.data).reshape([image.height as usize, image.width as usize, 3])
    }

    fn __repr__(&self) -> String {
        let (width, height) = self.size();
        format!("<shiftray.View {:?}: {width}x{height}>", self.view().name)
    }
}
