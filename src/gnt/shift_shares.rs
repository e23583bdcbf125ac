//! How a network's routers split its rows between multiply and shift experts, as its file says it.
//!
//! What counts is where rows go when pictures are rendered, which is not where they went in training: the loss that balances
//! the experts by their latencies is made for the latter, and nothing holds the former to it.

use crate::checkpoint::Checkpoint;
use crate::operations::num_feed_forward_parts;
use crate::{Config, Error, FeedForwardKind, Result};

/// Metadata entry with the shares of the rows that went to the experts of shifts in rendered pictures: a JSON array, one
/// number for each feed-forward part in the order in which the engine meets them.
pub const RENDERED: &str = "rendered_shift_shares";
/// Metadata entry of older files: one number for all parts, of the last steps of training.
const TRAINED: &str = "shift_share";

/// What a file says of its routers.
#[derive(Clone, Debug, PartialEq)]
pub enum ShiftShares {
    /// Of rendered pictures, one for each feed-forward part: view and ray part of block 0, of block 1, and so on.
    Rendered(Vec<f64>),
    /// Of training, over all parts; how pictures are rendered was not measured.
    Trained(f64),
    /// Nothing, or there are no experts.
    Unknown,
}

impl ShiftShares {
    /// Reads them from the metadata of a file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the entry, what was expected and what was found.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        if !has_experts(&checkpoint.config) {
            return Ok(Self::Unknown);
        }
        let wrong = |key: &str, expected: &str, found: &str| {
            let problem = format!("{key:?} in the metadata: expected {expected}, found {found:?}");
            Err(Error::Checkpoint { path: checkpoint.origin.clone(), problem })
        };
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        if let Some(text) = checkpoint.metadata.get(RENDERED) {
            let parts = num_feed_forward_parts(&checkpoint.config);
            return match serde_json::from_str::<Vec<f64>>(text) {
                Ok(shares) if shares.len() == parts && shares.iter().all(is_share) => Ok(Self::Rendered(shares)),
                _ => wrong(RENDERED, &format!("{parts} numbers from 0 to 1 as a JSON array"), text),
            };
        }
        let Some(text) = checkpoint.metadata.get(TRAINED) else { return Ok(Self::Unknown) };
        match text.trim().parse::<f64>() {
            Ok(share) if is_share(&share) => Ok(Self::Trained(share)),
            _ => wrong(TRAINED, "a number from 0 to 1", text),
        }
    }

    /// Those of rendered pictures, where they were measured.
    pub fn rendered(&self) -> Option<&[f64]> {
        match self {
            Self::Rendered(shares) => Some(shares),
            Self::Trained(_) | Self::Unknown => None,
        }
    }
}

/// Whether a network has routers at all.
pub fn has_experts(config: &Config) -> bool {
    matches!(config.mlp, FeedForwardKind::Experts { .. })
}

/// The shares of the shift experts from rows that were counted by feed-forward part, multiply expert first, as
/// [`ExpertShares`](crate::renderer::ExpertShares) has them; `None` where a part has no rows, or there are no parts.
pub fn of_rows(routed: &[[u64; 2]]) -> Option<Vec<f64>> {
    let share =
        |[multiply, shift]: &[u64; 2]| (multiply + shift > 0).then(|| *shift as f64 / (multiply + shift) as f64);
    if routed.is_empty() { None } else { routed.iter().map(share).collect() }
}

/// The text under [`RENDERED`]: shares of which nobody needs more than six digits.
pub fn text(shares: &[f64]) -> String {
    let rounded: Vec<String> = shares.iter().map(|share| format!("{share:.6}")).collect();
    format!("[{}]", rounded.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    fn checkpoint(config: Config, entries: &[(&str, &str)]) -> Checkpoint {
        let model = Model::new(config).unwrap();
        let mut checkpoint = Checkpoint::from_params(&config, &model.layout, &model.layout.initialise(5));
        checkpoint.metadata = entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        checkpoint
    }

    #[test]
    fn files_of_today_and_of_before_are_read() {
        let config = Config { depth: 1, ..Config::compact() }.shift_add();
        let of = |entries: &[(&str, &str)]| ShiftShares::of(&checkpoint(config, entries));
        assert_eq!(of(&[]).unwrap(), ShiftShares::Unknown);
        for (text, expected) in [("0", 0.0), ("0.375", 0.375), (" 1 ", 1.0), ("1e-3", 0.001)] {
            assert_eq!(of(&[(TRAINED, text)]).unwrap(), ShiftShares::Trained(expected));
        }
        let shares = ShiftShares::Rendered(vec![0.9921, 1.0]);
        assert_eq!(of(&[(TRAINED, "0.5"), (RENDERED, &text(&[0.9921, 1.0]))]).unwrap(), shares);
        assert_eq!(shares.rendered(), Some([0.9921, 1.0].as_slice()));
        for (key, text) in [
            (TRAINED, ""),
            (TRAINED, "half"),
            (TRAINED, "-0.1"),
            (TRAINED, "1.01"),
            (TRAINED, "nan"),
            (TRAINED, "0,5"),
            (RENDERED, "0.5"),
            (RENDERED, "[0.5]"),
            (RENDERED, "[0.5, 0.5, 0.5]"),
            (RENDERED, "[0.5, 1.5]"),
            (RENDERED, "[0.5, null]"),
        ] {
            let error = of(&[(key, text)]).unwrap_err().to_string();
            assert!(error.contains(&format!("{key:?} in the metadata: expected ")), "{error}");
            assert!(error.ends_with(&format!("found {text:?}")), "{error}");
        }
        // A network without routers has no shares, whatever its file says.
        assert_eq!(ShiftShares::of(&checkpoint(Config::compact(), &[(RENDERED, "x")])).unwrap(), ShiftShares::Unknown);
    }

    #[test]
    fn rows_become_shares() {
        assert_eq!(of_rows(&[[1, 3], [5, 0]]), Some(vec![0.75, 0.0]));
        assert_eq!((of_rows(&[]), of_rows(&[[1, 3], [0, 0]])), (None, None));
    }
}
