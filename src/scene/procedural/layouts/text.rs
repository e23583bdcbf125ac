//! Layouts of text files: IBRNet, RealityCapture and Metashape.

use super::{Shared, Written, rows, shared, write_text};
use crate::Result;
use std::fmt::Write;
use std::path::Path;

/// `pose` and `intrinsics`, one file a view.
pub(super) fn ibrnet(dir: &Path, written: &Written) -> Result<()> {
    let Shared { focal: [fx, fy], center: [cx, cy], .. } = shared(written);
    let matrix = |rows: [[f64; 4]; 4]| {
        let line = |row: &[f64; 4]| row.map(|value| value.to_string()).join(" ");
        rows.iter().map(line).collect::<Vec<_>>().join(" ") + "\n"
    };
    let intrinsics = [[fx, 0.0, cx, 0.0], [0.0, fy, cy, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    for (camera, name) in written.cameras.iter().zip(&written.names) {
        let name = Path::new(name).with_extension("txt");
        write_text(&dir.join("pose").join(&name), &matrix(rows(camera.world_from_camera, false)))?;
        write_text(&dir.join("intrinsics").join(&name), &matrix(intrinsics))?;
    }
    Ok(())
}

/// `cameras.csv`.
pub(super) fn realitycapture(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size, focal, center } = shared(written);
    let film = 36.0 / size[0].max(size[1]);
    let mut text = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n".to_owned();
    for (camera, name) in written.cameras.iter().zip(&written.names) {
        let [[r00, r01, _, x], [r10, r11, _, y], [r20, r21, r22, alt], _] = rows(camera.world_from_camera, true);
        // The axes are turned by roll about y, by pitch about x, then by heading against z.
        let pitch = r21.clamp(-1.0, 1.0).asin();
        let (heading, roll) =
            if r21.abs() < 1.0 - 1e-9 { (r01.atan2(r11), (-r20).atan2(r22)) } else { ((-r10).atan2(r00), 0.0) };
        let [heading, pitch, roll] = [heading, pitch, roll].map(f64::to_degrees);
        let off = [0, 1].map(|i| (center[i] - 0.5 * size[i]) * film);
        let _ = writeln!(
            text,
            "{name},{x},{y},{alt},{heading},{pitch},{roll},{},{},{},0,0,0,0,0,0",
            focal[0] * film,
            off[0],
            off[1]
        );
    }
    write_text(&dir.join("cameras.csv"), &text)
}

/// `cameras.xml`.
pub(super) fn metashape(dir: &Path, written: &Written) -> Result<()> {
    let Shared { size: [width, height], focal, center } = shared(written);
    let (cx, cy) = (center[0] - 0.5 * width, center[1] - 0.5 * height);
    let mut cameras = String::new();
    for (i, (camera, name)) in written.cameras.iter().zip(&written.names).enumerate() {
        let numbers: Vec<String> =
            rows(camera.world_from_camera, false).as_flattened().iter().map(ToString::to_string).collect();
        let stem = Path::new(name).with_extension("");
        let _ = writeln!(
            cameras,
            "      <camera id=\"{i}\" sensor_id=\"0\" component_id=\"0\" label=\"{}\">\n        <transform>{}</transform>\n      \
             </camera>",
            stem.display(),
            numbers.join(" ")
        );
    }
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<document version=\"2.0.0\">\n  <chunk label=\"Chunk 1\" enabled=\"true\">\n    \
         <sensors next_id=\"1\">\n      <sensor id=\"0\" label=\"unknown\" type=\"frame\">\n        <resolution width=\"{width}\" \
         height=\"{height}\"/>\n        <calibration type=\"frame\" class=\"adjusted\">\n          <resolution \
         width=\"{width}\" height=\"{height}\"/>\n          <f>{}</f>\n          <cx>{cx}</cx>\n          <cy>{cy}</cy>\n        \
         </calibration>\n      </sensor>\n    </sensors>\n    <cameras next_id=\"{}\" next_group_id=\"0\">\n{cameras}    \
         </cameras>\n  </chunk>\n</document>\n",
        focal[0],
        written.cameras.len()
    );
    write_text(&dir.join("cameras.xml"), &text)
}
