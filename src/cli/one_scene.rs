//! The scene that a subcommand works on: its arguments, and how it is read.

use super::reading::{self, Reading};
use super::{output, usage};
use scene::Scene;
use std::path::PathBuf;

// What render, view and finetune are asked to work on. No doc comment: it would be taken for the help of the command.
#[derive(Debug, clap::Args)]
pub struct SceneArgs {
    /// Scene: a folder, or a name that is looked up in --scenes, SHIFTRAY_SCENES and scenes/
    #[arg(value_name = "SCENE")]
    place: Option<String>,
    /// The scene, in another way
    #[arg(long, value_name = "NAME|DIR", help_heading = "Scene and model", required_unless_present = "place")]
    scene: Option<String>,
    /// Folder of scenes; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Scene and model")]
    scenes: Vec<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

impl SceneArgs {
    /// The scene as it was named for `subcommand`.
    ///
    /// # Errors
    /// If it is named twice in different words.
    pub fn name(&self, subcommand: &str) -> anyhow::Result<&str> {
        usage::one_scene(subcommand, self.place.as_deref(), self.scene.as_deref())
    }

    /// Reads the scene called `name` with photographs reduced by `factor`, and tells at once what it was taken for and what
    /// was guessed: it may be why a later step cannot go on.
    ///
    /// # Errors
    /// If it is not found or cannot be read.
    pub fn load(&self, name: &str, factor: Option<u32>) -> scene::Result<Scene> {
        let scene = scene::open(name, &self.scenes, &self.reading.options(factor))?;
        output::say_once(&reading::describe(&scene));
        scene.warnings.iter().for_each(|warning| output::warn(warning));
        Ok(scene)
    }
}
