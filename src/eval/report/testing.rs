//! Made-up metrics for tests.

use super::data::*;
use super::summary;

/// A model without experts.
pub const DENSE: &str = "gnt-dense";
/// A model with experts and a name that HTML must not take for itself.
pub const MIXED: &str = "gnt-<b>shift&add</b> \"x\"";
/// A scene with a name that HTML must not take for itself.
pub const ODD_SCENE: &str = "horns & <script>alert('x')</script>";

/// Two models on three scenes of 1, 2 and 3 images; only the second model has experts, its last case no times, and there
/// are no LPIPS weights.
pub fn metrics() -> Metrics {
    build(&["fern", "flower", ODD_SCENE], &[DENSE, MIXED], &[10], "held-out")
}

/// As [`metrics`] with 1, 2 and 3 source views, where the last scene has two splits.
pub fn few_views() -> Metrics {
    let mut metrics = build(&["fern", "lego"], &[DENSE, MIXED], &[1, 2, 3], "held-out");
    let mut more = build(&["lego"], &[DENSE, MIXED], &[1, 2, 3], "test");
    metrics.cases.append(&mut more.cases);
    metrics.latencies.append(&mut more.latencies);
    metrics.summaries = summary::summaries(&metrics.cases);
    metrics
}

/// Metrics without anything.
pub fn empty() -> Metrics {
    build(&[], &[], &[], "held-out")
}

/// Metrics with a case for every scene, model and number of views.
pub fn build(scenes: &[&str], models: &[&str], views: &[u32], split: &str) -> Metrics {
    let mut metrics = Metrics {
        format: FORMAT.into(),
        shard: None,
        settings: EvalSettings {
            protocol: "gnt".into(),
            precision: "auto".into(),
            ssim: "gnt".into(),
            ..EvalSettings::default()
        },
        definitions: definitions(),
        models: models.iter().map(|name| model(name)).collect(),
        scenes: scenes.iter().map(|name| scene(name)).collect(),
        cases: Vec::new(),
        summaries: Vec::new(),
        latencies: Vec::new(),
        runs: vec![run()],
    };
    for (s, scene) in scenes.iter().enumerate() {
        for (m, model) in models.iter().enumerate() {
            for num_views in views {
                let (scene, model) = ((*scene).to_owned(), (*model).to_owned());
                let key = CaseKey { scene, split: split.into(), model, views: *num_views };
                let case = case(key.clone(), s, m);
                if (s, m) != (2, 1) {
                    metrics.latencies.push(latency(&case, s, m));
                }
                metrics.cases.push(case);
            }
        }
    }
    metrics.summaries = summary::summaries(&metrics.cases);
    metrics
}

fn definitions() -> Definitions {
    Definitions {
        colours: "Colours are rounded to 8 bits, as the images are saved.".into(),
        psnr: "-10 log10(mse + 1e-6) over all pixels and channels.".into(),
        ssim: "Mean over 11 x 11 windows with a Gaussian of 1.5 pixels, as in the GNT evaluation.".into(),
        lpips: "No weights given.".into(),
        flip: "Mean of the FLIP error map at 67 pixels a degree.".into(),
        latency: "Seconds for the rays of an image after one image of warm-up; features excluded.".into(),
        energy: vec![
            "Only matrix products and convolutions cost anything.".into(),
            "Dense values have 32 bits, data of a shift layer 10.".into(),
        ],
    }
}

fn model(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        given: format!("weights/{name}.safetensors"),
        sha256: "5d".repeat(32),
        parameters: 1_234_567,
        config: serde_json::json!({ "blocks": 4, "width": 64, "note": "</script><b>" }),
        rendered_shift_shares: None,
    }
}

fn scene(name: &str) -> SceneInfo {
    SceneInfo {
        name: name.into(),
        given: format!("data/{name}"),
        kind: "llff".into(),
        sha256: "a0".repeat(32),
        photographs: 20,
        warnings: vec!["\"images_4\" is < half the size".into()],
    }
}

fn case(key: CaseKey, s: usize, m: usize) -> Case {
    let offset = s as f64 - 0.4 * m as f64 + f64::from(key.views) * 0.5;
    let routed = if m == 1 { vec![[900, 100], [310, 690], [0, 1000], [500, 500]] } else { vec![] };
    let image = |i: usize| ImageResult {
        index: i as u32,
        name: format!("image{i:03}"),
        file: format!("images/{s}/{m}/image{i:03}.png"),
        sha256: "0f".repeat(32),
        sources: (0..key.views).map(|v| format!("image{:03}", v + 20)).collect(),
        scores: Scores {
            psnr: 22.0 + offset + 0.3 * i as f64,
            ssim: 0.8 + 0.01 * offset,
            lpips: None,
            flip: 0.12 - 0.002 * offset,
        },
        unmasked: (i == 2).then_some(0.75),
        routed: routed.clone(),
    };
    let dense_joules = 300.0;
    let mut case = Case {
        samples: 192,
        guided: None,
        importance: 0,
        photographs: "a0".repeat(32),
        scale: 4,
        stride: 2,
        source_size: [1008, 756],
        size: [504, 378],
        depth_range: [1.2, 33.0],
        precision: "f32".into(),
        total: s as u32 + 1,
        images: (0..=s).map(image).collect(),
        mean: Scores::default(),
        operations: Operations {
            multiplies: if m == 0 { 2_100_000_000 } else { 120_000_000 },
            shifts: 900_000_000 * m as u64,
            additions: 1_900_000_000,
            lookups: 40_000_000 * m as u64,
            weight_bytes: 4_000_000,
        },
        modelled: ModelledEnergy {
            joules: if m == 0 { dense_joules } else { 90.0 },
            compute: if m == 0 { 120.0 } else { 10.0 },
            memory: if m == 0 { 100.0 } else { 50.0 },
            on_chip: if m == 0 { 80.0 } else { 30.0 },
            dense_8_bit_joules: 60.0,
            dense_joules,
        },
        routed: Vec::new(),
        key,
    };
    summary::complete(&mut case);
    case
}

fn latency(case: &Case, s: usize, m: usize) -> Latency {
    let seconds = (s + 2) as f64 / (1.0 + 1.5 * m as f64) * f64::from(case.key.views) / 10.0;
    let names = ["gather", "view_blocks", "position", "ray_blocks", "experts", "head"];
    // Halves of halves: means of them are exact.
    let shares = [0.25, 0.25, 0.03125, 0.25, 0.1875, 0.03125];
    Latency {
        key: case.key.clone(),
        device: "cpu".into(),
        threads: 2,
        images: case.images.iter().map(|image| image_time(image, seconds, m == 0)).collect(),
        timed: case.images.len() as u64,
        median: seconds,
        p95: seconds * 1.2,
        min: seconds * 0.9,
        max: seconds * 1.3,
        rays_per_second: 190_512.0 / seconds,
        seconds_a_source: Some(0.5),
        stages: names.iter().zip(shares).map(|(name, share)| ((*name).to_owned(), share)).collect(),
        peak_memory: Some(2_345_678_901),
        device_memory: None,
        joules: (m == 0).then_some(seconds * 10.0),
        meter: if m == 0 { "RAPL package".into() } else { "not available: no RAPL <counter>".into() },
    }
}

fn image_time(image: &ImageResult, seconds: f64, measured: bool) -> ImageTime {
    let joules = measured.then_some(seconds * 10.0);
    let (index, name) = (image.index, image.name.clone());
    ImageTime { index, name, rays: 190_512, seconds: vec![seconds], features: (1.0, 2), joules }
}

fn run() -> CommandRun {
    CommandRun {
        command: "shiftray eval --scene llff/fern --model 'gnt <dense>' --out report/".into(),
        shard: None,
        version: "0.1.0".into(),
        build: "b1".repeat(8),
        started: "2026-11-24T09:00:00Z".into(),
        seconds: 3723.0,
        rendered: 12,
        system: "Linux x86_64".into(),
        processor: "Some & Processor".into(),
        instructions: "AVX2".into(),
        threads: 2,
        processor_mhz: Some(2900.0),
        device: "cpu".into(),
        device_details: None,
    }
}
