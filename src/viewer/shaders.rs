//! Every shader is valid, without a graphics device.

use std::path::Path;

#[test]
fn shaders_are_valid() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shaders/viewer"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{}", e.emit_to_string(&text)));
        let all = naga::valid::ValidationFlags::all();
        // What every device has, OpenGL's included.
        let mut validator = naga::valid::Validator::new(all, naga::valid::Capabilities::empty());
        validator.validate(&module).unwrap_or_else(|e| panic!("{}: {}", path.display(), e.emit_to_string(&text)));
        count += 1;
    }
    assert_eq!(count, 2, "shaders in {}", folder.display());
}
