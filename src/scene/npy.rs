//! `.npy` files: tables of numbers that are read, and arrays that are written.
//!
//! Of a file that is read only what a table needs is understood, and nothing is allocated beyond the file's own size: pose
//! files come from anywhere, and a header can promise any shape or nest its brackets without end.

use std::io::{self, Write};

/// A table of numbers, row-major.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

/// Parses a two-dimensional f32 or f64 array of either byte order, in C or Fortran order.
///
/// # Errors
/// Says what was expected and found.
pub(crate) fn parse(bytes: &[u8]) -> Result<Table, String> {
    if bytes.get(..6) != Some(b"\x93NUMPY".as_slice()) {
        return Err("expected a .npy file, found another file type".into());
    }
    let (start, length) = match bytes.get(6..12) {
        Some(&[1, _, a, b, ..]) => (10, usize::from(u16::from_le_bytes([a, b]))),
        Some(&[2 | 3, _, a, b, c, d]) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        Some(&[version, ..]) => return Err(format!("expected .npy version 1 to 3, found {version}")),
        _ => return Err("truncated: the header is incomplete".into()),
    };
    let header = bytes[start..].get(..length).ok_or("truncated: the header is incomplete")?;
    let header = std::str::from_utf8(header).map_err(|_| "expected a header of text, found other bytes")?;
    let data = &bytes[start + length..];

    let descr = value(header, "descr")?;
    let descr = descr.strip_prefix(['\'', '"']).and_then(|d| d.split(['\'', '"']).next()).unwrap_or(descr);
    let (item, read): (usize, fn(&[u8]) -> f64) = match descr {
        "<f8" => (8, |b| f64::from_le_bytes(b.try_into().expect("8 bytes"))),
        ">f8" => (8, |b| f64::from_be_bytes(b.try_into().expect("8 bytes"))),
        "<f4" => (4, |b| f64::from(f32::from_le_bytes(b.try_into().expect("4 bytes")))),
        ">f4" => (4, |b| f64::from(f32::from_be_bytes(b.try_into().expect("4 bytes")))),
        other => return Err(format!("expected numbers of type f4 or f8, found {:?}", shorten(other))),
    };
    let fortran = match value(header, "fortran_order")? {
        order if order.starts_with("True") => true,
        order if order.starts_with("False") => false,
        other => return Err(format!("expected fortran_order True or False, found {:?}", shorten(other))),
    };
    let (rows, columns) = shape(value(header, "shape")?)?;
    let expected = rows.checked_mul(columns).and_then(|n| n.checked_mul(item));
    if expected != Some(data.len()) {
        return Err(format!("expected {rows} x {columns} numbers of {item} bytes, found {} bytes of data", data.len()));
    }
    let stored: Vec<f64> = data.chunks_exact(item).map(read).collect();
    let values = if fortran {
        (0..rows).flat_map(|r| (0..columns).map(move |c| c * rows + r)).map(|i| stored[i]).collect()
    } else {
        stored
    };
    Ok(Table { rows, columns, values })
}

/// Text behind `'key':` in the header.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    ['\'', '"']
        .iter()
        .find_map(|quote| header.split_once(&format!("{quote}{key}{quote}")))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| format!("expected the key {key:?} in the header, found none"))
}

/// The two numbers of `(rows, columns)`.
fn shape(text: &str) -> Result<(usize, usize), String> {
    let inner = text.strip_prefix('(').and_then(|t| t.split(')').next());
    let numbers: Option<Vec<usize>> = inner.and_then(|inner| {
        inner.trim().trim_end_matches(',').split(',').map(|n| n.trim().trim_end_matches('L').parse().ok()).collect()
    });
    match numbers.as_deref() {
        Some(&[rows, columns]) => Ok((rows, columns)),
        _ => Err(format!("expected a two-dimensional shape, found {:?}", shorten(text))),
    }
}

/// The start of a text that may be hostile.
fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A number that arrays are written of.
pub(crate) trait Number: Copy {
    /// As NumPy calls its type, little-endian.
    const TYPE: &str;

    /// Writes its bytes, the least significant one first.
    fn write(self, out: &mut dyn Write) -> io::Result<()>;
}

impl Number for f32 {
    const TYPE: &str = "<f4";

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.to_le_bytes())
    }
}

impl Number for f64 {
    const TYPE: &str = "<f8";

    fn write(self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.to_le_bytes())
    }
}

/// Writes an array of this shape, row-major; `out` should be buffered.
///
/// # Errors
/// If `out` cannot be written.
///
/// # Panics
/// If there are more or fewer values than the shape has.
pub(crate) fn write<T: Number>(out: &mut dyn Write, shape: &[usize], values: &[T]) -> io::Result<()> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values of an array {shape:?}");
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let mut header = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes}), }}", T::TYPE);
    // Magic number, version, length, header and its line break fill lines of 64 bytes, so that values are aligned.
    let before = 10;
    let length = (before + header.len() + 1).next_multiple_of(64) - before;
    header.extend(std::iter::repeat_n(' ', length - header.len() - 1));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(length as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.iter().try_for_each(|value| value.write(out))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A version 1 file with the given header.
    pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descr: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn reads_both_byte_orders_widths_and_layouts() {
        let rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]];
        let expected = Table { rows: 2, columns: 3, values: rows.as_flattened().to_vec() };
        let le: Vec<u8> = expected.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let be: Vec<u8> = expected.values.iter().flat_map(|v| v.to_be_bytes()).collect();
        let single: Vec<u8> = expected.values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
        let columns: Vec<u8> = (0..3).flat_map(|c| rows.map(|r| r[c])).flat_map(f64::to_le_bytes).collect();
        for (descr, fortran, data) in
            [("<f8", "False", le), (">f8", "False", be), ("<f4", "False", single), ("<f8", "True", columns)]
        {
            assert_eq!(parse(&file(&header(descr, fortran, "(2, 3)"), &data)).unwrap(), expected, "{descr} {fortran}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        let data = [0u8; 48];
        for (descr, shape, expected) in [
            ("<f8", "(18446744073709551615, 18446744073709551615)", "18446744073709551615"),
            ("<f8", "(2, 2)", "2 x 2"),
            ("<f8", "(6,)", "two-dimensional"),
            ("<f8", "(1, 2, 3)", "two-dimensional"),
            ("<f8", "(-2, 3)", "two-dimensional"),
            ("<i8", "(2, 3)", "f4 or f8"),
            ("|O", "(2, 3)", "f4 or f8"),
        ] {
            let message = parse(&file(&header(descr, "False", shape), &data)).unwrap_err();
            assert!(message.contains(expected), "{shape}: {message}");
        }
        let whole = file(&header("<f8", "False", "(2, 3)"), &data);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    /// What is written is read again, by this module and by another's, and is the same to the byte as that one writes it.
    #[test]
    fn arrays_are_written_as_others_write_them() {
        use npyz::WriterBuilder;
        for (rows, columns) in [(1, 1), (2, 3), (1000, 17), (31, 0)] {
            let values: Vec<f64> = (0..rows * columns).map(|i| f64::from(i as u32) / 3.0 - 7.0).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, &[rows, columns], &values).unwrap();
            assert_eq!(parse(&bytes).unwrap(), Table { rows, columns, values: values.clone() });
            let mut expected = Vec::new();
            let shape = [rows as u64, columns as u64];
            let mut writer =
                npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut expected).begin_nd().unwrap();
            writer.extend(values.iter().copied()).unwrap();
            writer.finish().unwrap();
            assert!(bytes == expected, "{rows}x{columns}");
        }
        let mut bytes = Vec::new();
        write(&mut bytes, &[2, 2], &[1.5f32, -2.0, 0.0, 1e9]).unwrap();
        assert_eq!(parse(&bytes).unwrap().values, [1.5, -2.0, 0.0, 1e9]);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"\x93NUMPY\x01\x00".as_slice(), &bytes].concat());
            let _ = parse(&[b"\x93NUMPY\x02\x00".as_slice(), &bytes].concat());
        }

        #[test]
        fn never_panics_on_a_damaged_header(at in 0usize..140, to in any::<u8>(), shape in "[(),0-9 L-]{0,30}") {
            let mut bytes = file(&header("<f8", "False", &shape), &[0; 48]);
            let _ = parse(&bytes);
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = parse(&bytes);
        }
    }
}
