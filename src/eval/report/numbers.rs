//! How numbers and names are written in a report.

/// What stands where there is no figure.
pub const NONE: &str = "–";

/// A number with so many decimals and commas between thousands.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.into();
    }
    let text = format!("{value:.decimals$}");
    // No "-0.00".
    if text.starts_with('-') && text.bytes().all(|b| b"-0.".contains(&b)) { text[1..].into() } else { grouped(&text) }
}

/// A number with three significant digits and commas between thousands.
pub fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let exponent = value.abs().log10().floor();
    if !value.is_finite() {
        NONE.into()
    } else if (-5.0..12.0).contains(&exponent) {
        fixed(value, (2.0 - exponent).max(0.0) as usize)
    } else {
        format!("{value:.2e}")
    }
}

/// A number with a prefix for thousands, such as `1.23 M`.
pub fn si(value: f64) -> String {
    let prefixes = [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match prefixes.into_iter().find(|(size, _)| value.abs() >= *size) {
        Some((size, prefix)) if value.is_finite() => format!("{} {prefix}", significant(value / size)),
        _ => significant(value),
    }
}

/// Bytes by powers of 1024.
pub fn bytes(value: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| value >= *size) {
        Some((size, unit)) => format!("{} {unit}", significant(value as f64 / size as f64)),
        None => format!("{value} B"),
    }
}

/// A whole number with commas between thousands.
pub fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

/// A number and what it counts, which takes an "s" for more than one.
pub fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", whole(number), if number == 1 { "" } else { "s" })
}

/// Commas between thousands of a decimal number.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let mut text = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text += fraction;
    }
    text
}

/// At most so many characters, the last an ellipsis where some are left out; control characters are shown as `�`.
pub fn short(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    if text.chars().count() <= most {
        return clean.collect();
    }
    clean.take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_readers() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1.00"),
            (0.012345, "0.0123"),
            (-1234.5, "-1,234"),
            (12.345, "12.3"),
            (1234567.0, "1,234,567"),
            (1e-9, "1.00e-9"),
            (f64::NAN, "–"),
            (f64::NEG_INFINITY, "–"),
            (3e20, "3.00e20"),
        ] {
            assert_eq!(significant(value), wanted, "{value}");
        }
        assert_eq!([fixed(-0.001, 2), fixed(-0.0, 1), fixed(f64::NAN, 2)], ["0.00", "0.0", "–"]);
        assert_eq!([fixed(12345.678, 2), fixed(-0.5, 2), fixed(999.0, 0)], ["12,345.68", "-0.50", "999"]);
        assert_eq!([si(999.0), si(1500.0), si(2.5e9), si(0.0)], ["999", "1.50 k", "2.50 G", "0"]);
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(3 << 30)], ["0 B", "1023 B", "1.00 KiB", "3.00 GiB"]);
        assert_eq!([count(1, "view"), count(0, "view"), count(1234, "view")], ["1 view", "0 views", "1,234 views"]);
        assert_eq!(whole(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!([short("ä-öü", 4), short("ä-öü", 3), short("", 0), short("ab", 1)], ["ä-öü", "ä-…", "", "…"]);
        assert_eq!(short("a\nb\u{1b}[31m", 20), "a�b�[31m");
    }
}
