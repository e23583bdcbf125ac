//! Classifying pictures, from training on a folder of them to the report.

use crate::support::Place;
use image::{DynamicImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};
use serde_json::Value;
use std::fs;

/// A folder of two classes, `dark` and `light`, and a model that has seen them for a step.
fn place() -> Place {
    let place = Place::new();
    for (class, level) in [("dark", 20), ("light", 220)] {
        let folder = place.path("data").join(class);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..4u8 {
            let pixel = Rgb([level, level + i, level]);
            RgbImage::from_pixel(40 + u32::from(i), 32, pixel).save(folder.join(format!("{i}.png"))).unwrap();
        }
    }
    place.ok("train classifier --data data --out run --epochs 1 --batch 8 --threads 2");
    place
}

fn answers(place: &Place, pictures: &str) -> Vec<Value> {
    let text = place.ok(&format!("classify {pictures} --model run/model.safetensors --json"));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn pictures_of_every_kind_are_classified() {
    let place = place();
    let level = |x: u32, y: u32| ((x * 7 + y * 3) % 256) as u8;
    let rgb = RgbImage::from_fn(50, 30, |x, y| Rgb([level(x, y), level(y, x), 9]));
    let wide = |v: u8| u16::from(v) * 257;
    let kinds: [(&str, DynamicImage); 6] = [
        ("rgb.png", rgb.clone().into()),
        ("rgb.jpg", rgb.clone().into()),
        ("gray.png", DynamicImage::ImageLuma8(ImageBuffer::from_fn(33, 31, |x, y| Luma([level(x, y)])))),
        (
            "alpha.png",
            DynamicImage::ImageRgba8(ImageBuffer::from_fn(32, 32, |x, y| Rgba([level(x, y), 0, 0, level(y, x)]))),
        ),
        ("deep.png", DynamicImage::ImageRgb16(ImageBuffer::from_fn(5, 90, |x, y| Rgb([wide(level(x, y)), 0, 65535])))),
        ("one.bmp", RgbImage::from_pixel(1, 1, Rgb([200, 10, 10])).into()),
    ];
    for (name, image) in &kinds {
        image.save(place.path(name)).unwrap();
    }
    let names = kinds.each_ref().map(|(name, _)| *name);
    let all = answers(&place, &names.join(" "));
    assert_eq!(all.len(), names.len());
    for (answer, name) in all.iter().zip(names) {
        assert_eq!(answer["picture"], name);
        let classes = answer["classes"].as_array().unwrap();
        let shares: Vec<f64> = classes.iter().map(|class| class["probability"].as_f64().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5 && shares[0] >= shares[1], "{answer}");
        assert!(["dark", "light"].contains(&classes[0]["class"].as_str().unwrap()), "{answer}");
    }
    // The same without JSON, with one class each.
    let text = place.ok("classify rgb.png gray.png --model run/model.safetensors --top 1");
    assert!(text.lines().count() == 4 && text.contains("rgb.png\n") && text.contains(" %  "), "{text}");
    // Bytes in place of floats change little.
    let bytes = place.ok("classify rgb.png --model run/model.safetensors --precision int8 --json");
    let bytes: Vec<Value> = serde_json::from_str(&bytes).unwrap();
    let share = |answer: &Value, index: u64| {
        let classes = answer["classes"].as_array().unwrap();
        classes.iter().find(|class| class["index"] == index).unwrap()["probability"].as_f64().unwrap()
    };
    assert!((share(&bytes[0], 0) - share(&all[0], 0)).abs() < 0.05, "{bytes:?}");
    // `auto` takes a GPU where there is one that agrees, else the processor.
    let auto = place.ok("classify rgb.png --model run/model.safetensors --device auto --json");
    let auto: Vec<Value> = serde_json::from_str(&auto).unwrap();
    assert!((share(&auto[0], 0) - share(&all[0], 0)).abs() < 0.01, "{auto:?}");
    let info = place.ok("info --model run/model.safetensors");
    assert!(info.contains("compact transformer") && info.contains("dark, light"), "{info}");
    place.fails(1, "info --model run/model.safetensors --measure-shares fern", &["--measure-shares", "classifier"]);
    // Where it looks: the picture and the picture lit, side by side.
    place.ok("classify rgb.png --model run/model.safetensors --attention look.png");
    let look = image::open(place.path("look.png")).unwrap();
    assert_eq!((look.width(), look.height()), (512, 256));
}

#[test]
fn broken_pictures_are_named() {
    let place = place();
    fs::write(place.path("broken.png"), b"no picture").unwrap();
    fs::copy(place.path("data/dark/0.png"), place.path("whole.png")).unwrap();
    let line = "--model run/model.safetensors";
    place.fails(1, &format!("classify broken.png {line}"), &["broken.png"]);
    let output = place.run(&format!("classify broken.png whole.png missing.png {line}"));
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        out.contains("whole.png") && errors.contains("broken.png") && errors.contains("2 of 3 pictures"),
        "{errors}"
    );
    place.fails(1, "classify whole.png --model none.safetensors", &["none.safetensors"]);
    fs::write(place.path("bad.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\x7f{}").unwrap();
    place.fails(1, "classify whole.png --model bad.safetensors", &["bad.safetensors"]);
    place.fails(1, &format!("classify whole.png broken.png {line} --attention a.png"), &["--attention", "one picture"]);
}

#[test]
fn an_evaluation_counts_and_compares() {
    let place = place();
    fs::write(place.path("data/light/9.jpg"), b"no picture").unwrap();
    let line = "classify --eval data --model run/model.safetensors --threads 2";
    let text = place.ok(&format!("{line} --out report"));
    assert!(text.contains("of 8 pictures, 1 left out") && text.contains("µJ a picture modelled"), "{text}");
    assert!(text.contains("dark") && text.contains("light"), "{text}");
    let metrics: Value = serde_json::from_slice(&fs::read(place.path("report/metrics.json")).unwrap()).unwrap();
    assert_eq!((&metrics["pictures"], &metrics["skipped"]), (&Value::from(8), &Value::from(1)));
    assert_eq!(metrics["precision"], "f32");
    let energy = &metrics["energy"];
    let joules = |key: &str| energy[key].as_f64().unwrap();
    assert!(joules("modelled") == joules("modelled_dense") && joules("modelled_dense_8_bit") < joules("modelled"));
    assert!(!energy["meter"].as_str().unwrap().is_empty());
    let rows = metrics["confusion"].as_array().unwrap();
    let count = |row: &Value| row.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!(rows.iter().map(count).collect::<Vec<_>>(), [4, 4]);
    let picture = image::open(place.path("report/confusion.png")).unwrap();
    assert!(picture.width() > 10);
    let again = place.ok(&format!("{line} --baseline report/metrics.json"));
    assert!(again.contains("(before "), "{again}");
}

#[test]
fn a_classifier_is_imported_in_half_the_bits() {
    let place = place();
    let text = place.ok("import run/model.safetensors --out half.safetensors --half");
    assert!(text.contains("compact transformer") && text.contains("f16"), "{text}");
    let size = |name: &str| fs::metadata(place.path(name)).unwrap().len();
    assert!(size("half.safetensors") * 19 < size("run/model.safetensors") * 10);
    let all = answers(&place, "data/dark/1.png");
    let half = place.ok("classify data/dark/1.png --model half.safetensors --json");
    let half: Vec<Value> = serde_json::from_str(&half).unwrap();
    let share = |answer: &Value| answer["classes"][0]["probability"].as_f64().unwrap();
    assert!((share(&all[0]) - share(&half[0])).abs() < 0.01);
}

/// A file of timm, or a model of other classes, is trained on with a new head, and becomes a ShiftAdd network.
#[test]
fn other_models_are_trained_on_and_reparameterised() {
    let place = place();
    let told =
        said(&place, "train classifier --data data --from vit-dense --out moved --epochs 1 --batch 8 --threads 2");
    assert!(told.contains("the head is new: for the 2 classes of the pictures in the place of 10 others"), "{told}");
    // A DeiT by its published names, with weights of no meaning.
    write_deit(&place.path("deit.safetensors"), 2);
    let told = said(
        &place,
        "train classifier --data data --from deit.safetensors --out deit --epochs 1 --batch 8 --threads 2",
    );
    assert!(!told.contains("the head is new"), "{told}");
    place.ok(
        "reparam --model deit.safetensors --data data --out shifted --stages ray,shift+experts --steps 1 --threads 2",
    );
    let text = place.ok("classify data/light/0.png --model shifted/model.safetensors --json");
    assert!(text.contains("probability"), "{text}");
    write_deit(&place.path("three.safetensors"), 3);
    place.fails(
        1,
        "reparam --model three.safetensors --data data --out none --stages ray --steps 1",
        &["expected pictures of 3 classes"],
    );
}

/// What a command that succeeds says on its standard error.
fn said(place: &Place, arguments: &str) -> String {
    let output = place.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// A small DeiT for pictures of 32 by 32 pixels as timm would write it.
fn write_deit(path: &std::path::Path, classes: usize) {
    const WIDTH: usize = 64;
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("cls_token".into(), vec![1, 1, WIDTH]),
        ("pos_embed".into(), vec![1, 17, WIDTH]),
        ("patch_embed.proj.weight".into(), vec![WIDTH, 3, 8, 8]),
        ("head.weight".into(), vec![classes, WIDTH]),
        ("blocks.0.attn.qkv.weight".into(), vec![3 * WIDTH, WIDTH]),
        ("blocks.0.attn.proj.weight".into(), vec![WIDTH, WIDTH]),
        ("blocks.0.mlp.fc1.weight".into(), vec![4 * WIDTH, WIDTH]),
        ("blocks.0.mlp.fc2.weight".into(), vec![WIDTH, 4 * WIDTH]),
    ];
    for (name, length) in [
        ("patch_embed.proj.bias", WIDTH),
        ("head.bias", classes),
        ("norm.weight", WIDTH),
        ("norm.bias", WIDTH),
        ("blocks.0.norm1.weight", WIDTH),
        ("blocks.0.norm1.bias", WIDTH),
        ("blocks.0.norm2.weight", WIDTH),
        ("blocks.0.norm2.bias", WIDTH),
        ("blocks.0.attn.qkv.bias", 3 * WIDTH),
        ("blocks.0.attn.proj.bias", WIDTH),
        ("blocks.0.mlp.fc1.bias", 4 * WIDTH),
        ("blocks.0.mlp.fc2.bias", WIDTH),
    ] {
        tensors.push((name.into(), vec![length]));
    }
    let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in tensors {
        let start = bytes.len();
        for i in 0..shape.iter().product::<usize>() {
            let value = ((i * 37 + name.len() * 11) % 101) as f32 / 500.0 - 0.1;
            bytes.extend(value.to_le_bytes());
        }
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()]});
        header.insert(name, entry);
    }
    let header = Value::Object(header).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[..]].concat();
    fs::write(path, file).unwrap();
}
