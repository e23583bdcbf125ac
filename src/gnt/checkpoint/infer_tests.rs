use super::*;
use crate::{Head, Model, Start};

/// Names and shapes of all weights of the official code, written down apart from the layers; `None` for a network in
/// another form than [`Start::Max`], [`Position::World`] and [`Head::Mean`].
pub fn expected(config: &Config) -> Option<Vec<(String, Vec<usize>)>> {
    let official =
        matches!(config, Config { start: Start::Max, position: Position::World { .. }, head: Head::Mean, .. });
    official.then(|| {
        let mut names = Names::default();
        transformer(&mut names, config);
        feature_net(&mut names, &config.features);
        names.0
    })
}

fn transformer(out: &mut Names, config: &Config) {
    let (c, a) = (config.width, config.attention_hidden);
    out.linear("net_coarse.rgbfeat_fc.0", c, 3 + config.features.channels);
    out.linear("net_coarse.rgbfeat_fc.2", c, c);
    for i in 0..config.depth {
        for block in ["view_selftrans", "view_crosstrans"] {
            let p = format!("net_coarse.{block}.{i}");
            out.norm(&format!("{p}.attn_norm"), c);
            out.norm(&format!("{p}.ff_norm"), c);
            out.linear(&format!("{p}.ff.fc1"), c * config.mlp_ratio, c);
            out.linear(&format!("{p}.ff.fc2"), c, c * config.mlp_ratio);
            for projection in ["q_fc", "k_fc", "v_fc"] {
                out.add(format!("{p}.attn.{projection}.weight"), &[c, c]);
            }
            out.linear(&format!("{p}.attn.out_fc"), c, c);
        }
        let p = format!("net_coarse.view_crosstrans.{i}.attn");
        out.linear(&format!("{p}.pos_fc.0"), a, 4);
        out.linear(&format!("{p}.pos_fc.2"), c, a);
        out.linear(&format!("{p}.attn_fc.0"), a, c);
        out.linear(&format!("{p}.attn_fc.2"), c, a);
        // Only even blocks see the position again.
        if i % 2 == 0 {
            out.linear(&format!("net_coarse.q_fcs.{i}.0"), c, c + config.position.channels());
            out.linear(&format!("net_coarse.q_fcs.{i}.2"), c, c);
        }
    }
    out.norm("net_coarse.norm", c);
    out.linear("net_coarse.rgb_fc", 3, c);
}

fn feature_net(out: &mut Names, config: &FeatureConfig) {
    let [w1, w2, w3] = config.widths;
    let channels = config.channels;
    out.add("feature_net.conv1.weight".into(), &[config.stem_width, 3, 7, 7]);
    out.norm("feature_net.bn1", config.stem_width);
    let mut inputs = config.stem_width;
    for (stage, (width, blocks)) in config.widths.into_iter().zip(config.blocks).enumerate() {
        for block in 0..blocks {
            let p = format!("feature_net.layer{}.{block}", stage + 1);
            out.add(format!("{p}.conv1.weight"), &[width, inputs, 3, 3]);
            out.norm(&format!("{p}.bn1"), width);
            out.add(format!("{p}.conv2.weight"), &[width, width, 3, 3]);
            out.norm(&format!("{p}.bn2"), width);
            if block == 0 {
                out.add(format!("{p}.downsample.0.weight"), &[width, inputs, 1, 1]);
                out.norm(&format!("{p}.downsample.1"), width);
            }
            inputs = width;
        }
    }
    out.decoder("feature_net.upconv3.conv", w2, w3);
    out.decoder("feature_net.iconv3", w2, 2 * w2);
    out.decoder("feature_net.upconv2.conv", w1, w2);
    out.decoder("feature_net.iconv2", channels, 2 * w1);
    out.add("feature_net.out_conv.weight".into(), &[channels, channels, 1, 1]);
    out.add("feature_net.out_conv.bias".into(), &[channels]);
}

#[derive(Default)]
struct Names(Vec<(String, Vec<usize>)>);

impl Names {
    fn add(&mut self, name: String, shape: &[usize]) {
        self.0.push((name, shape.to_vec()));
    }

    fn linear(&mut self, prefix: &str, rows: usize, columns: usize) {
        self.add(format!("{prefix}.weight"), &[rows, columns]);
        self.add(format!("{prefix}.bias"), &[rows]);
    }

    fn norm(&mut self, prefix: &str, width: usize) {
        self.add(format!("{prefix}.weight"), &[width]);
        self.add(format!("{prefix}.bias"), &[width]);
    }

    fn decoder(&mut self, prefix: &str, outputs: usize, inputs: usize) {
        self.add(format!("{prefix}.conv.weight"), &[outputs, inputs, 3, 3]);
        self.add(format!("{prefix}.conv.bias"), &[outputs]);
        self.norm(&format!("{prefix}.bn"), outputs);
    }
}

/// A network in the official form with odd and small sizes.
pub(crate) fn small() -> Config {
    Config {
        width: 16,
        mlp_ratio: 3,
        attention_hidden: 1,
        position: Position::World { frequencies: 2 },
        features: FeatureConfig { stem_width: 3, stem_stride: 2, widths: [5, 3, 7], blocks: [1, 3, 2], channels: 5 },
        ..Config::official(3)
    }
}

/// Distinct finite values for every weight of `config`.
pub(crate) fn tensors(config: &Config) -> Tensors {
    let mut count = 0;
    let mut value = || {
        count += 1;
        count as f32 * 0.125 - 7.0
    };
    let tensor = |shape: Vec<usize>| Tensor { data: (0..shape.iter().product()).map(|_| value()).collect(), shape };
    let names = expected(config).unwrap();
    let (names, shapes): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    names.into_iter().zip(shapes.into_iter().map(tensor)).collect()
}

#[test]
fn counts_of_the_paper_code() {
    for (depth, tensors, params) in [(2, 80, 225_763), (4, 152, 444_739), (8, 296, 882_691)] {
        let names = expected(&Config::official(depth)).unwrap();
        let size = |(_, shape): &&(String, Vec<usize>)| shape.iter().product::<usize>();
        let (net, features): (Vec<_>, Vec<_>) = names.iter().partition(|(n, _)| n.starts_with("net_coarse."));
        assert_eq!((net.len(), net.iter().map(size).sum::<usize>()), (tensors, params));
        assert_eq!((features.len(), features.iter().map(size).sum::<usize>()), (108, 8_877_056));
    }
    assert!(expected(&Config::compact()).is_none());
}

#[test]
fn config_from_shapes() {
    for config in [small(), Config { width: 48, depth: 1, ..small() }] {
        assert_eq!(super::config(&tensors(&config)).unwrap(), config);
    }
}

#[test]
fn inconsistent_shapes_are_named() {
    let refuse = |change: &dyn Fn(&mut Tensors), wanted: &str| {
        let mut bad = tensors(&small());
        change(&mut bad);
        let error = super::config(&bad).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    };
    let reshape = |name: &'static str, shape: &'static [usize]| {
        move |t: &mut Tensors| t.get_mut(name).unwrap().shape = shape.to_vec()
    };
    refuse(&|t| t.retain(|name, _| !name.contains("crosstrans.1.")), "expected blocks 0 to 1, found number 2");
    refuse(&|t| t.retain(|name, _| !name.contains("crosstrans")), "view_crosstrans");
    refuse(&|t| t.clear(), "found no tensor");
    refuse(&|t| drop(t.remove("net_coarse.rgbfeat_fc.0.weight")), "\"net_coarse.rgbfeat_fc.0.weight\": found no");
    refuse(&reshape("net_coarse.rgbfeat_fc.2.weight", &[8]), "expected 2 dimensions, found [8]");
    refuse(&reshape("net_coarse.rgbfeat_fc.2.weight", &[0, 0]), "multiple of 0 rows");
    refuse(&reshape("net_coarse.rgbfeat_fc.0.weight", &[16, 2]), "expected 0 channels");
    refuse(&reshape("feature_net.out_conv.weight", &[10, 10, 1, 1]), "two-network");
    refuse(&reshape("net_coarse.q_fcs.0.0.weight", &[16, 37]), "two frequency encodings, found 37");
    refuse(&reshape("net_coarse.q_fcs.0.0.weight", &[16, usize::MAX]), "q_fcs.0.0");
    let huge = reshape("net_coarse.view_crosstrans.0.ff.fc1.weight", &[16 << 40, 16]);
    refuse(&huge, "mlp_ratio");
    let alien = Tensor { shape: vec![], data: vec![0.0] };
    refuse(&|t| drop(t.insert("feature_net.layer2.x.y".into(), alien.clone())), "expected a block number");
    let far = "net_coarse.view_crosstrans.18446744073709551615.a";
    refuse(&|t| drop(t.insert(far.into(), alien.clone())), "expected blocks 0 to 3");
}

/// Models name their weights as the official code does.
#[test]
fn models_agree_with_the_official_names() {
    for config in [small(), Config::official(4)] {
        let layout = Model::new(config).unwrap().layout;
        let wanted: BTreeMap<_, _> = expected(&config).unwrap().into_iter().collect();
        let found: BTreeMap<_, _> = layout.entries().iter().map(|e| (e.name.clone(), e.shape.clone())).collect();
        assert_eq!(found, wanted);
    }
}
