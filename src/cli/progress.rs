//! How far a job of many images is: a bar on a terminal, plain lines elsewhere, nothing where it is not wanted.

use super::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Jobs that take no longer than this have no lines.
const SHORT: Duration = Duration::from_secs(3);
/// Least time between two lines where an image begins.
const BETWEEN: Duration = Duration::from_secs(2);
/// Time after which there is a line within an image, too.
const LONGEST: Duration = Duration::from_secs(10);

/// Progress of a job, in rays; it may be told from any thread.
#[derive(Debug)]
pub struct Progress {
    /// Counts the rays, and draws them on a terminal.
    bar: ProgressBar,
    started: Instant,
    lines: Option<Mutex<Lines>>,
}

/// What is known where plain lines are written.
#[derive(Debug)]
struct Lines {
    image: String,
    last: Instant,
}

impl Progress {
    /// A job of `rays`; `quiet` for one that says nothing.
    pub fn new(rays: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = "{msg} {bar:24} {percent} %, {rate}, {elapsed} of about {duration}";
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // A bar that lacks a figure is no harm.
            let _ = write!(out, "{:.0} rays/s", state.per_sec());
        };
        // The template is fixed; without it there would still be a bar.
        let style =
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate);
        let bar = ProgressBar::with_draw_target(Some(rays), target).with_style(style);
        let started = Instant::now();
        let lines = (!terminal && !quiet).then(|| Mutex::new(Lines { image: String::new(), last: started }));
        Self { bar, started, lines }
    }

    /// The image that begins, such as `frame 3 of 60`.
    pub fn begin(&self, image: String) {
        match &self.lines {
            None => self.bar.set_message(image),
            Some(lines) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).image = image;
                self.tell(BETWEEN);
            }
        }
    }

    /// Counts rays that are done.
    pub fn add(&self, rays: u64) {
        self.bar.inc(rays);
        self.tell(LONGEST);
    }

    /// So many rays need not be done after all.
    pub fn skip(&self, rays: u64) {
        self.bar.set_length(self.bar.length().unwrap_or(0).saturating_sub(rays));
    }

    /// Takes the bar away when all is done.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A line, if the last one is `pause` ago.
    fn tell(&self, pause: Duration) {
        let Some(lines) = &self.lines else { return };
        // Another thread that holds the lock is about to tell.
        let Ok(mut lines) = lines.try_lock() else { return };
        let (elapsed, since) = (self.started.elapsed(), lines.last.elapsed());
        if elapsed > SHORT && since > pause {
            lines.last = Instant::now();
            output::note(&line(&lines.image, self.bar.position(), self.bar.length().unwrap_or(0), elapsed));
        }
    }
}

/// `frame 3 of 60: 4 %, 1200 rays/s, 12 s of about 300 s`.
fn line(image: &str, done: u64, all: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let (part, rate) = (done as f64 / all.max(1) as f64, done as f64 / seconds);
    let total = if done > 0 { format!("{:.0} s", seconds / part) } else { "an unknown time".into() };
    format!("{image}: {:.0} %, {rate:.0} rays/s, {seconds:.0} s of about {total}", 100.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_rate_and_total() {
        let after = Duration::from_secs(30);
        assert_eq!(line("frame 3 of 60", 600, 6000, after), "frame 3 of 60: 10 %, 20 rays/s, 30 s of about 300 s");
        assert_eq!(line("frame 1 of 2", 0, 9, after), "frame 1 of 2: 0 %, 0 rays/s, 30 s of about an unknown time");
    }

    #[test]
    fn a_hidden_job_counts() {
        let progress = Progress::new(10, true);
        progress.begin("frame 1 of 1".into());
        progress.add(7);
        progress.skip(3);
        assert_eq!(progress.bar.length(), Some(7));
        progress.finish();
        assert_eq!(progress.bar.position(), 7);
    }
}
