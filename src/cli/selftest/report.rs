//! What the checks found, as a table and as JSON.

use serde::Serialize;
use serde_json::json;
use std::fmt::Display;

/// What a figure is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// Told, not judged.
    None,
}

impl Bound {
    /// A figure that is not a number is never right.
    fn holds(self, found: f64) -> bool {
        match self {
            Self::AtMost(bound) => found <= bound,
            Self::AtLeast(bound) => found >= bound,
            Self::None => true,
        }
    }
}

/// A figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Network or part of the program.
    pub subject: String,
    /// What was compared.
    pub check: String,
    /// The figure; none where the check could not be made.
    pub found: Option<f64>,
    /// Its bound.
    pub bound: Bound,
    /// Whether it is kept.
    pub passed: bool,
    /// What else to know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Where rows are shown as soon as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Live {
    /// Nowhere.
    #[default]
    No,
    /// They are the program's output.
    Stdout,
    /// Something else is.
    Stderr,
}

/// All figures.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    live: Live,
}

impl Report {
    /// A report without rows.
    pub fn new(live: Live) -> Self {
        Self { rows: Vec::new(), live }
    }

    /// Adds a figure.
    pub fn add(
        &mut self,
        subject: impl Display,
        check: impl Display,
        found: f64,
        bound: Bound,
        note: impl Into<String>,
    ) {
        let passed = bound.holds(found);
        let row = Row {
            subject: subject.to_string(),
            check: check.to_string(),
            found: Some(found),
            bound,
            passed,
            note: note.into(),
        };
        self.push(row);
    }

    /// Adds what a check finds by itself. One that cannot be made has failed, and the others go on.
    pub fn attempt<E: Display>(
        &mut self,
        subject: impl Display,
        check: impl Display,
        run: impl FnOnce(&mut Self) -> Result<(), E>,
    ) {
        if let Err(problem) = run(self) {
            let (subject, check) = (subject.to_string(), check.to_string());
            let row = Row { subject, check, found: None, bound: Bound::None, passed: false, note: problem.to_string() };
            self.push(row);
        }
    }

    fn push(&mut self, row: Row) {
        match self.live {
            Live::No => {}
            // A reader who has gone shows at the verdict.
            Live::Stdout => drop(crate::cli::output::line(&line(&row))),
            Live::Stderr => crate::cli::output::note(&line(&row)),
        }
        self.rows.push(row);
    }

    /// Checks that failed, and all that are judged.
    pub fn counts(&self) -> (usize, usize) {
        let judged = |row: &&Row| row.bound != Bound::None || !row.passed;
        (self.rows.iter().filter(|row| !row.passed).count(), self.rows.iter().filter(judged).count())
    }

    /// The rows so far.
    #[cfg(test)]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// One JSON object.
    pub fn json(&self, device: &str, seconds: f64) -> String {
        let (failed, judged) = self.counts();
        json!({
            "device": device, "passed": failed == 0, "failed": failed, "judged": judged, "seconds": seconds,
            "checks": self.rows,
        })
        .to_string()
    }

    /// The last line of the table.
    pub fn verdict(&self, device: &str, seconds: f64) -> String {
        let (failed, judged) = self.counts();
        let verdict = if failed == 0 { "all within bounds".to_owned() } else { format!("{failed} out of bounds") };
        format!("{device}: {judged} checks, {verdict}, {seconds:.1} s")
    }

    /// All rows and the verdict.
    #[cfg(test)]
    pub fn table(&self, device: &str, seconds: f64) -> String {
        let rows: String = self.rows.iter().map(|row| line(row) + "\n").collect();
        rows + &self.verdict(device, seconds)
    }
}

/// A row of the table.
fn line(row: &Row) -> String {
    let verdict = match (row.passed, row.bound) {
        (false, _) => "FAIL",
        (true, Bound::None) => "told",
        (true, _) => "ok",
    };
    let found = row.found.map_or_else(|| "-".into(), number);
    let bound = match row.bound {
        Bound::AtMost(bound) => format!("<= {}", number(bound)),
        Bound::AtLeast(bound) => format!(">= {}", number(bound)),
        Bound::None => String::new(),
    };
    let note = if row.note.is_empty() { String::new() } else { format!("  {}", row.note) };
    let text = format!("{verdict:4}  {:36}  {:44}  {found:>9} {bound:<11}{note}", row.subject, row.check);
    text.trim_end().to_owned()
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        v if (0.01..1e4).contains(&v) => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    }
}
