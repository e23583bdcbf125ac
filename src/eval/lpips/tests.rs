use super::*;
use crate::testing::image as image_of;
use safetensors::SafeTensors;
use std::sync::LazyLock;
use torchfile::testing::{self, Pickler};

type Tensors = BTreeMap<String, Tensor>;

/// Agreement with the package in double precision: features are sums of thousands of products in single precision.
const TOLERANCE: f64 = 1e-4;

/// The numbers of `tests/fixtures/lpips.py`: splitmix64 of a running index, the upper 24 bits as a part of 1.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> f32 {
        self.0 += 1;
        let mut z = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    fn tensor(&mut self, shape: &[usize], value: impl Fn(f32) -> f32) -> Tensor {
        Tensor { shape: shape.to_vec(), data: (0..shape.iter().product()).map(|_| value(self.next())).collect() }
    }
}

const VGG: &[(usize, [usize; 4])] = &[
    (0, [64, 3, 3, 3]),
    (2, [64, 64, 3, 3]),
    (5, [128, 64, 3, 3]),
    (7, [128, 128, 3, 3]),
    (10, [256, 128, 3, 3]),
    (12, [256, 256, 3, 3]),
    (14, [256, 256, 3, 3]),
    (17, [512, 256, 3, 3]),
    (19, [512, 512, 3, 3]),
    (21, [512, 512, 3, 3]),
    (24, [512, 512, 3, 3]),
    (26, [512, 512, 3, 3]),
    (28, [512, 512, 3, 3]),
];
const ALEX: &[(usize, [usize; 4])] =
    &[(0, [64, 3, 11, 11]), (3, [192, 64, 5, 5]), (6, [384, 192, 3, 3]), (8, [256, 384, 3, 3]), (10, [256, 256, 3, 3])];

/// Weights of network and channels from the formula of the fixture.
fn weights(seed: u64, layers: &[(usize, [usize; 4])], channels: [usize; 5]) -> [Tensors; 2] {
    let mut stream = Stream(seed << 32);
    let mut backbone = Tensors::new();
    for (index, shape) in layers {
        let bound = (6.0 / (shape[1] * shape[2] * shape[3]) as f64).sqrt() as f32;
        backbone.insert(format!("features.{index}.weight"), stream.tensor(shape, |u| (2.0 * u - 1.0) * bound));
        backbone.insert(format!("features.{index}.bias"), stream.tensor(&shape[..1], |u| (2.0 * u - 1.0) * 0.1));
    }
    let lin = channels.into_iter().enumerate();
    let lin = lin.map(|(i, c)| (format!("lin{i}.model.1.weight"), stream.tensor(&[1, c, 1, 1], |u| u)));
    [backbone, lin.collect()]
}

fn vgg_weights() -> [Tensors; 2] {
    weights(1, VGG, [64, 128, 256, 512, 512])
}

fn alex_weights() -> [Tensors; 2] {
    weights(2, ALEX, [64, 192, 384, 256, 256])
}

static ALEX_LPIPS: LazyLock<Lpips> = LazyLock::new(|| {
    let [backbone, lin] = alex_weights();
    Lpips::from_tensors(backbone, lin).unwrap()
});

/// Image, reference and mask of the fixture.
fn pair() -> (Image, Image, Mask) {
    let (width, height) = (67u32, 45);
    let mut stream = Stream(3 << 32);
    let column = |i: u32| (i % width) as f32;
    let reference: Vec<f32> = (0..width * height * 3).map(|_| stream.next()).collect();
    let part = |i: usize| column(i as u32 / 3) / 128.0;
    let image = reference.iter().enumerate().map(|(i, v)| (1.0 - part(i)) * v + part(i) * stream.next()).collect();
    let mask = (0..width * height).map(|i| width as f32 * stream.next() < column(i)).collect();
    let [image, reference] = [image, reference].map(|data| Image::new(width, height, data).unwrap());
    (image, reference, Mask::new(width, height, mask).unwrap())
}

fn agrees_with_the_package(lpips: &Lpips) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/lpips.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let fixture = SafeTensors::deserialize(&bytes).unwrap();
    let (image, reference, mask) = pair();
    for (range, word) in [(ColourRange::Scaled, "scaled"), (ColourRange::Unscaled, "unscaled")] {
        for (mask, suffix) in [(None, ""), (Some(&mask), "_masked")] {
            let name = format!("{}.{word}{suffix}", lpips.name());
            let tensor = fixture.tensor(&name).unwrap();
            let expected: Vec<f64> = tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
            let layers = lpips.layer_distances(&image, &reference, range, mask, 2).unwrap();
            let sum = lpips.distance(&image, &reference, range, mask, 1).unwrap();
            assert_eq!(expected.len(), TAPS + 1);
            for (found, expected) in layers.iter().chain([&sum]).zip(expected) {
                let error = (found - expected).abs() / expected;
                assert!(expected > 1e-3 && error < TOLERANCE, "{name}: expected {expected}, found {found}");
            }
        }
    }
}

#[test]
fn vgg_agrees_with_the_package() {
    let [backbone, lin] = vgg_weights();
    agrees_with_the_package(&Lpips::from_tensors(backbone, lin).unwrap());
}

#[test]
fn alex_agrees_with_the_package() {
    agrees_with_the_package(&ALEX_LPIPS);
}

#[test]
fn distances_behave_as_distances() {
    let lpips = &*ALEX_LPIPS;
    let (image, reference, mask) = pair();
    let distance =
        |a: &Image, b: &Image, mask: Option<&Mask>| lpips.distance(a, b, ColourRange::Scaled, mask, 2).unwrap();
    assert_eq!(distance(&image, &image, None), 0.0);
    assert_eq!(distance(&image, &reference, None), distance(&reference, &image, None));
    let full = Mask::new(67, 45, vec![true; 67 * 45]).unwrap();
    let (whole, masked) = (distance(&image, &reference, None), distance(&image, &reference, Some(&full)));
    assert!((whole - masked).abs() < 1e-12 * whole, "{whole} {masked}");
    assert_ne!(distance(&image, &reference, Some(&mask)), whole);
    // Colours out of range are clipped.
    let far = image_of(31, 33, |x, _, _| if x % 3 == 0 { f32::NAN } else { 7.0 });
    let near = image_of(31, 33, |x, _, _| if x % 3 == 0 { 0.0 } else { 1.0 });
    assert_eq!(distance(&far, &near, None), 0.0);
    // A difference in a corner counts where it is.
    let grey = image_of(131, 131, |_, _, _| 0.5);
    let spot = image_of(131, 131, |x, y, c| if x < 9 && y < 9 { c as f32 / 2.0 } else { 0.5 });
    let half = |left: bool| Mask::new(131, 131, (0..131 * 131).map(|i| (i % 131 < 66) == left).collect()).unwrap();
    let [left, right] = [true, false].map(|left| distance(&grey, &spot, Some(&half(left))));
    assert!(left > 10.0 * right, "{left} {right}");
}

#[test]
fn unusable_images_are_refused() {
    let lpips = &*ALEX_LPIPS;
    let refuse = |a: &Image, b: &Image, mask: Option<&Mask>, wanted: &str| {
        let error = lpips.distance(a, b, ColourRange::default(), mask, 1).unwrap_err().to_string();
        assert_eq!(error, wanted);
    };
    let good = Image::black(31, 31);
    assert_eq!(lpips.distance(&good, &good, ColourRange::Unscaled, None, 1).unwrap(), 0.0);
    for (width, height) in [(30, 31), (100, 1)] {
        let small = Image::black(width, height);
        let wanted = format!("image: expected at least 31x31 pixels for LPIPS on alex, found {width}x{height}");
        refuse(&small, &small, None, &wanted);
    }
    refuse(&good, &Image::black(33, 31), None, "image: expected 33x31 like the reference, found 31x31");
    refuse(&Image::black(0, 3), &Image::black(0, 3), None, "reference image: expected at least one pixel, found 0x3");
    let nothing = Mask::new(31, 31, vec![false; 31 * 31]).unwrap();
    refuse(&good, &good, Some(&nothing), "mask: expected at least one pixel that counts, found none");
    let other = Mask::new(1, 1, vec![true]).unwrap();
    refuse(&good, &good, Some(&other), "mask: expected 31x31 like the image, found 1x1");
    // One pixel in the corner is enough.
    let corner = Mask::new(31, 31, (0..31 * 31).map(|i| i == 960).collect()).unwrap();
    assert_eq!(lpips.distance(&good, &good, ColourRange::Scaled, Some(&corner), 1).unwrap(), 0.0);
}

#[test]
fn wrong_weights_are_named() {
    let [backbone, lin] = alex_weights();
    let refuse = |change: &dyn Fn(&mut Tensors, &mut Tensors), wanted: &str| {
        let (mut backbone, mut lin) = (backbone.clone(), lin.clone());
        change(&mut backbone, &mut lin);
        let error = Lpips::from_tensors(backbone, lin).unwrap_err().to_string();
        assert!(error.contains(wanted), "expected {wanted:?} in {error:?}");
    };
    refuse(
        &|b, _| b.clear(),
        "network: \"features.0.weight\": expected torchvision's VGG-16 or AlexNet, found no such",
    );
    refuse(
        &|b, _| b.get_mut("features.0.weight").unwrap().shape = vec![64, 3, 7, 7],
        "expected [64, 3, 3, 3] of VGG-16 or [64, 3, 11, 11] of AlexNet, found [64, 3, 7, 7]",
    );
    refuse(&|b, _| drop(b.remove("features.8.bias")), "\"features.8.bias\": expected [256], found no such tensor");
    refuse(
        &|b, _| b.get_mut("features.3.weight").unwrap().shape = vec![192, 64, 25, 1],
        "\"features.3.weight\": expected [192, 64, 5, 5], found [192, 64, 25, 1]",
    );
    refuse(&|b, _| b.get_mut("features.3.bias").unwrap().data.truncate(191), "found [192] with 191 values");
    refuse(
        &|b, _| b.get_mut("features.10.weight").unwrap().data[33] = f32::NAN,
        "\"features.10.weight\": expected finite weights, found NaN at index 33",
    );
    let extra = Tensor { shape: vec![], data: vec![1.0] };
    refuse(
        &|b, _| drop(b.insert("features.12.weight".into(), extra.clone())),
        "\"features.12.weight\": expected only tensors of alex, found 1 others",
    );
    refuse(
        &|_, l| *l = vgg_lin(),
        "weights of channels: \"lin1.model.1.weight\": expected [1, 192, 1, 1], found [1, 128, 1, 1] with 128 values (for \
         alex)",
    );
    refuse(&|_, l| drop(l.remove("lin4.model.1.weight")), "\"lin4.model.1.weight\": expected [1, 256, 1, 1], found no");
    refuse(
        &|_, l| drop(l.insert("lin5.model.1.weight".into(), extra.clone())),
        "\"lin5.model.1.weight\": expected only",
    );
}

/// The published weights are not negative, but untrained ones may be, and the package takes them as they are.
#[test]
fn weights_of_channels_may_be_negative() {
    let [backbone, mut lin] = alex_weights();
    lin.values_mut().flat_map(|tensor| &mut tensor.data).for_each(|v| *v = -*v);
    let (image, reference, _) = pair();
    let distance = |lpips: &Lpips| lpips.distance(&image, &reference, ColourRange::Scaled, None, 2).unwrap();
    assert_eq!(distance(&Lpips::from_tensors(backbone, lin).unwrap()), -distance(&ALEX_LPIPS));
}

fn vgg_lin() -> Tensors {
    let channels = [64, 128, 256, 512, 512].into_iter().enumerate();
    channels.map(|(i, c)| (format!("lin{i}.model.1.weight"), Stream(0).tensor(&[1, c, 1, 1], |u| u))).collect()
}

/// Files as PyTorch writes them, with a classifier and other tensors that are left out.
#[test]
fn files_give_the_same_as_tensors() {
    let [backbone, lin] = alex_weights();
    let (image, reference, mask) = pair();
    let of = |lpips: &Lpips| lpips.layer_distances(&image, &reference, ColourRange::Scaled, Some(&mask), 2).unwrap();
    let expected = of(&ALEX_LPIPS);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, legacy: bool, tensors: &Tensors, extra: &[&str]| {
        let mut p = if legacy { Pickler::legacy() } else { Pickler::new() };
        p.state_dict(|p| {
            for (name, tensor) in tensors {
                p.text(name);
                p.tensor("FloatStorage", tensor);
            }
            for name in extra {
                p.text(name);
                p.tensor("FloatStorage", &Tensor { shape: vec![3], data: vec![f32::NAN; 3] });
            }
        });
        p.op(b".");
        let path = folder.path().join(name);
        let bytes = if legacy { testing::legacy_file(&p, 4) } else { testing::container(&p, true) };
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let old = write("alexnet-owt.pth", true, &backbone, &["classifier.1.weight", "classifier.1.bias"]);
    let new = write("alexnet.pth", false, &backbone, &["classifier.6.bias"]);
    let lin_old = write("alex_old.pth", true, &lin, &["scaling_layer.shift"]);
    let lin_new = write("alex.pth", false, &lin, &["net.slice1.0.bias", "lins.0.model.1.weight"]);
    for (backbone, lin) in [(&old, &lin_old), (&new, &lin_new)] {
        assert_eq!(of(&Lpips::read(backbone, lin).unwrap()), expected);
    }
    let refuse = |backbone: &Path, lin: &Path, wanted: &[&str]| {
        let error = Lpips::read(backbone, lin).unwrap_err().to_string();
        assert!(wanted.iter().all(|wanted| error.contains(wanted)), "expected {wanted:?} in {error:?}");
    };
    refuse(&lin_new, &lin_new, &["alex.pth: \"features.0.weight\": expected torchvision's VGG-16 or AlexNet"]);
    refuse(&new, &old, &["alexnet-owt.pth: \"lin0.model.1.weight\": expected [1, 64, 1, 1], found no such tensor"]);
    refuse(&new, &folder.path().join("none.pth"), &["none.pth: "]);
    std::fs::write(&lin_new, b"MM").unwrap();
    refuse(&new, &lin_new, &["alex.pth: expected a PyTorch checkpoint"]);
}
