//! The kinds of files: how a small valid one is made, and how it is read.

use eval::report::data::Metrics;
use gnt::checkpoint::{Checkpoint, Storage, torch};
use gnt::{Config, Model};
use scene::formats::{LoadOptions, load};
use scene::procedural::{Rig, RigKind, World, WriteOptions, cameras, write_llff};
use scene::view::{Alpha, read_image};
use scene::{Format, Image, PathKind, Scene};
use std::fs;
use std::path::{Path, PathBuf};
use train::run::RunOptions;
use train::schedule::Schedule;
use train::state::State;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `poses_bounds.npy`.
    Llff,
    /// `transforms.json`.
    Nerfstudio,
    /// `transforms_train.json`.
    Blender,
    /// `cameras.bin` of COLMAP.
    ColmapCameras,
    /// `images.bin` of COLMAP.
    ColmapImages,
    /// `points3D.bin` of COLMAP.
    ColmapPoints,
    /// `images.txt` of COLMAP.
    ColmapText,
    /// `hwf_cxcy.npy` of NeX.
    Nex,
    /// A pose of IBRNet.
    Ibrnet,
    /// A CSV file of RealityCapture.
    RealityCapture,
    /// A camera of Polycam.
    Polycam,
    /// `metadata.json` of Record3D.
    Record3d,
    /// An XML file of Metashape.
    Metashape,
    /// Camera path of our own.
    Path,
    /// Camera path of nerfstudio's viewer.
    ViewerPath,
    /// Exact depth, `.npy`.
    Depth,
    /// Mask of a photograph.
    Mask,
    /// Photograph.
    Png,
    /// Photograph.
    Jpeg,
    /// Photograph.
    Gif,
    /// Our model file.
    Model,
    /// Our model file with codes in the place of shift weights.
    PackedModel,
    /// Checkpoint of PyTorch 1.6 and later.
    TorchZip,
    /// Checkpoint of earlier versions.
    TorchLegacy,
    /// `state.safetensors`.
    State,
    /// JSON of a network.
    Config,
    /// `metrics.json`.
    Metrics,
}

impl Kind {
    /// Whether numbers and words of the file are changed, too.
    pub fn is_json(self) -> bool {
        use Kind::{Blender, Config, Metrics, Nerfstudio, Path, Polycam, Record3d, ViewerPath};
        use Kind::{ColmapText, Ibrnet, Metashape, RealityCapture};
        // Numbers and words of other texts are changed in the same way.
        matches!(
            self,
            Nerfstudio
                | Blender
                | Path
                | ViewerPath
                | Config
                | Metrics
                | Polycam
                | Record3d
                | ColmapText
                | Ibrnet
                | Metashape
                | RealityCapture
        )
    }
}

/// Bytes that a reader may have in use beside 64 for each byte of the file: those of its tables and libraries.
pub fn memory(kind: Kind) -> usize {
    match kind {
        // The layout of the largest network that a file may claim.
        Kind::Model | Kind::PackedModel | Kind::State | Kind::Config => 64 << 20,
        // A picture in four colours beside its frame.
        Kind::Gif => 64 << 20,
        _ => 16 << 20,
    }
}

/// Pixels up to which a picture is decoded: its size is a claim that a reader bounds, and memory follows from it.
const DECODED: u64 = 1 << 16;

const SIZE: (u32, u32) = (24, 18);

fn tiny() -> Config {
    let features = gnt::FeatureConfig { stem_width: 2, widths: [2, 2, 2], channels: 2, ..Config::compact().features };
    Config {
        width: 16,
        depth: 1,
        heads: 2,
        mlp_ratio: 1,
        attention_hidden: 2,
        features,
        samples: 4,
        views: 2,
        ..Config::compact()
    }
}

/// A scene in LLFF layout.
fn llff(folder: &Path) -> PathBuf {
    layout(folder, Format::Llff)
}

/// A scene in a layout.
fn layout(folder: &Path, format: Format) -> PathBuf {
    let (root, world) = (folder.join("tiny"), World::random(3, RigKind::Forward));
    let rig = Rig { width: SIZE.0, height: SIZE.1, views: 4, kind: RigKind::Forward, samples_per_pixel: 1 };
    let options = WriteOptions { format, ..WriteOptions::default() };
    write_llff(&root, &world, &cameras(&world, &rig, 3), &options, &|_| {}).unwrap();
    root
}

/// The scene of a layout as COLMAP's text: images first, which are the file to be changed.
fn colmap_text(folder: &Path) -> PathBuf {
    let root = layout(folder, Format::Colmap);
    let model = root.join("sparse/0");
    ["cameras", "images", "points3D"]
        .iter()
        .for_each(|name| fs::remove_file(model.join(format!("{name}.bin"))).unwrap());
    fs::write(model.join("cameras.txt"), "# Cameras\n1 OPENCV 24 18 20.5 20 12 9 0.01 -0.001 0 0\n").unwrap();
    let lines = (0..4).map(|i| format!("{} 1 0 0 0 {} 0 0 1 00{i}.png\n3.5 4.5 1 7 8 -1\n", i + 1, 0.3 * f64::from(i)));
    fs::write(model.join("images.txt"), lines.collect::<String>()).unwrap();
    let track = "1 0 2 0 3 0 4 0";
    let points =
        (0..40).map(|i| format!("{i} {} 0.1 {} 9 9 9 0.5 {track}\n", 0.01 * f64::from(i), 3.0 + 0.1 * f64::from(i)));
    fs::write(model.join("points3D.txt"), points.collect::<String>()).unwrap();
    model.join("images.txt")
}

fn picture(path: &Path) {
    let data = (0..SIZE.0 * SIZE.1 * 3).map(|i| (i * 7 % 256) as f32 / 255.0).collect();
    scene::write::write_png(path, &Image::new(SIZE.0, SIZE.1, data).unwrap()).unwrap();
}

/// Rows of a pose that looks at the origin from about four units away.
fn pose(i: usize) -> String {
    let x = i as f64 * 0.4 - 0.6;
    format!("[[1.0, 0.0, 0.0, {x}], [0.0, 1.0, 0.0, 0.2], [0.0, 0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1.0]]")
}

fn frames(folder: &str, extension: &str) -> String {
    let frames = (0..4)
        .map(|i| format!("{{\"file_path\": \"./{folder}/r_{i}{extension}\", \"transform_matrix\": {}}}", pose(i)));
    frames.collect::<Vec<_>>().join(", ")
}

/// Writes a valid file of the kind below `folder`, and what its reader needs beside it; returns its path.
pub fn prepare(kind: Kind, folder: &Path) -> PathBuf {
    let model = |config: Config, precision| {
        let path = folder.join("model.safetensors");
        let model = Model::new(config).unwrap();
        let params = model.layout.initialise(1);
        Checkpoint::from_params(&config, &model.layout, &params).write(&path, precision).unwrap();
        path
    };
    let pictures = |names: &str| {
        fs::create_dir_all(folder.join(names)).unwrap();
        (0..4).for_each(|i| picture(&folder.join(names).join(format!("r_{i}.png"))));
    };
    let file = |name: &str, text: String| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    let fixture = |name: &str| {
        let to = folder.join(name);
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), &to).unwrap();
        to
    };
    let encoded = |name: &str| {
        picture(&folder.join("source.png"));
        image::open(folder.join("source.png")).unwrap().to_rgb8().save(folder.join(name)).unwrap();
        folder.join(name)
    };
    match kind {
        Kind::Llff => llff(folder).join("poses_bounds.npy"),
        Kind::ColmapCameras => layout(folder, Format::Colmap).join("sparse/0/cameras.bin"),
        Kind::ColmapImages => layout(folder, Format::Colmap).join("sparse/0/images.bin"),
        Kind::ColmapPoints => layout(folder, Format::Colmap).join("sparse/0/points3D.bin"),
        Kind::ColmapText => colmap_text(folder),
        Kind::Nex => layout(folder, Format::Nex).join("hwf_cxcy.npy"),
        Kind::Ibrnet => layout(folder, Format::Ibrnet).join("pose/001.txt"),
        Kind::RealityCapture => layout(folder, Format::RealityCapture).join("cameras.csv"),
        Kind::Polycam => layout(folder, Format::Polycam).join("keyframes/cameras/001.json"),
        Kind::Record3d => layout(folder, Format::Record3d).join("metadata.json"),
        Kind::Metashape => layout(folder, Format::Metashape).join("cameras.xml"),
        Kind::Depth => llff(folder).join("depth/000.npy"),
        Kind::Nerfstudio => {
            pictures("images");
            let camera = "\"w\": 24, \"h\": 18, \"fl_x\": 20.5, \"fl_y\": 20.0, \"cx\": 12.0, \"cy\": 9.0, \"k1\": 0.01, \
                          \"k2\": -0.001, \"p1\": 0.0, \"p2\": 0.0, \"camera_model\": \"OPENCV\"";
            file("transforms.json", format!("{{{camera}, \"frames\": [{}]}}", frames("images", ".png")))
        }
        Kind::Blender => {
            pictures("train");
            file(
                "transforms_train.json",
                format!("{{\"camera_angle_x\": 0.69, \"frames\": [{}]}}", frames("train", "")),
            )
        }
        Kind::Path => {
            llff(folder);
            let frame = |i: usize| {
                format!(
                    "{{\"name\": \"f{i}\", \"camera_to_world\": {}, \"w\": 24, \"h\": 18, \"fl_x\": 30.5}}",
                    pose(i)
                )
            };
            let frames: Vec<String> = (0..3).map(frame).collect();
            file("path.json", format!("{{\"frames\": [{}]}}", frames.join(", ")))
        }
        Kind::ViewerPath => {
            llff(folder);
            let flat = |i: usize| pose(i).replace("], [", ", ").replace("[[", "[").replace("]]", "]");
            let frame = |i: usize| format!("{{\"camera_to_world\": {}, \"fov\": 50.5, \"aspect\": 1.33}}", flat(i));
            let frames: Vec<String> = (0..3).map(frame).collect();
            let size = "\"render_width\": 24, \"render_height\": 18, \"camera_type\": \"perspective\"";
            file("path.json", format!("{{{size}, \"camera_path\": [{}]}}", frames.join(", ")))
        }
        Kind::Mask => {
            let root = llff(folder);
            fs::create_dir_all(root.join("masks")).unwrap();
            (0..4).for_each(|i| picture(&root.join(format!("masks/{i:03}.png"))));
            root.join("masks/001.png")
        }
        Kind::Png => encoded("a.png"),
        Kind::Jpeg => encoded("a.jpg"),
        Kind::Gif => encoded("a.gif"),
        Kind::Model => model(tiny(), Storage::F32),
        Kind::PackedModel => model(tiny().shift_add(), Storage::Packed),
        Kind::TorchZip => fixture("torch_zip.pth"),
        Kind::TorchLegacy => fixture("torch_legacy.pth"),
        Kind::State => {
            let options = RunOptions {
                seed: 1,
                rays: 3,
                samples: 4,
                views: (1, 2),
                depth_weight: 0.1,
                seconds: None,
                schedule: Schedule { peak: 1e-3, feature_factor: 1.0, warmup: 3, steps: 9 },
                average_decay: 0.9,
                clip_norm: 1.0,
                freeze_features: false,
                distillation: Default::default(),
                balance: None,
                hold_routers: false,
                form: Default::default(),
                guided: None,
            };
            let path = folder.join("state.safetensors");
            train::Run::start(tiny(), options, None).unwrap().state().write(&path).unwrap();
            path
        }
        Kind::Config => file("config.json", serde_json::to_string(&tiny().shift_add()).unwrap()),
        Kind::Metrics => {
            llff(folder);
            let file = model(tiny(), Storage::F32);
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_shiftray"));
            command
                .current_dir(folder)
                .args(["eval", "--scene", "tiny", "--scale", "1", "--device", "cpu", "--out", "out", "--model"]);
            let output = command.arg(file).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            folder.join("out/metrics.json")
        }
    }
}

/// The scene that the files of a kind belong to, where they do not make one.
pub fn scene(kind: Kind, path: &Path) -> Option<Scene> {
    let root = match kind {
        Kind::Path | Kind::ViewerPath => path.parent()?.join("tiny"),
        Kind::Mask => path.parent()?.parent()?.to_owned(),
        _ => return None,
    };
    Some(load(&root, &LoadOptions::default()).unwrap())
}

/// Reads a file of the kind as the program does, for its [`scene`]; tells whether it is accepted.
pub fn read(kind: Kind, path: &Path, scene: Option<&Scene>) -> bool {
    let root = path.parent().unwrap();
    let image = |path: &Path| {
        let size = scene::view::image_size(path).ok()?;
        (u64::from(size.0) * u64::from(size.1) <= DECODED).then(|| read_image(path, Alpha::White).ok()).flatten()
    };
    match kind {
        Kind::Llff | Kind::Nerfstudio | Kind::Blender => {
            load(root, &LoadOptions::default()).is_ok_and(|scene| use_scene(&scene))
        }
        Kind::ColmapCameras | Kind::ColmapImages | Kind::ColmapPoints | Kind::ColmapText => {
            as_format(path.ancestors().nth(3).unwrap(), Format::Colmap)
        }
        Kind::Nex => as_format(root, Format::Nex),
        Kind::Ibrnet => as_format(root.parent().unwrap(), Format::Ibrnet),
        Kind::RealityCapture => as_format(root, Format::RealityCapture),
        Kind::Polycam => as_format(root.parent().unwrap().parent().unwrap(), Format::Polycam),
        Kind::Record3d => as_format(root, Format::Record3d),
        Kind::Metashape => as_format(root, Format::Metashape),
        Kind::Path | Kind::ViewerPath => {
            let scene = scene.expect("a path has a scene");
            frames_of(scene, &PathKind::File(path.to_owned()), None)
                .is_ok_and(|frames| frames.iter().all(|frame| frame.camera.validate(&frame.name).is_ok()))
        }
        Kind::Depth => scene::depth::read_npy(path, (SIZE.0 as usize, SIZE.1 as usize)).is_ok(),
        Kind::Mask => match image(path) {
            None => false,
            Some(_) => scene.is_some_and(|scene| scene.views[1].load_mask().is_ok()),
        },
        Kind::Png | Kind::Jpeg | Kind::Gif => image(path).is_some(),
        Kind::Model | Kind::PackedModel => Checkpoint::read(path).is_ok_and(|checkpoint| {
            Model::new(checkpoint.config).is_ok_and(|model| checkpoint.into_params(&model.layout).is_ok())
        }),
        Kind::TorchZip | Kind::TorchLegacy => {
            // The fixtures are no networks of ours; that is told only once all is read.
            let _ = torch::read_torch(path);
            torchfile::read(path, |_| true).is_ok_and(|tensors| !tensors.is_empty())
        }
        Kind::State => State::read(path).is_ok(),
        Kind::Config => scene::file::read_text(path, 1 << 16)
            .ok()
            .and_then(|text| serde_json::from_str::<Config>(&text).ok())
            .is_some_and(|config| Model::new(config).is_ok()),
        Kind::Metrics => {
            let Ok(bytes) = scene::file::read_limited(path, 1 << 24) else { return false };
            let Ok(metrics) = serde_json::from_slice::<Metrics>(&bytes) else { return false };
            eval::report::merge::merge(&[("a".to_owned(), metrics)]).is_ok()
        }
    }
}

fn frames_of(scene: &Scene, kind: &PathKind, count: Option<usize>) -> scene::Result<Vec<scene::Frame>> {
    scene::paths::frames(scene, kind, count)
}

/// Whether a folder is read as a scene of a format that can be used.
fn as_format(root: &Path, format: Format) -> bool {
    load(root, &LoadOptions { format: Some(format), ..LoadOptions::default() }).is_ok_and(|scene| use_scene(&scene))
}

/// What commands do with a scene before they render: whatever loads must be fit for it.
fn use_scene(scene: &Scene) -> bool {
    for kind in [PathKind::Test, PathKind::Spiral, PathKind::Interpolate, PathKind::Orbit] {
        for frame in frames_of(scene, &kind, Some(3)).into_iter().flatten() {
            let candidates = scene::paths::source_candidates(scene, &frame);
            let _ = scene::nearest_sources(scene, &frame.camera, &candidates, 3);
        }
    }
    true
}
