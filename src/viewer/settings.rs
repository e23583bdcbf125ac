//! What is remembered from one run to the next, in the platform's place for it.

use crate::Result;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest settings file that is read, in bytes.
const LONGEST: u64 = 1 << 16;

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Speed in flight, in units of the scene a second.
    pub speed: f64,
    /// Vertical field of view in degrees that the user chose; none for that of the photographs.
    pub fov: Option<f64>,
    /// Whether the panel is open.
    pub panel: bool,
    /// Whether the cameras of the source views are drawn.
    pub cameras: bool,
    /// Width and height of the window, in points.
    pub window: [f64; 2],
}

impl Default for Settings {
    fn default() -> Self {
        Self { speed: 0.5, fov: None, panel: true, cameras: false, window: [1100.0, 700.0] }
    }
}

/// The folder for settings and key frames that were not saved; none where the platform tells none.
pub fn folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "shiftray").map(|dirs| dirs.config_dir().to_owned())
}

impl Settings {
    /// Those of the last run; the default where there are none, or they cannot be understood.
    pub fn load(folder: &Path) -> Self {
        let text = scene::file::read_text(&folder.join("viewer.json"), LONGEST);
        let read: Option<Self> = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        let mut settings = read.unwrap_or_default();
        let fit =
            |value: f64, low: f64, high: f64, or: f64| if value.is_finite() { value.clamp(low, high) } else { or };
        settings.speed = fit(settings.speed, 0.01, 20.0, 0.5);
        settings.fov = settings.fov.map(|fov| fit(fov, 2.0, 150.0, 50.0));
        settings.window = settings.window.map(|side| fit(side, 100.0, 16_384.0, 700.0));
        settings
    }

    /// Remembers them.
    ///
    /// # Errors
    /// [`crate::Error::Scene`] if the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("viewer.json");
        let failed = |source| scene::Error::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        Ok(scene::write::write_bytes(&path, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_remembered_and_damage_is_forgiven() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/er");
        assert_eq!(Settings::load(&folder), Settings::default());
        let settings = Settings { speed: 2.5, fov: Some(61.0), panel: false, ..Settings::default() };
        settings.save(&folder).unwrap();
        assert_eq!(Settings::load(&folder), settings);
        std::fs::write(folder.join("viewer.json"), "{\"speed\": 1e99, \"unknown\": 3}").unwrap();
        assert_eq!(Settings::load(&folder), Settings { speed: 20.0, ..Settings::default() });
        std::fs::write(folder.join("viewer.json"), "not JSON").unwrap();
        assert_eq!(Settings::load(&folder), Settings::default());
    }
}
