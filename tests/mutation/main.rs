//! Every reader against damaged and hostile files: small valid files of each kind are changed at random, and read. No
//! change may make a reader panic, allocate more than its file and what it says can need, or go on without end.
//!
//! Changes follow from the kind and a number, so a failure names what to run again. Some thousand changes of each kind run
//! with the other tests; `SHIFTRAY_ATTACKS=N` runs N times as many.

mod heap;
mod kinds;
mod mutate;

use kinds::Kind;
use layers::params::SplitMix;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Changes of each kind.
const CHANGES: u64 = 2000;
/// Most work of one reading in nanoseconds of a core, which do not go on while others have it: readers take milliseconds.
const MOST_WORK: u64 = 10_000_000_000;

/// Variable that multiplies the number of attacks.
const VARIABLE: &str = "SHIFTRAY_ATTACKS";

/// One kind after another: memory is counted for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Nanoseconds that this thread has had a core for; 0 where the system does not tell.
fn work() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
}

fn attack(kind: Kind) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let seed = kinds::prepare(kind, folder.path());
    let good = std::fs::read(&seed).unwrap();
    let scene = kinds::scene(kind, &seed);
    assert!(kinds::read(kind, &seed, scene.as_ref()), "{kind:?}: the file that is changed is none");
    let times: u64 = std::env::var(VARIABLE).ok().map_or(1, |text| text.parse().expect("SHIFTRAY_ATTACKS is a number"));
    let mut refused = 0;
    for number in 0..times * CHANGES {
        let mut rng = SplitMix(number ^ (kind as u64) << 40);
        let bytes = mutate::mutate(&good, kind.is_json(), &mut rng);
        std::fs::write(&seed, &bytes).unwrap();
        let (work_before, before) = (work(), heap::start());
        let read = catch_unwind(AssertUnwindSafe(|| kinds::read(kind, &seed, scene.as_ref())));
        let (peak, worked) = (heap::peak() - before, work() - work_before);
        let Ok(read) = read else { panic!("{kind:?}: change {number} made its reader panic, see above") };
        refused += u64::from(!read);
        let most = kinds::memory(kind) + 64 * bytes.len();
        assert!(peak <= most, "{kind:?}: change {number}: expected at most {most} bytes in use, found {peak}");
        assert!(worked < MOST_WORK, "{kind:?}: change {number}: expected less than 10 s of work, found {worked} ns");
    }
    assert!(refused > CHANGES / 20, "{kind:?}: only {refused} of the changes were refused");
}

macro_rules! attacks {
    ($($name:ident: $kind:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            attack(Kind::$kind);
        })*
    };
}

attacks! {
    poses_of_llff: Llff,
    transforms_of_nerfstudio: Nerfstudio,
    transforms_of_blender: Blender,
    cameras_of_colmap: ColmapCameras,
    images_of_colmap: ColmapImages,
    points_of_colmap: ColmapPoints,
    text_of_colmap: ColmapText,
    intrinsics_of_nex: Nex,
    poses_of_ibrnet: Ibrnet,
    tables_of_realitycapture: RealityCapture,
    cameras_of_polycam: Polycam,
    metadata_of_record3d: Record3d,
    cameras_of_metashape: Metashape,
    camera_paths: Path,
    camera_paths_of_viewers: ViewerPath,
    depth_maps: Depth,
    masks: Mask,
    png: Png,
    jpeg: Jpeg,
    gif: Gif,
    models: Model,
    packed_models: PackedModel,
    pytorch_zip: TorchZip,
    pytorch_legacy: TorchLegacy,
    training_states: State,
    configurations: Config,
    figures: Metrics,
}
