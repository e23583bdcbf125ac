//! What pictures follow from, part by part: two runs whose parts are equal make the same pictures.

use super::hash;
use gnt::renderer::Samples;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// Everything that pictures follow from, by name: program, scene, model, samples and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Made(BTreeMap<String, Part>);

/// The settings that shape how pictures are rendered.
#[derive(Clone, Debug)]
pub struct Rendering<'a> {
    /// Name of the scene, and hash of its poses, photographs and masks.
    pub scene: (&'a str, &'a str),
    /// Size in which photographs are rendered from.
    pub photographs: (u32, u32),
    /// Name of the model, and hash of its configuration and weights.
    pub model: (&'a str, &'a str),
    /// Name of the device that computes.
    pub device: &'a str,
    /// How products are computed.
    pub precision: &'a str,
    /// The rest. Threads change nothing.
    pub settings: &'a gnt::renderer::Settings,
}

/// One setting that a picture depends on, by name and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a setting, which is a text, or a content, which has a name and a sha256")]
enum Part {
    /// A setting; equal if it is written the same.
    Setting(String),
    /// Something larger; equal if its hash is the same, whatever it is called.
    Content { name: String, sha256: String },
}

impl Part {
    /// The text that is compared between runs.
    fn identity(&self) -> &str {
        match self {
            Self::Setting(value) => value,
            Self::Content { sha256, .. } => sha256,
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Setting(value) => f.write_str(value),
            Self::Content { name, sha256 } => write!(f, "{name} ({})", sha256.get(..12).unwrap_or(sha256)),
        }
    }
}

impl Made {
    /// The parts that the pixels of a picture follow from, but for its camera.
    pub fn rendering(of: &Rendering) -> Self {
        let Rendering { scene, photographs: (width, height), model, device, precision, settings } = of;
        let (near, far) = settings.depth_range;
        let made = match device.starts_with("cpu") {
            // Products of 8-bit numbers are summed in an order that depends on the instructions.
            true => Self::default().with("instructions", compute::isa().name()),
            false => Self::default(),
        };
        made.with_program()
            .with_content("scene", scene.0, scene.1)
            .with("photographs", format!("{width}x{height}"))
            .with_content("model", model.0, model.1)
            .with("device", device)
            .with("precision", precision)
            .with("views", settings.views)
            .with("samples", Samples::from(**settings))
            .with("importance", settings.importance)
            .with("stride", settings.stride)
            .with("depths", format!("{near} to {far}"))
    }

    /// Adds a setting.
    pub fn with(mut self, part: &str, value: impl Display) -> Self {
        self.0.insert(part.into(), Part::Setting(value.to_string()));
        self
    }

    /// With something that a hash stands for.
    pub fn with_content(mut self, part: &str, name: impl Display, sha256: &str) -> Self {
        self.0.insert(part.into(), Part::Content { name: name.to_string(), sha256: sha256.into() });
        self
    }

    /// With this program: what another build makes is not taken for its own.
    pub fn with_program(self) -> Self {
        self.with_content("program", concat!("shiftray ", env!("CARGO_PKG_VERSION")), super::machine::build())
    }

    /// A hash of all that is compared.
    ///
    /// # Errors
    /// None in practice; that of the JSON library.
    pub fn id(&self) -> anyhow::Result<String> {
        hash::json(&self.0.iter().map(|(part, value)| (part, value.identity())).collect::<Vec<_>>())
    }

    /// One line for each part that differs from `earlier`.
    pub fn differences(&self, earlier: &Self) -> Vec<String> {
        let parts: std::collections::BTreeSet<&String> = self.0.keys().chain(earlier.0.keys()).collect();
        let differs = |part: &&String| {
            let [now, before] = [self, earlier].map(|made| made.0.get(*part));
            if now.map(Part::identity) == before.map(Part::identity) {
                return None;
            }
            let words = |part: Option<&Part>| part.map_or_else(|| "none".to_owned(), Part::to_string);
            Some(difference(part, words(now), words(before)))
        };
        parts.iter().filter_map(differs).collect()
    }
}

/// One line on a part that is another one now.
pub fn difference(part: &str, now: impl Display, before: impl Display) -> String {
    format!("{part}: expected {now}, found {before}")
}

/// Lines below a message, one a difference.
pub fn listed(differences: &[String]) -> String {
    differences.iter().map(|difference| format!("\n  {difference}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let made = Made::default().with("samples", 64).with_content("scene", "fern", "abc").with_program();
        let same = made.clone().with_content("scene", "renamed", "abc");
        assert_eq!(made.differences(&same), [""; 0]);
        assert_eq!(made.id().unwrap(), same.id().unwrap());
        let other = made.clone().with("samples", 32).with_content("scene", "fern", "def").with("stride", 2);
        let lines = [
            "samples: expected 64, found 32",
            "scene: expected fern (abc), found fern (def)",
            "stride: expected none, found 2",
        ];
        assert_eq!(made.differences(&other), lines);
        assert_ne!(made.id().unwrap(), other.id().unwrap());
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Made>(&json).unwrap(), made);
        for damaged in [r#"{"samples": 64}"#, r#"{"scene": {"name": "fern"}}"#] {
            let message = serde_json::from_str::<Made>(damaged).unwrap_err().to_string();
            assert!(message.contains("name and a sha256") && !message.contains("untagged"), "{message}");
        }
    }
}
