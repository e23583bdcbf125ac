//! Numbers on the command line: in range, or an error that says what was expected.

use eval::report::data::Shard;
use std::ops::RangeInclusive;

fn number(text: &str, range: RangeInclusive<f64>, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected {expected}, found {text:?}"))
}

/// A weight of a part of the loss.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_weight(text: &str) -> Result<f32, String> {
    number(text, 0.0..=1000.0, "a number from 0 to 1000").map(|number| number as f32)
}

/// A learning rate.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_rate(text: &str) -> Result<f32, String> {
    number(text, 1e-12..=1.0, "a number above 0 and up to 1, such as 0.001").map(|number| number as f32)
}

/// A part of a whole.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_share(text: &str) -> Result<f32, String> {
    number(text, 0.0..=1.0, "a number from 0 to 1").map(|number| number as f32)
}

/// A number of steps.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_steps(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| format!("expected a number of steps from 1 on, found {text:?}"))
}

/// A time in minutes.
///
/// # Errors
/// What was expected, if it is anything else.
pub fn parse_minutes(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1e6, "a number of minutes from 0 to 1000000")
}

/// Reads a part of several, `I/N` from `1/N` to `N/N`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some(Shard { index: i.parse().ok()?, count: n.parse().ok()? }));
    let valid = |shard: &Shard| (1..=shard.count).contains(&shard.index);
    parts.filter(valid).ok_or_else(|| "expected I/N with I from 1 to N, such as 1/2".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_in_range_are_taken() {
        assert_eq!((parse_weight("0.5"), parse_weight("0")), (Ok(0.5), Ok(0.0)));
        assert_eq!((parse_rate("1e-3"), parse_minutes("0.5")), (Ok(0.001), Ok(0.5)));
        for wrong in ["nan", "inf", "-1", "1e9", "1e999", "", "x"] {
            assert!(parse_weight(wrong).unwrap_err().contains("0 to 1000"), "{wrong}");
            assert!(parse_rate(wrong).is_err() && (wrong == "1e9" || parse_minutes(wrong).is_err()), "{wrong}");
        }
        assert_eq!(parse_steps("1"), Ok(1));
        for wrong in ["0", "-1", "1.5", "", "99999999999999999999"] {
            assert!(parse_steps(wrong).unwrap_err().contains("steps from 1 on"), "{wrong}");
        }
        assert!(parse_share("1.01").is_err() && parse_share("0.5") == Ok(0.5));
        assert!(parse_rate("0").is_err() && parse_minutes("1e9").is_err());
    }

    #[test]
    fn shards_are_parsed() {
        assert_eq!(parse_shard("31/33"), Ok(Shard { index: 31, count: 33 }));
        for bad in ["", "1", "0/2", "3/2", "1/0", "1/2/3", "-1/2", "a/b"] {
            assert!(parse_shard(bad).unwrap_err().contains("1/2"), "{bad}");
        }
    }
}
