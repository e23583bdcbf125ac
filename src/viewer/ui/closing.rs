//! The question whether to close while something is under way.

use crate::app::Command;
use egui::{Align2, Context, vec2};

/// Asks; `unfinished` says what would be lost.
pub fn ask(context: &Context, unfinished: &[String], commands: &mut Vec<Command>) {
    egui::Window::new("Close the viewer?")
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0))
        .show(context, |ui| {
            if unfinished.is_empty() {
                ui.label("Everything is done.");
            }
            for words in unfinished {
                ui.label(words);
            }
            ui.add_space(6.0);
            ui.horizontal_wrapped(|ui| {
                let choices = [
                    ("finish, then close", Command::CloseWhenDone),
                    ("close now", Command::Quit),
                    ("stay (Esc)", Command::Stay),
                ];
                for (words, command) in choices {
                    if ui.button(words).clicked() {
                        commands.push(command);
                    }
                }
            });
        });
}
