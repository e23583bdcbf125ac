//! The panel: what is shown, how it is made, source views, the path, what goes on.

use crate::app::{App, Command};
use crate::controls::Mode;
use crate::present::Kind;
use egui::{Button, Color32, ComboBox, Grid, RichText, Slider, TextEdit, Ui};

/// File names that are typed in.
#[derive(Clone, Debug)]
pub struct Files {
    path: String,
    folder: String,
    screenshot: String,
}

impl Default for Files {
    fn default() -> Self {
        let [path, folder, screenshot] = ["path.json", "frames", "view.png"].map(str::to_owned);
        Self { path, folder, screenshot }
    }
}

/// Lays the panel out.
pub fn show(ui: &mut Ui, app: &App, files: &mut Files, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        ui.heading(&app.scene.name);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if ui.button("?").on_hover_text("all keys (H)").clicked() {
                commands.push(Command::Help(true));
            }
        });
    });
    picture(ui, app, commands);
    camera(ui, app, commands);
    path(ui, app, files, commands);
    out(ui, files, commands);
    views(ui, app, commands);
    figures(ui, app);
}

fn section(ui: &mut Ui, title: &str, open: bool, content: impl FnOnce(&mut Ui)) {
    egui::CollapsingHeader::new(title).default_open(open).show(ui, content);
}

fn picture(ui: &mut Ui, app: &App, commands: &mut Vec<Command>) {
    section(ui, "Picture", true, |ui| {
        ui.horizontal_wrapped(|ui| {
            for (i, kind) in Kind::ALL.iter().enumerate() {
                let chosen = app.look.kind == *kind;
                let button = ui.selectable_label(chosen, kind.name()).on_hover_text(format!("key {}", i + 1));
                if button.clicked() {
                    commands.push(Command::Show(*kind));
                }
            }
        });
        let choice = |ui: &mut Ui, name: &str, now: usize, all: &[String]| {
            let mut picked = None;
            let text = all.get(now).map_or("", String::as_str);
            ComboBox::from_id_salt(name).selected_text(text).width(120.0).show_ui(ui, |ui| {
                for (i, one) in all.iter().enumerate() {
                    if ui.selectable_label(i == now, one).clicked() {
                        picked = Some(i);
                    }
                }
            });
            picked
        };
        let quality = app.look.quality;
        Grid::new("quality").num_columns(2).show(ui, |ui| {
            ui.label("model");
            commands.extend(choice(ui, "model", quality.model, &app.choices.models).map(Command::Model));
            ui.end_row();
            ui.label("samples");
            commands.extend(choice(ui, "samples", quality.samples, &app.choices.samples).map(Command::Samples));
            ui.end_row();
            ui.label("photographs");
            let counts: Vec<String> = (0..=app.scene.views.len().min(16))
                .map(|n| if n == 0 { "as trained".into() } else { n.to_string() })
                .collect();
            commands.extend(choice(ui, "photographs", quality.views, &counts).map(Command::Views));
            ui.end_row();
            ui.label("resolution");
            let parts = [1, 2, 4, 8];
            let names = ["full", "1/2", "1/4", "1/8"].map(str::to_owned);
            let now = parts.iter().position(|part| *part == app.look.resolution).unwrap_or(0);
            commands.extend(choice(ui, "resolution", now, &names).map(|i| Command::Resolution(parts[i])));
            ui.end_row();
        });
        let mut check = |ui: &mut Ui, now: bool, name: &str, hint: &str, command: fn(bool) -> Command| {
            let mut value = now;
            if ui.checkbox(&mut value, name).on_hover_text(hint).changed() {
                commands.push(command(value));
            }
        };
        check(
            ui,
            app.look.hold_sharp,
            "hold sharp",
            "the last complete picture stays until a new one is (L)",
            Command::HoldSharp,
        );
        let hint = "the photograph at which one stands is no source (O)";
        check(ui, app.look.leave_out, "leave photograph out", hint, Command::LeaveOut);
    });
}

fn camera(ui: &mut Ui, app: &App, commands: &mut Vec<Command>) {
    section(ui, "Camera", true, |ui| {
        ui.horizontal(|ui| {
            for (mode, name) in [(Mode::Orbit, "orbit"), (Mode::Fly, "fly")] {
                if ui.selectable_label(app.controls.mode == mode, name).clicked() {
                    commands.push(Command::Move(mode));
                }
            }
            if ui.button("frame").on_hover_text("the first view (F)").clicked() {
                commands.push(Command::Home);
            }
            if ui.selectable_label(app.settings.cameras, "cameras").on_hover_text("of the photographs (C)").clicked() {
                commands.push(Command::Cameras(!app.settings.cameras));
            }
        });
        let mut fov = app.controls.fov_degrees();
        // Formatted, not rounded: a slider that rounds changes the value by being shown.
        let degrees = |value: f64, _| format!("{value:.0}°");
        if ui.add(Slider::new(&mut fov, 10.0..=120.0).text("field of view").custom_formatter(degrees)).changed() {
            commands.push(Command::Fov(fov));
        }
        let mut speed = app.controls.speed;
        if ui.add(Slider::new(&mut speed, 0.01..=20.0).logarithmic(true).text("speed")).changed() {
            commands.push(Command::Speed(speed));
        }
        ui.horizontal(|ui| {
            if ui.button("copy camera").on_hover_text("as a path file of one frame (Ctrl+C)").clicked() {
                commands.push(Command::CopyPose);
            }
            if ui.button("copy --pose").on_hover_text("a command that starts the viewer here").clicked() {
                commands.push(Command::CopyArgument);
            }
        });
    });
}

fn path(ui: &mut Ui, app: &App, files: &mut Files, commands: &mut Vec<Command>) {
    let count = app.keys.eyes.len();
    section(ui, "Path", count > 0, |ui| {
        ui.horizontal(|ui| {
            if ui.button("add key frame").on_hover_text("K").clicked() {
                commands.push(Command::AddKey);
            }
            let playing = app.playing.is_some();
            if ui.add_enabled(count > 1, Button::new(if playing { "stop" } else { "play" })).clicked() {
                commands.push(Command::Play(!playing));
            }
        });
        for i in 0..count {
            ui.horizontal(|ui| {
                if ui.button(format!("{}", i + 1)).on_hover_text("go there").clicked() {
                    commands.push(Command::GoToKey(i));
                }
                if ui.add_enabled(i > 0, Button::new("⬆")).clicked() {
                    commands.push(Command::MoveKey(i, i - 1));
                }
                if ui.add_enabled(i + 1 < count, Button::new("⬇")).clicked() {
                    commands.push(Command::MoveKey(i, i + 1));
                }
                if ui.button("✖").clicked() {
                    commands.push(Command::RemoveKey(i));
                }
            });
        }
        if count > 1 {
            let mut scrub = app.playing.unwrap_or(app.scrub);
            if ui.add(Slider::new(&mut scrub, 0.0..=1.0).show_value(false).text("scrub")).changed() {
                commands.push(Command::Scrub(scrub));
            }
        }
        let mut seconds = app.path_seconds;
        if ui.add(Slider::new(&mut seconds, 0.2..=60.0).logarithmic(true).text("seconds")).changed() {
            commands.push(Command::PathSeconds(seconds));
        }
        ui.horizontal(|ui| {
            ui.add(TextEdit::singleline(&mut files.path).desired_width(110.0));
            if ui.add_enabled(count > 0, Button::new("save")).clicked() {
                commands.push(Command::SavePath(files.path.clone().into()));
            }
            if ui.button("load").on_hover_text("ours, or one of nerfstudio's viewer").clicked() {
                commands.push(Command::LoadPath(files.path.clone().into()));
            }
        });
        ui.horizontal(|ui| {
            ui.add(TextEdit::singleline(&mut files.folder).desired_width(110.0));
            if app.path.is_some() {
                if ui.button("stop").clicked() {
                    commands.push(Command::StopPath);
                }
            } else if ui.add_enabled(count > 0, Button::new("render")).clicked() {
                commands.push(Command::RenderPath(files.folder.clone().into()));
            }
            if ui.button("copy command").clicked() {
                commands.push(Command::CopyRender);
            }
        });
        if let Some(path) = &app.path {
            let part = path.written as f32 / path.frames.len().max(1) as f32;
            ui.add(egui::ProgressBar::new(part).text(format!("{} of {}", path.written, path.frames.len())));
        }
    });
}

fn out(ui: &mut Ui, files: &mut Files, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        ui.add(TextEdit::singleline(&mut files.screenshot).desired_width(110.0));
        if ui.button("screenshot").on_hover_text("of the complete picture, when it is there (Ctrl+S)").clicked() {
            commands.push(Command::Screenshot(files.screenshot.clone().into()));
        }
    });
}

fn views(ui: &mut Ui, app: &App, commands: &mut Vec<Command>) {
    section(ui, &format!("Photographs ({})", app.scene.views.len()), false, |ui| {
        if !app.look.hidden.is_empty() && ui.button("all on").clicked() {
            commands.push(Command::AllViews);
        }
        for (i, view) in app.scene.views.iter().enumerate() {
            ui.horizontal(|ui| {
                let mut on = !app.look.hidden.contains(&i);
                if ui.checkbox(&mut on, "").changed() {
                    commands.push(Command::ToggleView(i));
                }
                let mut name = RichText::new(&view.name);
                if app.sources.contains(&i) {
                    name = name.color(Color32::from_rgb(255, 190, 80));
                }
                let here = app.controls.view() == Some(i);
                if ui.selectable_label(here, name).on_hover_text("go there").clicked() {
                    commands.push(Command::GoToView(i));
                }
            });
        }
    });
}

fn figures(ui: &mut Ui, app: &App) {
    section(ui, "Figures", true, |ui| {
        Grid::new("figures").num_columns(2).spacing([10.0, 2.0]).show(ui, |ui| {
            let mut row = |name: &str, value: Option<String>| {
                ui.label(RichText::new(name).weak());
                ui.label(value.unwrap_or_else(|| "–".into()));
                ui.end_row();
            };
            let short = |name: String| name.split(" (").next().unwrap_or_default().chars().take(26).collect::<String>();
            row("draws with", app.stage().map(|stage| short(stage.gpu.name())));
            row("renders on", Some(app.choices.device.clone()));
            row("a frame", app.stats.frame_ms().map(|ms| format!("{ms:.1} ms")));
            row("rays a second", app.stats.rays_per_second().map(|rays| format!("{rays:.0}")));
            let shares = |share: f64| format!("multiply {:.0} %, shift {:.0} %", 100.0 * share, 100.0 * (1.0 - share));
            row("experts", app.stats.multiplied().map(shares));
            row("complete after", app.level_seconds[2].map(|seconds| format!("{seconds:.1} s")));
        });
        for words in app.background() {
            ui.label(RichText::new(words).italics());
        }
    });
}
