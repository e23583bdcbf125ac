//! Which instance of the ray kernel a network needs: the constants that it is compiled for.

use super::tuning::Tuning;
use super::{CudaPrecision, byte_products};
use crate::config::{Head, Position, Start};
use crate::stage::Stage;
use crate::{Config, Error, Result};
use compute::cuda::KernelSource;
use compute::cuda::twin::choice_text;
use layers::ray_kernel::{RayKind, RaySlot};
use layers::{feed_forward, ray_attention, view_attention};

/// The slots of a block.
pub(super) const SLOTS: [&RaySlot; 3] =
    [&view_attention::ray_kernel::RAY_SLOT, &ray_attention::ray_kernel::RAY_SLOT, &feed_forward::ray_kernel::RAY_SLOT];

/// The kinds of layers in a network's blocks, each with the value of its slot's constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    /// Attention over source views.
    pub view: (i64, &'static RayKind),
    /// Attention along the ray.
    pub ray: (i64, &'static RayKind),
    /// Feed-forward parts.
    pub feed_forward: (i64, &'static RayKind),
}

impl Kinds {
    /// Those of a network.
    ///
    /// # Errors
    /// A sentence, if the ray kernel lacks one.
    pub fn of(config: &Config) -> std::result::Result<Self, String> {
        let [view, ray, feed_forward] = SLOTS;
        Ok(Self {
            view: view.kind(config.view_attention.ray_kernel()),
            ray: ray.kind(config.ray_attention.ray_kernel()?),
            feed_forward: feed_forward.kind(config.mlp.ray_kernel()),
        })
    }
}

/// A constant whose values have names in kernels.
struct Choice {
    define: &'static str,
    doc: &'static str,
    kinds: &'static [&'static str],
}

impl Choice {
    /// The constant with the value that a name stands for.
    fn of(&self, kind: &str) -> (&'static str, i64) {
        let value = self.kinds.iter().position(|k| *k == kind).expect("one of the kinds");
        (self.define, value as i64)
    }
}

const START: Choice = Choice { define: "START", doc: "How the state of a sample starts.", kinds: &["MAX", "STATS"] };
const POSITION: Choice =
    Choice { define: "POSITION", doc: "What tells a sample where it is.", kinds: &["WORLD", "RAY"] };
const COLOUR: Choice =
    Choice { define: "COLOUR", doc: "How the samples of a ray become a colour.", kinds: &["MEAN", "BLEND"] };

const PLACE: Choice = Choice {
    define: "PLACE",
    doc: "Where what is kept of a ray lies: in shared memory, its state in the workspace and the rest in shared memory, or \
          all in the workspace.",
    kinds: &["SHARED", "SPLIT", "WORKSPACE"],
};

/// Where what is kept of a ray lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// All in the memory that the threads of a block share.
    Shared,
    /// The state in the block's part of the workspace, the rest in shared memory.
    Split,
    /// All in the block's part of the workspace.
    Workspace,
}

/// The names of all values, as C has them.
pub(super) fn choices() -> Vec<String> {
    let upper = |name: &str| name.to_uppercase();
    let precisions: Vec<String> = CudaPrecision::ALL.iter().map(|p| upper(p.name())).collect();
    let stages: Vec<String> = Stage::ALL.iter().map(|(stage, _)| upper(&format!("{stage:?}"))).collect();
    let numbered = |define, doc, kinds: &[String]| choice_text(define, doc, kinds.iter().map(String::as_str));
    [START, POSITION, COLOUR, PLACE]
        .iter()
        .map(|choice| choice_text(choice.define, choice.doc, choice.kinds.iter().copied()))
        .chain(SLOTS.iter().map(|slot| slot.choice()))
        .chain([
            numbered("PRECISION", "What products are made of, see fragment.cuh and bytes.cuh.", &precisions),
            numbered("STAGE", "Where a ray's time goes: no constant, but places in a list of cycles.", &stages),
        ])
        .collect()
}

/// The ray kernel for a network, with what is kept of a ray in its `place`.
///
/// # Errors
/// [`Error::Unsupported`] naming what the kernel lacks.
pub fn render_source(
    config: &Config,
    tuning: Tuning,
    precision: CudaPrecision,
    place: Place,
    forced: bool,
) -> Result<KernelSource> {
    let mut defines = defines(config, precision, place)?;
    // Left out of usual instances: it is none of their business.
    defines.extend(forced.then_some(("FORCED", 1)));
    Ok(KernelSource { file: "render/render.cu", defines, registers: Some(tuning.registers) })
}

/// The kernels that prepare source views; always in f32, because codes depend on signs.
///
/// # Errors
/// As [`render_source`].
pub fn prepare_source(config: &Config) -> Result<KernelSource> {
    let defines = defines(config, CudaPrecision::F32, Place::Shared)?;
    Ok(KernelSource { file: "render/prepare.cu", defines, registers: None })
}

fn defines(config: &Config, precision: CudaPrecision, place: Place) -> Result<Vec<(&'static str, i64)>> {
    let fail = |what: String| Error::Unsupported(format!("CUDA: {what}; --device cpu renders such networks"));
    let per_head = config.width / config.heads;
    if per_head != 8 && !per_head.is_multiple_of(16) {
        return Err(fail(format!("heads of 8 or a multiple of 16 channels, found {per_head}")));
    }
    if config.width > 128 {
        return Err(fail(format!("width: at most 128 channels, found {}", config.width)));
    }
    let kinds = Kinds::of(config).map_err(fail)?;
    if let (true, Err(expected)) = (precision.on_bytes(), byte_products(config)) {
        return Err(fail(format!("precision {}: expected {expected}", precision.name())));
    }
    let start = match config.start {
        Start::Max => "MAX",
        Start::Stats => "STATS",
    };
    let (position, octaves) = match config.position {
        Position::World { frequencies } => ("WORLD", frequencies),
        Position::Ray { frequencies } => ("RAY", frequencies),
    };
    let colour = match config.head {
        Head::Mean => "MEAN",
        Head::Blend => "BLEND",
    };
    let size = |n: usize| i64::try_from(n).expect("validated sizes are small");
    let [view, ray, feed_forward] = SLOTS;
    Ok(vec![
        ("WIDTH", size(config.width)),
        ("HEADS", size(config.heads)),
        ("HIDDEN", size(config.attention_hidden)),
        ("RATIO", size(config.mlp_ratio)),
        START.of(start),
        POSITION.of(position),
        ("OCTAVES", size(octaves)),
        COLOUR.of(colour),
        (view.define, kinds.view.0),
        (ray.define, kinds.ray.0),
        (feed_forward.define, kinds.feed_forward.0),
        ("PRECISION", CudaPrecision::ALL.iter().position(|p| *p == precision).expect("one of all") as i64),
        ("PLACE", place as i64),
    ])
}
