//! Which views are held out: named sets of them, and the rule for scenes that name none.

use crate::{Error, Result};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Which views are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// Every n-th photograph of a scene that has no split of its own.
    HeldOut,
    /// The scene's test views.
    Test,
    /// The scene's validation views.
    Val,
}

impl Split {
    /// `held-out`, `test` or `val`.
    pub fn name(self) -> &'static str {
        match self {
            Self::HeldOut => "held-out",
            Self::Test => "test",
            Self::Val => "val",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::HeldOut, Self::Test, Self::Val].into_iter().find(|split| split.name() == text);
        found.ok_or_else(|| Error::Scene(format!("split: expected held-out, test or val, found {text:?}")))
    }
}

/// Sources and held-out views of a scene without a split of its own: every `hold_every`-th view from 0 is held out; 0 holds
/// none out.
pub(crate) fn by_position(count: usize, hold_every: usize) -> (Vec<usize>, Vec<usize>) {
    (0..count).partition(|&i| hold_every == 0 || i % hold_every != 0)
}

/// The splits that a scene without one of its own has.
pub(super) fn of_positions(hold_every: usize) -> &'static [Split] {
    if hold_every == 0 { &[] } else { &[Split::HeldOut] }
}

/// The split to load: `wanted`, or the first of `available`.
///
/// # Errors
/// [`Error::Scene`] naming the scene and what it has if `wanted` is not `available`.
pub(super) fn choose(root: &Path, wanted: Option<Split>, available: &[Split]) -> Result<Option<Split>> {
    let Some(wanted) = wanted else { return Ok(available.first().copied()) };
    if available.contains(&wanted) {
        return Ok(Some(wanted));
    }
    let names: Vec<_> = available.iter().map(|split| split.name()).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(" and ") };
    Err(Error::Scene(format!("{}: expected the split {wanted}, found {found}", root.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for split in [Split::HeldOut, Split::Test, Split::Val] {
            assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
        }
        assert!("train".parse::<Split>().unwrap_err().to_string().contains("\"train\""));
    }

    #[test]
    fn the_first_is_the_default_and_missing_ones_are_named() {
        let root = Path::new("lego");
        assert_eq!(choose(root, None, &[Split::Test, Split::Val]).unwrap(), Some(Split::Test));
        assert_eq!(choose(root, Some(Split::Val), &[Split::Test, Split::Val]).unwrap(), Some(Split::Val));
        assert_eq!(choose(root, None, &[]).unwrap(), None);
        let message = choose(root, Some(Split::HeldOut), &[Split::Test, Split::Val]).unwrap_err().to_string();
        assert!(message.contains("lego") && message.contains("held-out") && message.contains("test and val"));
        assert!(choose(root, Some(Split::Val), &[]).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn every_nth_view_is_held_out_or_none() {
        assert_eq!(by_position(3, 0), (vec![0, 1, 2], vec![]));
        assert_eq!(by_position(3, 1), (vec![], vec![0, 1, 2]));
        assert_eq!(by_position(17, 8).1, [0, 8, 16]);
    }
}
