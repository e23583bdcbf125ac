//! Completions and manual pages, as a package would have them.

use crate::support::Place;
use std::process::Command;

/// Bash takes the script, and the script completes commands and options.
#[test]
fn bash_completes() {
    let place = Place::new();
    place.ok("completions bash --out done");
    assert_eq!(place.list("done"), ["shiftray.bash"]);
    let script = place.path("done/shiftray.bash");
    assert_eq!(std::fs::read_to_string(&script).unwrap().trim_end(), place.ok("completions bash").trim_end());
    let complete = |words: &str, last: usize| {
        let program = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _shiftray shiftray \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let checked = Command::new("bash").args(["-n", script.to_str().unwrap()]).status();
        let output = Command::new("bash").args(["-c", &program]).output();
        // There are machines without bash.
        checked.ok().zip(output.ok()).map(|(checked, output)| {
            assert!(checked.success());
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        })
    };
    for (words, last, found) in [("shiftray ren", 1, "render"), ("shiftray render --points-", 2, "--points-confidence")]
    {
        assert!(complete(words, last).is_none_or(|reply| reply == found), "{words}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let place = Place::new();
    let said = place.ok("man --out man1");
    let pages = place.list("man1");
    assert!(said.contains(&format!("{} pages", pages.len())), "{said}");
    for page in ["shiftray.1", "shiftray-render.1", "shiftray-train.1", "shiftray-train-classifier.1"] {
        assert!(pages.iter().any(|name| name == page), "{pages:?}");
    }
    let render = std::fs::read_to_string(place.path("man1/shiftray-render.1")).unwrap();
    assert!(render.contains("points\\-confidence") && render.contains("A flight through a scene"), "{render}");
    assert_eq!(place.ok("man").trim_end(), std::fs::read_to_string(place.path("man1/shiftray.1")).unwrap().trim_end());
}

#[test]
fn what_is_in_the_way_is_said() {
    let place = Place::new();
    std::fs::write(place.path("file"), "").unwrap();
    place.fails(1, "man --out file", &["--out file"]);
    place.fails(1, "completions bash --out file", &["--out file"]);
    place.fails(2, "completions tcsh", &["bash", "zsh", "fish", "powershell", "elvish"]);
}
