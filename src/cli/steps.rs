//! A bar that shows how far a job of many steps is.

use super::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How far a job of many steps is: a bar with the time left on a terminal, now and then a plain line elsewhere.
#[derive(Debug)]
pub struct Steps {
    bar: ProgressBar,
    unit: &'static str,
    /// Where the job began, which is later than 0 for one that is gone on with.
    first: u64,
    started: Instant,
    /// When the last line was written; none on a terminal.
    line: Option<Cell<Instant>>,
}

/// Time between two lines of [`Steps`].
const BETWEEN_LINES: Duration = Duration::from_secs(30);

impl Steps {
    /// A job of `len` steps of which `first` are done; `unit` is what they are called, such as `views`.
    pub fn new(len: u64, first: u64, unit: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {unit}, {{eta}} left {{msg}}"));
        // The template is fixed; without it there would still be a bar.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(len), target).with_style(style).with_position(first);
        bar.reset_eta();
        let started = Instant::now();
        Self { bar, unit, first, started, line: (!terminal).then(|| Cell::new(started)) }
    }

    /// So many are done; `about` says how it goes.
    pub fn set(&self, done: u64, about: String) {
        self.bar.set_position(done);
        if let Some(last) = &self.line
            && last.get().elapsed() >= BETWEEN_LINES
        {
            last.set(Instant::now());
            let all = self.bar.length().unwrap_or(0);
            output::note(&steps_line(self.unit, self.first, done, all, self.started.elapsed(), &about));
        }
        self.bar.set_message(about);
    }

    /// Ends the bar and leaves it on the screen.
    pub fn finish(&self) {
        self.bar.finish();
    }

    /// Ends the bar and takes it off the screen.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// `steps: 60 of 600, about 270 s left, PSNR 20.00`.
fn steps_line(unit: &str, first: u64, done: u64, all: u64, elapsed: Duration, about: &str) -> String {
    let left = match done.checked_sub(first) {
        None | Some(0) => "an unknown time".to_owned(),
        Some(now) => format!("about {:.0} s", elapsed.as_secs_f64() / now as f64 * all.saturating_sub(done) as f64),
    };
    let comma = if about.is_empty() { "" } else { ", " };
    format!("{unit}: {done} of {all}, {left} left{comma}{about}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_is_left() {
        let after = Duration::from_secs(30);
        assert_eq!(steps_line("steps", 0, 60, 600, after, "PSNR 20"), "steps: 60 of 600, about 270 s left, PSNR 20");
        assert_eq!(steps_line("views", 0, 3, 3, after, ""), "views: 3 of 3, about 0 s left");
        // What an earlier command did took no time of this one.
        assert_eq!(steps_line("steps", 500, 510, 600, after, ""), "steps: 510 of 600, about 270 s left");
        assert_eq!(steps_line("steps", 500, 500, 600, after, ""), "steps: 500 of 600, an unknown time left");
    }
}
