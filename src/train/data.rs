//! Feeding: from scenes on disk to one training step's sources, rays and colours.

use crate::surfaces;
use crate::{Error, Result};
use gnt::surface::SurfaceMap;
use gnt::{Axes, Config, sharpened};
use layers::params::SplitMix;
use scene::{Camera, Format, Image, Ray, Scene};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Scenes to train on; images are read when first used and kept as 8 bits a channel.
#[derive(Debug)]
pub struct Dataset {
    scenes: Vec<TrainingScene>,
}

#[derive(Debug)]
struct TrainingScene {
    scene: Scene,
    views: Vec<OnceLock<Pixels>>,
    /// Views that are trained on.
    ids: Vec<usize>,
    /// A capture's own bounds and what is known of its views' surfaces; none of scenes with exact depths.
    capture: Option<Capture>,
}

/// What is known of a scene without exact depths.
#[derive(Debug)]
struct Capture {
    surfaces: Vec<Option<Arc<SurfaceMap>>>,
    depth_range: (f32, f32),
}

#[derive(Debug)]
struct Pixels {
    rgb: Vec<u8>,
    /// z-depth in scene units, `[height, width]`, where the scene has it.
    depth: Option<Vec<f32>>,
}

/// One step's input.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Source photographs with their cameras.
    pub sources: Vec<(Camera, Image)>,
    /// Where the sources' own rays end, as far as it is told.
    pub surfaces: Vec<Option<SurfaceMap>>,
    /// Rays of the target view.
    pub rays: Vec<Ray>,
    /// Their colours in the photograph `[rays, 3]`.
    pub colours: Vec<f32>,
    /// Their z-depths, where the scene has them.
    pub depths: Option<Vec<f32>>,
    /// Where the scene has depths, or surfaces were found: depths at the corners of the cell of a coarse grid of pixels around
    /// each ray, which is what a coarse pass would tell of it.
    pub corners: Option<Vec<[f32; 4]>>,
    /// Near and far bound.
    pub depth_range: (f32, f32),
}

/// How batches are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Rays a step.
    pub rays: usize,
    /// Fewest and most source views.
    pub views: (usize, usize),
    /// The frame of the network's directions, in which cameras and rays are given.
    pub axes: Axes,
    /// Whether the network asks what samples are hidden from, see [`gnt::surface`].
    pub visibility: bool,
    /// How much the source photographs are sharpened, in hundredths.
    pub sharpening: u8,
}

impl Draw {
    /// Batches for a network.
    pub fn of(config: &Config, rays: usize, views: (usize, usize)) -> Self {
        let Config { axes, visibility, sharpening, .. } = *config;
        Self { rays, views, axes, visibility, sharpening }
    }
}

/// From this number of scenes on, photographs are not read before the first step; see [`Dataset::check_files`].
pub const MOST_CHECKED: usize = 50;

/// Part of the steps in which no surface map is told to a network that asks for them.
const UNTOLD_STEPS: f32 = 0.3;
/// Part of the views whose map is not told in the other steps.
const UNTOLD_VIEWS: f32 = 0.05;

/// Pixels between the corners of [`Batch::corners`], at most.
const MAX_CELL: usize = 8;

impl Dataset {
    /// Loads every scene in `folder`: the folder itself if it is a scene, else its sub-folders in name order; hidden ones
    /// are left out.
    ///
    /// # Errors
    /// If there is no scene, or one cannot be loaded.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::load(folder, Self::folders(folder)?)
    }

    /// The folders of the scenes in `folder`, in name order: the folder itself if it is a scene, else those of its
    /// sub-folders that are not hidden.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
        let io = |source| Error::Io { path: folder.to_owned(), source };
        let is_scene = |folder: &Path| scene::formats::holds(folder, Format::Llff);
        let mut folders: Vec<PathBuf> = if is_scene(folder) {
            vec![folder.to_owned()]
        } else {
            let entries = std::fs::read_dir(folder).map_err(io)?.collect::<std::io::Result<Vec<_>>>().map_err(io)?;
            // A hidden folder is no scene, but one that is being made.
            let hidden = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with('.');
            let paths = entries.into_iter().filter(|e| !hidden(e)).map(|e| e.path());
            paths.filter(|path| is_scene(path)).collect()
        };
        folders.sort();
        Ok(folders)
    }

    fn load(folder: &Path, folders: Vec<PathBuf>) -> Result<Self> {
        if folders.is_empty() {
            return Err(Error::Run(format!("{}: expected scenes in LLFF layout, found none", folder.display())));
        }
        let mut scenes = Vec::with_capacity(folders.len());
        for folder in folders {
            let scene = scene::formats::load(&folder, &scene::LoadOptions::default())?;
            if scene.views.len() < 3 {
                let found = scene.views.len();
                return Err(Error::Run(format!("{}: expected at least 3 views, found {found}", folder.display())));
            }
            let views = (0..scene.views.len()).map(|_| OnceLock::new()).collect();
            let ids = (0..scene.views.len()).collect();
            scenes.push(TrainingScene { scene, views, ids, capture: None });
        }
        Ok(Self { scenes })
    }

    /// The source views of one capture, held-out ones left aside. `surfaces` tells where the rays of its views end, by their
    /// numbers; `depth_range` is the near and far bound of its samples.
    ///
    /// # Errors
    /// If there are fewer than three source views.
    pub fn of_capture(
        scene: Scene,
        surfaces: impl IntoIterator<Item = (usize, Arc<SurfaceMap>)>,
        depth_range: (f32, f32),
    ) -> Result<Self> {
        let ids = scene.source_ids.clone();
        if ids.len() < 3 {
            let found = ids.len();
            return Err(Error::Run(format!(
                "{}: expected at least 3 source views, found {found}",
                scene.root.display()
            )));
        }
        let mut known = vec![None; scene.views.len()];
        surfaces.into_iter().for_each(|(id, map)| known[id] = Some(map));
        let views = (0..scene.views.len()).map(|_| OnceLock::new()).collect();
        let capture = Some(Capture { surfaces: known, depth_range });
        Ok(Self { scenes: vec![TrainingScene { scene, views, ids, capture }] })
    }

    /// Checks that every image has at least `side` pixels on each side, which the feature network needs.
    ///
    /// # Errors
    /// [`Error::Run`] naming scene, image and size.
    pub fn expect_sides(&self, side: usize) -> Result<()> {
        for TrainingScene { scene, .. } in &self.scenes {
            let small = |view: &&scene::View| (view.camera.width.min(view.camera.height) as usize) < side;
            if let Some(view) = scene.views.iter().find(small) {
                let (root, name, camera) = (scene.root.display(), &view.name, &view.camera);
                return Err(Error::Run(format!(
                    "{root}: image {name}: expected at least {side} pixels on each side, which the feature network needs, \
                     found {}x{}",
                    camera.width, camera.height
                )));
            }
        }
        Ok(())
    }

    /// Checks the files of the scenes before long work: photographs and depth maps whole where there are fewer than
    /// [`MOST_CHECKED`] scenes, `threads` at a time; otherwise only that depth maps are as large as the photographs, by
    /// their headers, since reading all photographs of a large set takes longer than most runs can wait.
    ///
    /// # Errors
    /// If a file cannot be used; it is named.
    pub fn check_files(&self, threads: usize) -> Result<()> {
        let few = self.scenes.len() < MOST_CHECKED;
        for scene in &self.scenes {
            if few {
                scene.scene.check_images(threads)?;
            }
            for view in 0..scene.views.len() {
                if few {
                    scene.depth(view)?;
                } else {
                    scene.check_depth(view)?;
                }
            }
        }
        Ok(())
    }

    /// What looked odd while the scenes were loaded, each with the scene's name.
    pub fn warnings(&self) -> Vec<String> {
        let of = |scene: &TrainingScene| {
            let named = |warning: &String| format!("{}: {warning}", scene.scene.name);
            scene.scene.warnings.iter().map(named).collect::<Vec<_>>()
        };
        self.scenes.iter().flat_map(of).collect()
    }

    /// Whether any scene has exact depth.
    pub fn has_depth(&self) -> bool {
        self.scenes.iter().any(|scene| (0..scene.views.len()).any(|view| scene.depth_file(view).is_some()))
    }

    /// The scene with the fewest views: its name and their number.
    pub fn fewest_views(&self) -> Option<(&str, usize)> {
        let counts = self.scenes.iter().map(|scene| (scene.scene.name.as_str(), scene.views.len()));
        counts.min_by_key(|(_, views)| *views)
    }

    /// The scenes, in the order of their folders' names.
    pub fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.scenes.iter().map(|scene| &scene.scene)
    }

    /// Number of scenes.
    pub fn len(&self) -> usize {
        self.scenes.len()
    }

    /// Whether there is no scene.
    pub fn is_empty(&self) -> bool {
        self.scenes.is_empty()
    }

    /// Draws the batch of a step; the same `seed` gives the same batch.
    ///
    /// As in GNT's training, sources are drawn from a pool of the nearest views that is one to three times as large as
    /// the number drawn.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub fn draw(&self, seed: u64, how: Draw) -> Result<Batch> {
        let mut rng = SplitMix(seed);
        let scene = &self.scenes[rng.below(self.scenes.len())];
        let target = scene.ids[rng.below(scene.ids.len())];
        let others: Vec<usize> = scene.ids.iter().copied().filter(|i| *i != target).collect();
        let camera = scene.scene.views[target].camera;
        let wanted = (how.views.0 + rng.below(how.views.1 - how.views.0 + 1)).min(others.len());
        let pool = wanted * (1 + rng.below(3));
        let mut pool = scene::nearest_sources(&scene.scene, &camera, &others, pool)?;
        for i in 0..wanted {
            let j = i + rng.below(pool.len() - i);
            pool.swap(i, j);
        }
        let sources = pool[..wanted]
            .iter()
            .map(|&i| {
                let image = scene.image(i)?;
                let image = if how.sharpening > 0 { sharpened(&image, how.sharpening) } else { image };
                Ok((how.axes.place(&camera, &scene.scene.views[i].camera), image))
            })
            .collect::<Result<Vec<_>>>()?;
        let camera = how.axes.place(&camera, &camera);
        let pixels = scene.pixels(target)?;
        let (w, h) = (camera.width as usize, camera.height as usize);
        let (mut rays, mut colours) = (Vec::with_capacity(how.rays), Vec::with_capacity(how.rays * 3));
        let mut depths = pixels.depth.as_ref().map(|_| Vec::with_capacity(how.rays));
        let surface = scene.capture.as_ref().and_then(|capture| capture.surfaces[target].as_deref());
        let mut corners = (pixels.depth.is_some() || surface.is_some()).then(|| Vec::with_capacity(how.rays));
        // The grid's own random numbers, so that batches without a use for it stay what they are.
        let cell = 2 + SplitMix(seed ^ 0x9E6C_63D0_876A_3F35).below(MAX_CELL - 1);
        for _ in 0..how.rays {
            let (x, y) = (rng.below(w), rng.below(h));
            rays.push(camera.ray(glam::Vec2::new(x as f32, y as f32)));
            let at = y * w + x;
            colours.extend(pixels.rgb[at * 3..][..3].iter().map(|v| f32::from(*v) / 255.0));
            if let (Some(out), Some(depth)) = (&mut depths, &pixels.depth) {
                out.push(depth[at]);
            }
            if let (Some(out), Some(surface)) = (&mut corners, surface) {
                out.push(surface.corners((x as u32, y as u32)));
            }
            if let (Some(out), Some(depth)) = (&mut corners, &pixels.depth) {
                let (left, top) = (x - x % cell, y - y % cell);
                let corner = |dx: usize, dy: usize| depth[(top + dy).min(h - 1) * w + (left + dx).min(w - 1)];
                out.push([corner(0, 0), corner(cell, 0), corner(0, cell), corner(cell, cell)]);
            }
        }
        let far_factor = 1.2 + 0.6 * rng.uniform();
        let near_factor = 0.8 + 0.15 * rng.uniform();
        let drawn = (near_factor * scene.scene.near, far_factor * scene.scene.far);
        let depth_range = scene.capture.as_ref().map_or(drawn, |capture| capture.depth_range);
        let surfaces = scene.surfaces(&pool[..wanted], depth_range, how.visibility, seed)?;
        Ok(Batch { sources, surfaces, rays, colours, depths, corners, depth_range })
    }
}

impl TrainingScene {
    fn pixels(&self, view: usize) -> Result<&Pixels> {
        if let Some(pixels) = self.views[view].get() {
            return Ok(pixels);
        }
        let image = self.scene.views[view].load_image()?;
        let depth = self.depth(view)?;
        Ok(self.views[view].get_or_init(|| Pixels { rgb: image.to_rgb8(), depth }))
    }

    fn image(&self, view: usize) -> Result<Image> {
        let camera = &self.scene.views[view].camera;
        let data = self.pixels(view)?.rgb.iter().map(|v| f32::from(*v) / 255.0).collect();
        Ok(Image::new(camera.width, camera.height, data)?)
    }

    /// Surface maps of source views: none in a part of the steps, since a renderer has none at first, and then for nearly all
    /// of them.
    fn surfaces(&self, views: &[usize], range: (f32, f32), wanted: bool, seed: u64) -> Result<Vec<Option<SurfaceMap>>> {
        // Their own random numbers, so that batches without a use for them stay what they are.
        let mut rng = SplitMix(seed ^ 0x5B27_9A0D_63F1_C48E);
        let told = wanted && rng.uniform() > UNTOLD_STEPS;
        let one = |&view: &usize| {
            let untold = rng.uniform() < UNTOLD_VIEWS;
            if let Some(capture) = &self.capture {
                let known = capture.surfaces[view].as_ref().filter(|_| told && !untold);
                return Ok(known.map(|map| SurfaceMap::clone(map)));
            }
            let depth = if told && !untold { self.pixels(view)?.depth.as_deref() } else { None };
            Ok(depth.map(|depth| surfaces::damaged(depth, self.size(view), range, &mut rng)))
        };
        views.iter().map(one).collect()
    }

    /// The file of a view's exact depth beside procedural scenes, `depth/NAME.npy`, if there is one.
    fn depth_file(&self, view: usize) -> Option<PathBuf> {
        let path = self.scene.root.join("depth").join(format!("{}.npy", self.scene.views[view].name));
        path.is_file().then_some(path)
    }

    /// Width and height of a view.
    fn size(&self, view: usize) -> (usize, usize) {
        let camera = &self.scene.views[view].camera;
        (camera.width as usize, camera.height as usize)
    }

    /// Exact depth of a view, brought to the loader's units.
    fn depth(&self, view: usize) -> Result<Option<Vec<f32>>> {
        let Some(path) = self.depth_file(view) else { return Ok(None) };
        let depth = scene::depth::read_npy(&path, self.size(view))?;
        Ok(Some(depth.into_iter().map(|z| z * self.scene.scene_from_file.scale as f32).collect()))
    }

    /// Checks a depth map by its header. One whose header is not understood is read whole, which says what is wrong.
    fn check_depth(&self, view: usize) -> Result<()> {
        let Some(path) = self.depth_file(view) else { return Ok(()) };
        if scene::depth::npy_size(&path) != Some(self.size(view)) {
            scene::depth::read_npy(&path, self.size(view))?;
        }
        Ok(())
    }
}
