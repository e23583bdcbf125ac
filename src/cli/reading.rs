//! How a scene's files are read, for all commands that read one.

use scene::{Format, LoadOptions, Scene};

/// Options of reading a scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
pub struct Reading {
    /// Layout of the scene's files: colmap, nerfstudio, blender, llff, nex, ibrnet, realitycapture, polycam, record3d or
    /// metashape; by default what they are recognised as
    #[arg(long, value_parser = parse_format, value_name = "FORMAT", help_heading = "Scene and model")]
    pub format: Option<Format>,
    /// Near and far depth in the units of the scene's files, such as 0.5,40; by default what the files tell, or where the
    /// cameras stand and look
    #[arg(long, value_parser = parse_bounds, value_name = "NEAR,FAR", help_heading = "Scene and model")]
    pub bounds: Option<[f64; 2]>,
}

impl Reading {
    /// The options with a reduction.
    pub fn options(&self, factor: Option<u32>) -> LoadOptions {
        LoadOptions { factor, bounds: self.bounds, format: self.format, ..LoadOptions::default() }
    }
}

/// A scene in few words, for the first line that a command says.
pub fn describe(scene: &Scene) -> String {
    let (width, height) = scene.size();
    let file = scene.pose_files.first().map_or_else(String::new, |file| {
        let file = file.strip_prefix(&scene.root).unwrap_or(file);
        format!(" ({})", file.display())
    });
    let photographs = if scene.views.len() == 1 { "photograph" } else { "photographs" };
    format!("{}: {}{file}, {} {photographs} of {width}x{height}", scene.name, scene.format.name(), scene.views.len())
}

fn parse_format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|e: scene::Error| e.to_string())
}

fn parse_bounds(text: &str) -> Result<[f64; 2], String> {
    let numbers =
        text.split_once(',').and_then(|(near, far)| Some([near.trim().parse().ok()?, far.trim().parse().ok()?]));
    let fits = |[near, far]: &[f64; 2]| *near > 0.0 && near < far && far.is_finite();
    numbers.filter(fits).ok_or_else(|| format!("expected NEAR,FAR with 0 < NEAR < FAR, such as 0.5,40, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_two_numbers_in_order() {
        assert_eq!(parse_bounds("0.5, 40"), Ok([0.5, 40.0]));
        for bad in ["", "1", "2,1", "0,1", "-1,1", "a,b", "1,inf", "1,2,3", "NaN,1"] {
            assert!(parse_bounds(bad).unwrap_err().contains("NEAR,FAR"), "{bad}");
        }
    }
}
