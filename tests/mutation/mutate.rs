//! Changes of files.

use layers::params::SplitMix;

/// Integers that are one too many somewhere.
const INTEGERS: [u64; 14] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x10000,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// What stands in the place of a number in JSON.
const WORDS: [&str; 30] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "3",
    "0.5",
    "1e-320",
    "1e-30",
    "1e30",
    "1e308",
    "-1e308",
    "1e400",
    "-1e400",
    "NaN",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999",
    "1e9",
    "null",
    "true",
    "\"\"",
    "\"a\"",
    "[]",
    "[[]]",
    "{}",
    "\"../../../../etc/passwd\"",
    "\"\\u0000\"",
];

/// One to four changes of `good`.
pub fn mutate(good: &[u8], json: bool, rng: &mut SplitMix) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..1 + rng.below(4) {
        if json && rng.below(3) > 0 {
            word(&mut bytes, rng);
        } else {
            raw(&mut bytes, rng);
        }
    }
    bytes
}

/// A change of bytes, whatever they mean. Beginnings are changed more often: headers are there.
fn raw(bytes: &mut Vec<u8>, rng: &mut SplitMix) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let reach = if rng.below(2) == 0 { length } else { length.min(256) };
    let at = rng.below(reach);
    match rng.below(9) {
        0 | 1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5)],
        3 => bytes.truncate(at),
        4 => {
            let end = (at + 1 + rng.below(64)).min(length);
            bytes.drain(at..end);
        }
        5 => {
            let noise: Vec<u8> = (0..1 + rng.below(32)).map(|_| rng.bits() as u8).collect();
            bytes.splice(at..at, noise);
        }
        6 => {
            let from = rng.below(length);
            let part = bytes[from..(from + 1 + rng.below(256)).min(length)].to_vec();
            let end = if rng.below(2) == 0 { at } else { (at + part.len()).min(length) };
            bytes.splice(at..end, part);
        }
        _ => {
            let width = [2, 4, 8][rng.below(3)];
            let mut number = INTEGERS[rng.below(INTEGERS.len())].to_le_bytes();
            if rng.below(2) == 0 {
                number[..width].reverse();
            }
            let end = (at + width).min(length);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
    }
}

/// Replaces a number or a text of a JSON file, or removes what lies between two commas.
fn word(bytes: &mut Vec<u8>, rng: &mut SplitMix) {
    let word = WORDS[rng.below(WORDS.len())].bytes();
    let is_number = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    let places: Vec<usize> = match rng.below(5) {
        0 => bytes.iter().enumerate().filter(|(_, b)| **b == b',').map(|(i, _)| i).collect(),
        1 => bytes.iter().enumerate().filter(|(_, b)| **b == b'"').map(|(i, _)| i).collect(),
        _ => (1..bytes.len()).filter(|i| bytes[*i].is_ascii_digit() && !is_number(bytes[*i - 1])).collect(),
    };
    if places.is_empty() {
        return;
    }
    let at = places[rng.below(places.len())];
    let rest = |wanted: &dyn Fn(u8) -> bool| bytes[at + 1..].iter().take_while(|b| wanted(**b)).count() + at + 1;
    match bytes[at] {
        b',' => {
            let end = rest(&|b| b != b',');
            bytes.drain(at..end);
        }
        b'"' => {
            let end = (rest(&|b| b != b'"') + 1).min(bytes.len());
            bytes.splice(at..end, word);
        }
        _ => {
            let end = rest(&is_number);
            bytes.splice(at..end, word);
        }
    }
}
