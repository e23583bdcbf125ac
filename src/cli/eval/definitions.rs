//! What a report says of settings and of how its figures are defined.

use super::score::Scorer;
use super::{Args, Protocol};
use clap::ValueEnum;
use eval::energy::network::BIASES;
use eval::report::data::{Definitions, EvalSettings};
use gnt::renderer::Samples;

/// What was asked for, as a report has it.
pub fn settings(args: &Args, scorer: &Scorer) -> EvalSettings {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    let protocol = args.protocol.unwrap_or(Protocol::Gnt);
    EvalSettings {
        protocol: name(&|| protocol.to_possible_value()),
        splits: args.split.clone(),
        views: (!args.views.is_empty()).then(|| args.views.clone()),
        samples: match args.samples {
            Some(Samples::Even(samples) | Samples::Guided(_, samples)) => Some(samples as u32),
            Some(Samples::Auto) | None => None,
        },
        guided: args.samples.filter(|samples| !matches!(samples, Samples::Even(_))).map(|samples| samples.to_string()),
        importance: args.importance.unwrap_or(0),
        scale: args.scale,
        stride: args.stride,
        images: args.images,
        precision: name(&|| args.precision().to_possible_value()),
        ssim: scorer.ssim.name().into(),
        lpips: scorer.lpips_name(),
    }
}

/// The sentences that define every figure of a report.
pub fn definitions(scorer: &Scorer) -> Definitions {
    Definitions {
        colours: "Images are compared as they are saved: clipped to 0..1 and rounded to 8 bits. With a stride, the \
                  same pixels of the photograph are taken. Pixels that a mask leaves out do not count."
            .into(),
        psnr: "-10 log10(mean squared error + 1e-6) in dB over all pixels and channels, so at most 60, as in the GNT \
               evaluation."
            .into(),
        ssim: scorer.ssim.describe().into(),
        lpips: scorer.describe_lpips(),
        flip: eval::flip::DESCRIPTION.into(),
        latency: "Seconds for the rays of an image, from cameras to colours in host memory, after a warm-up of about \
                  2000 rays; features of the source views, which are computed once a scene, are timed apart. Shares \
                  of the stages are from a sample of rays that is not part of the times."
            .into(),
        energy: BIASES.iter().map(|text| (*text).to_owned()).collect(),
    }
}
