//! How many samples a ray takes and where: a number, guided by a coarse grid, or whatever suits the network.

use super::Settings;
use crate::{Config, Error, Guided, Head};
use std::fmt;
use std::str::FromStr;

/// How the samples of a ray are placed. Its text is `auto`, a number, or `CELL:COARSE+SAMPLES`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Samples {
    /// Guided by a coarse grid of rays where the network tells where along a ray it found something, else evenly.
    #[default]
    Auto,
    /// As many, evenly spaced in inverse depth.
    Even(usize),
    /// As many, guided by a coarse grid.
    Guided(Guided, usize),
}

/// Largest stride with which guided samples are fewer than even ones.
const MOST_STRIDE: u32 = 4;
/// Fewest and most samples of a ray.
const RANGE: std::ops::RangeInclusive<usize> = 2..=4096;

impl Samples {
    /// Samples a ray and how they are guided, for a network that renders every `stride`-th pixel, with `importance` samples
    /// of a second pass.
    pub fn of(self, config: &Config, stride: u32, importance: usize) -> (usize, Option<Guided>) {
        // The mean over a ray's samples has no depth to tell; with few pixels the coarse rays would be the most of the work;
        // and a second pass finds its own places.
        let guided = config.head != Head::Mean && stride <= MOST_STRIDE && importance == 0;
        match self {
            Self::Auto if !guided => (config.samples, None),
            Self::Auto => (Guided::AUTO_SAMPLES, Some(Guided::AUTO)),
            Self::Even(samples) => (samples, None),
            Self::Guided(how, samples) => (samples, Some(how)),
        }
    }
}

impl From<Settings> for Samples {
    fn from(settings: Settings) -> Self {
        settings.guided.map_or(Self::Even(settings.samples), |how| Self::Guided(how, settings.samples))
    }
}

impl FromStr for Samples {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = || {
            let (least, most) = (RANGE.start(), RANGE.end());
            Error::Input(format!(
                "expected auto, a number from {least} to {most}, or CELL:COARSE+SAMPLES such as 4:48+12"
            ))
        };
        let number = |text: &str| text.parse().ok().filter(|n| RANGE.contains(n)).ok_or_else(expected);
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None => Ok(Self::Even(number(text)?)),
            Some((cell, samples)) => {
                let (coarse, samples) = samples.split_once('+').ok_or_else(expected)?;
                let cell = cell.parse().ok().filter(|cell| (1..=64).contains(cell)).ok_or_else(expected)?;
                Ok(Self::Guided(Guided { cell, coarse: number(coarse)? }, number(samples)?))
            }
        }
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Even(samples) => write!(f, "{samples}"),
            Self::Guided(Guided { cell, coarse }, samples) => write!(f, "{cell}:{coarse}+{samples}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back() {
        let guided = Samples::Guided(Guided { cell: 8, coarse: 48 }, 6);
        for samples in [Samples::Auto, Samples::Even(192), guided] {
            assert_eq!(samples.to_string().parse::<Samples>().unwrap(), samples);
        }
        for bad in ["", "1", "5000", "auto2", "4:48", "4:+3", "0:48+12", "4:1+12", "99:48+12", "4:48+12+3", "-4"] {
            assert!(bad.parse::<Samples>().unwrap_err().to_string().contains("expected auto"), "{bad}");
        }
    }

    #[test]
    fn networks_without_depth_are_not_guided() {
        let auto = |config: &Config, stride, importance| Samples::Auto.of(config, stride, importance);
        assert_eq!(auto(&Config::official(8), 1, 0), (192, None));
        let compact = Config::compact();
        assert_eq!(auto(&compact, 4, 0), (Guided::AUTO_SAMPLES, Some(Guided::AUTO)));
        assert_eq!([auto(&compact, 5, 0), auto(&compact, 1, 8)], [(compact.samples, None); 2]);
    }
}
