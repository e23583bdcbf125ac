//! Follows a script, a frame at a time.

use crate::app::App;
use crate::script::{Dragged, Measured, Report, Step, Until, memory_mib, processor_seconds};
use crate::work::parts::Level;
use crate::{Error, Result, ui};
use scene::image::{EVAL_FLOOR, mean_squared_error, psnr};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most steps that are done between two frames.
const MOST_STEPS: usize = 1000;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the window, or what stands for it, has to do for a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Another size, in pixels.
    Resize([u32; 2]),
    /// The next frame goes into a file, as it is.
    Snap(PathBuf),
}

/// A drag that is under way.
#[derive(Debug)]
struct Drag {
    started: Instant,
    pixels: [f64; 2],
    seconds: f64,
    done: f64,
    delays: Vec<f64>,
    processor: Option<f64>,
}

/// A script that is being followed.
#[derive(Debug)]
pub struct Player {
    steps: VecDeque<Step>,
    /// What is waited for, since when, and the frames drawn until then.
    waiting: Option<(Until, Instant, usize)>,
    drag: Option<Drag>,
    /// When the last input came that no frame has answered yet.
    input: Option<Instant>,
    started: Instant,
    /// What came of it so far.
    pub report: Report,
}

impl Player {
    /// At the beginning of a script.
    pub fn new(steps: Vec<Step>) -> Self {
        let (steps, started) = (steps.into(), Instant::now());
        Self { steps, waiting: None, drag: None, input: None, started, report: Report::default() }
    }

    /// Before a frame: does steps until one takes time. Returns what is to be done for it, and whether the script is done.
    ///
    /// # Errors
    /// [`Error::Script`] if something is waited for in vain, or a step makes no sense where it stands.
    pub fn before_frame(&mut self, app: &mut App) -> Result<(Vec<Request>, bool)> {
        let (mut requests, mut done) = (Vec::new(), 0);
        loop {
            if let Some(drag) = &mut self.drag {
                let part = (drag.started.elapsed().as_secs_f64() / drag.seconds.max(1e-3)).min(1.0);
                let step = part - drag.done;
                drag.done = part;
                // The input came when it was due: before this frame.
                self.input = Some(Instant::now());
                app.perform(crate::app::Command::Turn(drag.pixels.map(|pixels| pixels * step)));
                if part < 1.0 {
                    return Ok((requests, false));
                }
            }
            self.end_drag();
            if let Some((until, since, frames)) = &self.waiting {
                if app.quit {
                    return Ok((requests, true));
                }
                if !is_there(app, *until, *since) {
                    let in_vain = matches!(until, Until::Picture | Until::Full | Until::Path | Until::Screenshots);
                    if let Some(problem) = app.failed.as_ref().filter(|_| in_vain) {
                        return Err(Error::Script(format!("waited for {until:?} in vain: {problem}")));
                    }
                    if since.elapsed() > PATIENCE {
                        return Err(Error::Script(format!("waited ten minutes for {until:?}: {}", app.level_words())));
                    }
                    return Ok((requests, false));
                }
                match until {
                    Until::Full => self.report.level_seconds.push(app.level_seconds),
                    Until::Seconds(_) => self.report.frames_in_pauses.push(self.report.frames - frames),
                    _ => {}
                }
                self.waiting = None;
            }
            done += 1;
            if done > MOST_STEPS {
                return Ok((requests, false)); // A frame comes between, so that the window answers.
            }
            let Some(step) = self.steps.pop_front() else { return Ok((requests, true)) };
            match step {
                Step::Do(command) => app.perform(command),
                Step::Press(name) => match ui::key(app, &name) {
                    Some(command) => app.perform(command),
                    None => return Err(Error::Script(format!("expected the name of a key, found {name:?}"))),
                },
                Step::Drag { pixels, seconds } => {
                    let (started, processor) = (Instant::now(), processor_seconds());
                    self.drag = Some(Drag { started, pixels, seconds, done: 0.0, delays: Vec::new(), processor });
                }
                Step::Wait(until) => self.waiting = Some((until, Instant::now(), self.report.frames)),
                Step::Resize(size) => {
                    requests.push(Request::Resize(size));
                    return Ok((requests, false));
                }
                Step::Save(level, file) => {
                    app.expect_writable(&file)?;
                    scene::write::write_png(&file, &app.read(level)?)?;
                }
                Step::Measure(level) => self.measure(app, level)?,
                Step::Snap(file) => {
                    app.expect_writable(&file)?;
                    requests.push(Request::Snap(file));
                    return Ok((requests, false));
                }
                Step::Memory => self.report.memory_mib.extend(memory_mib()),
                Step::Repeat(times, steps) => {
                    // Nothing, however often, takes no time.
                    if times > 0 && !steps.is_empty() {
                        self.steps.push_front(Step::Repeat(times - 1, steps.clone()));
                        steps.into_iter().rev().for_each(|step| self.steps.push_front(step));
                    }
                }
            }
            if app.quit {
                return Ok((requests, true));
            }
        }
    }

    /// After a frame that can be seen.
    pub fn after_frame(&mut self) {
        self.report.frames += 1;
        if let (Some(input), Some(drag)) = (self.input.take(), &mut self.drag) {
            drag.delays.push(1e3 * input.elapsed().as_secs_f64());
        }
    }

    /// Whether a frame must be drawn even if nothing changed.
    pub fn is_busy(&self) -> bool {
        self.drag.is_some() || self.waiting.is_none()
    }

    fn end_drag(&mut self) {
        let Some(Drag { started, mut delays, processor, .. }) = self.drag.take_if(|drag| drag.done >= 1.0) else {
            return;
        };
        let (seconds, frames) = (started.elapsed().as_secs_f64(), delays.len());
        delays.sort_by(f64::total_cmp);
        let at = |part: f64| {
            delays.get(((frames as f64 * part) as usize).min(frames.saturating_sub(1))).copied().unwrap_or(0.0)
        };
        let mean = delays.iter().sum::<f64>() / frames.max(1) as f64;
        let frames_per_second = frames as f64 / seconds;
        let spent = processor_seconds().zip(processor).map(|(now, then)| now - then);
        self.report.drags.push(Dragged {
            frames,
            seconds,
            frames_per_second,
            input_to_present_ms: [mean, at(0.95), at(1.0)],
            processor_ms: spent.map(|seconds| 1e3 * seconds / frames.max(1) as f64),
        });
    }

    fn measure(&mut self, app: &mut App, level: Level) -> Result<()> {
        let view =
            app.controls.view().ok_or_else(|| Error::Script("measure: the camera is at no photograph".into()))?;
        let image = app.read(level)?;
        let mut truth = app.scene.views[view].load_image()?;
        if (truth.width, truth.height) != (image.width, image.height) {
            if truth.width < image.width || truth.height < image.height {
                let problem = format!("measure: expected at most {}x{}", truth.width, truth.height);
                return Err(Error::Script(problem));
            }
            // Another shape shows another part of the scene.
            let ratio = |w: u32, h: u32| f64::from(w) / f64::from(h);
            let (shown, wanted) = (ratio(image.width, image.height), ratio(truth.width, truth.height));
            if (shown / wanted - 1.0).abs() > 0.01 {
                let problem = format!(
                    "measure: expected a picture of the photograph's shape, {}x{}, found {}x{}; {{\"do\": {{\"panel\": false}}}} \
                     leaves all of the window to the picture",
                    truth.width, truth.height, image.width, image.height
                );
                return Err(Error::Script(problem));
            }
            truth = scene::resample::area_downscale(&truth, image.width, image.height)?;
        }
        let psnr = psnr(mean_squared_error(&image.data, &truth.data), EVAL_FLOOR);
        self.report.measured.push(Measured { view: app.scene.views[view].name.clone(), level, psnr });
        Ok(())
    }

    /// The report, at the end.
    pub fn finish(mut self, app: &App) -> Report {
        self.end_drag();
        self.report.adapter = app.stage().map(|stage| stage.gpu.name()).unwrap_or_default();
        self.report.device = app.choices.device.clone();
        self.report.size = app.camera().map_or([0; 2], |camera| [camera.width, camera.height]);
        self.report.first_picture_seconds = app.first_picture.map(|time| time.as_secs_f64());
        self.report.seconds = self.started.elapsed().as_secs_f64();
        self.report
    }
}

/// Whether what a script waits for is there.
fn is_there(app: &App, until: Until, since: Instant) -> bool {
    match until {
        Until::Seconds(seconds) => since.elapsed().as_secs_f64() >= seconds,
        Until::Picture => app.first_picture.is_some(),
        Until::Rest => app.controls.rests(),
        Until::Full => app.is_full(),
        Until::Photographs => app.has_photographs(),
        Until::Path => app.path.is_none(),
        Until::Screenshots => !app.awaits_screenshot(),
    }
}
