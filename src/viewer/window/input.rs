//! What mouse and keys do in a window.

use super::Viewer;
use crate::app::Command;
use crate::controls::Mode;
use crate::ui;
use egui::{Pos2, pos2};
use std::time::{Duration, Instant};
use winit::event::{ElementState, MouseButton, Touch, TouchPhase};
use winit::keyboard::KeyCode;

/// Longest time between two clicks of a double click.
const DOUBLE: Duration = Duration::from_millis(400);
/// Farthest that the mouse may move in a click, in pixels.
const STILL: f64 = 4.0;

/// The mouse over the picture.
#[derive(Debug, Default)]
pub(super) struct Mouse {
    pub at: [f64; 2],
    pub pressed: Option<(MouseButton, [f64; 2])>,
    clicked: Option<(Instant, [f64; 2])>,
}

impl Viewer {
    /// A point of the window, in the ui's points.
    pub(super) fn point(&self, at: [f64; 2]) -> Pos2 {
        let scale = self.ui.context().pixels_per_point();
        pos2(at[0] as f32 / scale, at[1] as f32 / scale)
    }

    pub(super) fn mouse_button(&mut self, button: MouseButton, state: ElementState) {
        let (at, point) = (self.mouse.at, self.point(self.mouse.at));
        match state {
            ElementState::Pressed if self.ui.is_picture(point) => self.mouse.pressed = Some((button, at)),
            ElementState::Pressed => {}
            ElementState::Released => {
                let Some((pressed, from)) = self.mouse.pressed.take() else { return };
                let still = (at[0] - from[0]).hypot(at[1] - from[1]) < STILL;
                if pressed != button || !still || button != MouseButton::Left {
                    return;
                }
                let again = self.mouse.clicked.take().is_some_and(|(then, there)| {
                    then.elapsed() < DOUBLE && (at[0] - there[0]).hypot(at[1] - there[1]) < STILL
                });
                if again {
                    self.app.perform(Command::Pivot(self.ui.in_picture(point)));
                } else if let Some(view) = self.ui.hovered() {
                    self.app.perform(Command::GoToView(view));
                } else {
                    self.mouse.clicked = Some((Instant::now(), at));
                }
            }
        }
    }

    pub(super) fn mouse_moved(&mut self, at: [f64; 2]) {
        let pixels = [at[0] - self.mouse.at[0], at[1] - self.mouse.at[1]];
        self.mouse.at = at;
        match self.mouse.pressed {
            Some((MouseButton::Left, _)) if !self.modifiers.shift_key() => self.app.perform(Command::Turn(pixels)),
            Some(_) => self.app.perform(Command::Pan(pixels)),
            None => {
                // Who points at something wants to see it first; a drag ends anywhere.
                let point = self.point(at);
                let there = self.ui.is_picture(point).then(|| self.ui.in_picture(point));
                return self.app.attend(there);
            }
        }
        self.app.attend(None);
    }

    /// A finger on the screen acts as the left button does; those beside it do nothing of their own.
    pub(super) fn touch(&mut self, touch: &Touch) {
        let at = [touch.location.x, touch.location.y];
        match touch.phase {
            TouchPhase::Started if self.finger.is_none() => {
                (self.finger, self.mouse.at) = (Some(touch.id), at);
                self.mouse_button(MouseButton::Left, ElementState::Pressed);
            }
            _ if self.finger != Some(touch.id) => {}
            TouchPhase::Started | TouchPhase::Moved => self.mouse_moved(at),
            TouchPhase::Ended | TouchPhase::Cancelled => {
                self.finger = None;
                self.mouse_button(MouseButton::Left, ElementState::Released);
            }
        }
    }

    /// What a key does with Ctrl or Cmd, by its letter.
    fn shortcut(&mut self, letter: &str) {
        match &letter.to_lowercase()[..] {
            "s" => self.app.perform(Command::Screenshot("view.png".into())),
            "c" => self.app.perform(Command::CopyPose),
            "q" => self.app.perform(Command::Close),
            _ => {}
        }
    }

    /// What a key does; those of the flight, which go by their place, as long as they are held.
    pub(super) fn key(&mut self, code: KeyCode, letter: &str, text: Option<&str>, pressed: bool, repeat: bool) {
        let flight = matches!(
            code,
            KeyCode::KeyW | KeyCode::KeyA | KeyCode::KeyS | KeyCode::KeyD | KeyCode::KeyE | KeyCode::KeyQ
        );
        let control = self.modifiers.control_key() || self.modifiers.super_key();
        // A key that is let go of ends its flight, whatever else is held.
        if control && pressed {
            if !repeat {
                self.shortcut(letter);
            }
            return;
        }
        if flight {
            if pressed {
                self.held.insert(code);
                if self.app.controls.mode == Mode::Orbit {
                    self.app.perform(Command::Move(Mode::Fly));
                }
            } else {
                self.held.remove(&code);
            }
            let along = |plus, minus| {
                f64::from(u8::from(self.held.contains(&plus))) - f64::from(u8::from(self.held.contains(&minus)))
            };
            let along = [
                along(KeyCode::KeyD, KeyCode::KeyA),
                along(KeyCode::KeyQ, KeyCode::KeyE),
                along(KeyCode::KeyW, KeyCode::KeyS),
            ];
            self.app.perform(Command::Fly(along));
            return;
        }
        if !pressed {
            return;
        }
        let name = match code {
            KeyCode::ArrowLeft | KeyCode::ArrowUp => "left",
            KeyCode::ArrowRight | KeyCode::ArrowDown => "right",
            KeyCode::Escape => "escape",
            KeyCode::Space => "space",
            _ if repeat => return,
            _ => text.unwrap_or_default(),
        };
        if let Some(command) = ui::key(&self.app, &name.to_lowercase()) {
            self.app.perform(command);
        }
    }
}
