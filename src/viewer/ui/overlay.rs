//! Level and legend in the corners of the picture, messages, and the help.

use super::{KEYS, SHADE};
use crate::app::{App, Command};
use crate::present::{ERROR_GAIN, Kind};
use egui::{Align2, Color32, Context, FontId, Painter, Pos2, Rect, pos2, vec2};

/// Paints level, legend and messages; `mouse` is where the mouse is over the picture.
pub fn paint(painter: &Painter, app: &App, picture: Rect, mouse: Option<Pos2>) {
    if picture.width() < 60.0 || picture.height() < 40.0 {
        return;
    }
    label(painter, picture.left_bottom() + vec2(8.0, -8.0), Align2::LEFT_BOTTOM, &app.level_words(), Color32::WHITE);
    if let Some((message, _)) = &app.message {
        label(
            painter,
            picture.center_top() + vec2(0.0, 10.0),
            Align2::CENTER_TOP,
            message,
            Color32::from_rgb(255, 226, 150),
        );
    }
    let kind = app.look.kind;
    if kind != Kind::Colour {
        label(painter, picture.left_top() + vec2(8.0, 8.0), Align2::LEFT_TOP, kind.name(), Color32::WHITE);
    }
    let [near, far] = app.depth_range();
    let depth = |t: f32| format!("{:.2}", 1.0 / (t / near + (1.0 - t) / far));
    match kind {
        Kind::Depth => legend(painter, picture, depth),
        Kind::Error if app.controls.view().is_some() => {
            legend(painter, picture, |t| format!("{:.0} %", 100.0 * t / ERROR_GAIN));
        }
        Kind::Error => {
            let text = "errors are told at a photograph's camera: arrow keys go there";
            label(painter, picture.center(), Align2::CENTER_CENTER, text, Color32::WHITE);
        }
        Kind::Experts if app.has_no_experts() => {
            let text = "this model has no experts: gnt-shiftadd has";
            label(painter, picture.center(), Align2::CENTER_CENTER, text, Color32::WHITE);
        }
        Kind::Confidence | Kind::Experts => legend(painter, picture, |t| format!("{:.0} %", 100.0 * t)),
        Kind::View => {
            let scale = painter.ctx().pixels_per_point();
            let name = |at: Pos2| {
                let pixel = (at - picture.min) * scale;
                Some((at, app.photograph_at(f64::from(pixel.x), f64::from(pixel.y))?))
            };
            match mouse.and_then(name) {
                Some((at, name)) => {
                    // Towards the middle, where there is room.
                    let (side, align) = match at.x < picture.center().x {
                        true => (12.0, Align2::LEFT_BOTTOM),
                        false => (-12.0, Align2::RIGHT_BOTTOM),
                    };
                    label(painter, at + vec2(side, -8.0), align, name, Color32::WHITE);
                }
                None => {
                    let text = "point at a place: the photograph that gives most of it is named";
                    label(painter, picture.left_top() + vec2(8.0, 32.0), Align2::LEFT_TOP, text, Color32::WHITE);
                }
            }
        }
        Kind::Normals => {
            let text = "red: right, green: up, blue: towards the camera";
            label(painter, picture.left_top() + vec2(8.0, 32.0), Align2::LEFT_TOP, text, Color32::WHITE);
        }
        Kind::Colour => {}
    }
}

/// Text on a dark ground.
pub fn label(painter: &Painter, at: Pos2, align: Align2, text: &str, color: Color32) {
    let width = (painter.clip_rect().width() - 30.0).max(40.0);
    let galley = painter.layout(text.to_owned(), FontId::proportional(13.0), color, width);
    let rect = align.anchor_size(at, galley.size());
    painter.rect_filled(rect.expand2(vec2(6.0, 3.0)), 4.0, SHADE);
    painter.galley(rect.min, galley, color);
}

/// The colour map with what its ends and its middle stand for, on the picture's right.
fn legend(painter: &Painter, picture: Rect, words: impl Fn(f32) -> String) {
    let height = (0.4 * picture.height()).clamp(40.0, 220.0);
    let bar = Rect::from_min_size(picture.right_center() + vec2(-22.0, -0.5 * height), vec2(12.0, height));
    painter.rect_filled(bar.expand(4.0), 4.0, SHADE);
    const STEPS: usize = 48;
    for i in 0..STEPS {
        let top = bar.top() + height * i as f32 / STEPS as f32;
        let part = Rect::from_min_size(pos2(bar.left(), top), vec2(bar.width(), height / STEPS as f32 + 0.5));
        let [r, g, b] = turbo(1.0 - (i as f32 + 0.5) / STEPS as f32).map(|v| (v * 255.0) as u8);
        painter.rect_filled(part, 0.0, Color32::from_rgb(r, g, b));
    }
    for t in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = pos2(bar.left() - 10.0, bar.bottom() - t * height);
        label(painter, at, Align2::RIGHT_CENTER, &words(t), Color32::WHITE);
    }
}

/// The colour map of present.wgsl.
pub fn turbo(t: f32) -> [f32; 3] {
    let x = t.clamp(0.0, 1.0);
    let polynomial = |c: [f32; 6]| c.iter().rev().fold(0.0, |sum, c| sum * x + c).clamp(0.0, 1.0);
    [
        polynomial([0.135_721_38, 4.615_392_6, -42.660_323, 132.131_08, -152.942_4, 59.286_38]),
        polynomial([0.091_402_61, 2.194_188_4, 4.842_966_6, -14.185_033, 4.277_298_6, 2.829_566]),
        polynomial([0.106_673_3, 12.641_946, -60.582_05, 110.362_77, -89.903_11, 27.348_25]),
    ]
}

/// All keys.
pub fn help(context: &Context, commands: &mut Vec<Command>) {
    let mut open = true;
    egui::Window::new("Keys and mouse")
        .open(&mut open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, 0.0))
        .show(context, |ui| {
            // All of it can be reached in a small window, too.
            let room = context.content_rect().size() - vec2(60.0, 90.0);
            ui.set_max_size(room.max(vec2(120.0, 60.0)));
            egui::ScrollArea::both().show(ui, |ui| {
                egui::Grid::new("keys").num_columns(2).spacing([14.0, 4.0]).show(ui, |ui| {
                    for (key, what) in KEYS {
                        ui.strong(key);
                        ui.label(what);
                        ui.end_row();
                    }
                });
            });
        });
    if !open {
        commands.push(Command::Help(false));
    }
}
