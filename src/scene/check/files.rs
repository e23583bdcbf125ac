//! Photographs and poses that do not belong to one another.

use super::{Finding, Severity, Subject};
use crate::Scene;
use crate::formats::unused;

/// From this part of all photographs on, those that are missing leave holes in what is seen.
const MANY: f64 = 0.2;

/// Poses without a photograph, and photographs without a pose.
pub(super) fn find(scene: &Scene) -> Vec<Finding> {
    let mut findings = Vec::new();
    if scene.missing > 0 {
        let all = scene.views.len() + scene.missing;
        let severity = if scene.missing as f64 >= MANY * all as f64 { Severity::Wrong } else { Severity::Worse };
        findings.push(Finding {
            severity,
            subject: Subject::Files,
            views: Vec::new(),
            problem: format!("{} of {all} photographs that have a pose are missing", scene.missing),
            remedy:
                "put the photographs back that the poses were found from, or find the poses anew (`shiftray poses`)"
                    .into(),
        });
    }
    let unused = unused(scene.views.iter().map(|view| view.path.as_path()));
    if let Some(first) = unused.first() {
        let (count, have) = match unused.len() {
            1 => ("1 photograph".to_owned(), "has"),
            count => (format!("{count} photographs"), "have"),
        };
        findings.push(Finding {
            severity: Severity::Worse,
            subject: Subject::Files,
            views: Vec::new(),
            problem: format!("{count} {have} no pose and cannot be used: {}", first.display()),
            remedy: "remove what does not belong to the capture; if it does, find the poses anew (`shiftray poses`), with more \
                     photographs from places between it and the others"
                .into(),
        });
    }
    findings
}
