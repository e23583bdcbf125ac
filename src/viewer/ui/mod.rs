//! What is painted over the picture: panel, level, legend, cameras, help.

mod cameras;
mod closing;
mod overlay;
mod panel;

#[cfg(test)]
pub use overlay::turbo;

use crate::app::closing::Closing;
use crate::app::stage::Paint;
use crate::app::{App, Command};
use egui::{Color32, Context, Pos2, RawInput, Rect};
use std::collections::HashMap;

/// Width of a window, in points, below which the panel stays closed: it would leave nothing of the picture.
const NARROW: f32 = 400.0;

/// Paints and takes input.
pub struct Ui {
    context: Context,
    thumbnails: HashMap<usize, egui::TextureHandle>,
    /// What is typed into the panel.
    files: panel::Files,
    /// Where the picture is, in points.
    picture: Rect,
    /// The source view whose camera is under the mouse.
    hovered: Option<usize>,
}

/// What a pass of the ui gives.
pub struct Painted {
    /// What is to be painted.
    pub paint: Paint,
    /// For the window system.
    pub platform: egui::PlatformOutput,
    /// Where the picture is in the window: first pixel and size.
    pub picture: ((u32, u32), (u32, u32)),
    /// When the ui wants to be painted again.
    pub again: std::time::Duration,
}

impl Default for Ui {
    fn default() -> Self {
        let context = Context::default();
        context.set_theme(egui::Theme::Dark);
        Self { context, thumbnails: HashMap::new(), files: panel::Files::default(), picture: Rect::ZERO, hovered: None }
    }
}

impl Ui {
    /// The context, for the window.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether a point of the window belongs to the picture, not to the panel.
    pub fn is_picture(&self, at: Pos2) -> bool {
        self.picture.contains(at) && !self.context.is_pointer_over_egui()
    }

    /// The source view whose camera is under the mouse.
    pub fn hovered(&self) -> Option<usize> {
        self.hovered
    }

    /// Where a point of the window is in the picture, in its pixels.
    pub fn in_picture(&self, at: Pos2) -> [f64; 2] {
        let scale = self.context.pixels_per_point();
        [f64::from((at.x - self.picture.min.x) * scale), f64::from((at.y - self.picture.min.y) * scale)]
    }

    /// One pass: lays everything out for a window of `size` pixels and does what was asked for.
    pub fn pass(&mut self, app: &mut App, input: RawInput, size: (u32, u32)) -> Painted {
        let context = self.context.clone();
        let mut commands = Vec::new();
        let mut picture = Rect::ZERO;
        let output = context.run_ui(input, |ui| {
            if app.settings.panel && ui.available_width() >= NARROW {
                egui::Panel::right("panel").default_size(270.0).show(ui, |ui| {
                    egui::ScrollArea::vertical().show(ui, |ui| panel::show(ui, app, &mut self.files, &mut commands));
                });
            }
            picture = ui.available_rect_before_wrap();
            let painter = ui.painter().with_clip_rect(picture);
            self.hovered = None;
            let mouse = context.input(|input| input.pointer.hover_pos());
            let mouse = mouse.filter(|at| picture.contains(*at) && !context.is_pointer_over_egui());
            if app.settings.cameras {
                self.hovered = cameras::paint(&painter, app, picture, &mut self.thumbnails, mouse);
            }
            overlay::paint(&painter, app, picture, mouse);
            if app.look.help {
                overlay::help(&context, &mut commands);
            }
            if app.closing == Closing::Asked {
                closing::ask(&context, &app.unfinished(), &mut commands);
            }
        });
        commands.into_iter().for_each(|command| app.perform(command));
        let mut platform = output.platform_output;
        if let Some(text) = app.copied.take() {
            // Also where a clipboard does not outlive the viewer, or there is none.
            eprintln!("{text}");
            platform.commands.push(egui::OutputCommand::CopyText(text));
        }
        app.take_textures(output.textures_delta);
        self.picture = picture;
        let scale = output.pixels_per_point;
        let primitives = context.tessellate(output.shapes, scale);
        let pixel = |v: f32, most: u32| ((v * scale).round().max(0.0) as u32).min(most);
        let first = (pixel(picture.min.x, size.0), pixel(picture.min.y, size.1));
        let last = (pixel(picture.max.x, size.0), pixel(picture.max.y, size.1));
        let again = output.viewport_output.values().map(|viewport| viewport.repaint_delay).min();
        Painted {
            paint: Paint { primitives, scale },
            platform,
            picture: (first, (last.0.saturating_sub(first.0), last.1.saturating_sub(first.1))),
            again: again.unwrap_or(std::time::Duration::MAX),
        }
    }
}

/// What a key asks for, as egui and scripts call it.
pub fn key(app: &App, name: &str) -> Option<Command> {
    if let Some(kind) =
        name.parse::<usize>().ok().and_then(|number| crate::present::Kind::ALL.get(number.wrapping_sub(1)))
    {
        return Some(Command::Show(*kind));
    }
    let other = match app.controls.mode {
        crate::controls::Mode::Orbit => crate::controls::Mode::Fly,
        crate::controls::Mode::Fly => crate::controls::Mode::Orbit,
    };
    Some(match name {
        "right" => Command::StepView(1),
        "left" => Command::StepView(-1),
        "f" => Command::Home,
        "m" => Command::Move(other),
        "h" | "?" => Command::Help(!app.look.help),
        "escape" if app.closing != Closing::No => Command::Stay,
        "escape" => Command::Help(false),
        "p" => Command::Panel(!app.settings.panel),
        "c" => Command::Cameras(!app.settings.cameras),
        "k" => Command::AddKey,
        "space" => Command::Play(app.playing.is_none()),
        "l" => Command::HoldSharp(!app.look.hold_sharp),
        "o" => Command::LeaveOut(!app.look.leave_out),
        _ => return None,
    })
}

/// Names of what can be pressed, and what it does.
pub const KEYS: [(&str, &str); 20] = [
    ("drag", "turn around the pivot; look around in flight"),
    ("right or middle drag, Shift drag", "move sideways"),
    ("wheel, pinch", "nearer and farther; the wheel in flight: speed"),
    ("double click", "turn around what is there"),
    ("W A S D, E Q", "fly: ahead, left, back, right, up, down; Shift is faster"),
    ("M", "orbit or flight"),
    ("F", "frame the scene"),
    ("arrow keys", "step through the photographs' cameras"),
    ("1 to 7", "colour, depth, normals, error, which photograph, confidence, experts"),
    ("C", "the photographs' cameras; a click on one goes there"),
    ("O", "leave out the photograph at which one stands"),
    ("L", "keep the last complete picture until the next is complete"),
    ("K", "add a key frame"),
    ("Space", "play the path"),
    ("P", "panel"),
    ("Ctrl+S", "save a screenshot of the complete picture"),
    ("Ctrl+C", "copy the camera"),
    ("Ctrl+Q", "close; asks if something is under way"),
    ("H or ?", "this help"),
    ("Esc", "close the help; stay"),
];

/// A quiet dark colour behind text.
pub(crate) const SHADE: Color32 = Color32::from_black_alpha(150);
