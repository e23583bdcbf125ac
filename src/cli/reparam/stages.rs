//! The stages of a reparameterisation on the command line, and what they are made with.

use serde::{Deserialize, Serialize};
use train::ps::ShiftForm;
use train::reparam::Piece;

/// [`ShiftForm`] on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Float weights, rounded (DeepShift-Q)
    Q,
    /// Exponents and signs (DeepShift-PS)
    Ps,
}

impl From<Form> for ShiftForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Q => Self::Q,
            Form::Ps => Self::Ps,
        }
    }
}

/// Stages in order, each with its name and pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Stages(pub Vec<(String, Vec<Piece>)>);

impl From<Stages> for String {
    fn from(stages: Stages) -> Self {
        stages.names().join(",")
    }
}

impl TryFrom<String> for Stages {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_stages(&text)
    }
}

impl Stages {
    /// The stages as they are written, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Stages as the command line gives them.
///
/// # Errors
/// Names a piece that there is not.
pub fn parse_stages(text: &str) -> Result<Stages, String> {
    let names = || Piece::ALL.map(|(name, _)| name).join(", ");
    let piece = |name: &str| {
        let found = Piece::ALL.into_iter().find(|(n, _)| *n == name);
        found.map(|(_, piece)| piece).ok_or_else(|| format!("expected pieces of {}, found {name:?}", names()))
    };
    let stage = |text: &str| Ok((text.to_owned(), text.split('+').map(piece).collect::<Result<_, String>>()?));
    text.split(',').map(stage).collect::<Result<_, String>>().map(Stages)
}

/// The latencies of both experts, such as `6:4`.
///
/// # Errors
/// If they are no two positive numbers.
pub fn parse_latencies(text: &str) -> Result<[f64; 2], String> {
    let wrong = || format!("expected two positive numbers such as 6:4, found {text:?}");
    let (a, b) = text.split_once(':').ok_or_else(wrong)?;
    let pair = [a, b].map(|v| v.trim().parse::<f64>());
    match pair {
        [Ok(a), Ok(b)] if a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite() => Ok([a, b]),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_and_wrong_ones_named() {
        let stages = parse_stages("ray+view,experts").unwrap();
        assert_eq!(stages.0.len(), 2);
        assert_eq!(stages.0[0].1, [Piece::Ray, Piece::View]);
        assert!(parse_stages("ray,nothing").unwrap_err().contains("\"nothing\""));
        assert!(parse_stages("").is_err());
    }

    #[test]
    fn latencies_are_two_positive_numbers() {
        assert_eq!(parse_latencies("6:4").unwrap(), [6.0, 4.0]);
        for wrong in ["6", "0:1", "a:b", "1:-1", "inf:1", "nan:1"] {
            assert!(parse_latencies(wrong).is_err(), "{wrong}");
        }
    }
}
