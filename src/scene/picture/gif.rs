//! What a GIF file holds, told from its blocks alone: decoders make room for whatever size a frame claims.

/// The frames of a GIF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    /// How many there are, up to where the file ends.
    pub count: usize,
    /// Whether all lie within the picture.
    pub fit: bool,
}

/// Looks at the blocks of a file; one that is no GIF has no frames.
pub(super) fn frames(bytes: &[u8]) -> Frames {
    let mut found = Frames { count: 0, fit: true };
    let number = |at: usize| bytes.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    // A table of colours follows where the highest bit of the flags is set; its size is in the lowest three.
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let (Some(width), Some(height), Some(flags)) = (number(6), number(8), bytes.get(10)) else { return found };
    let mut at = 13 + table(*flags);
    loop {
        match bytes.get(at) {
            // An extension: its label, then its data.
            Some(0x21) => at += 2,
            Some(0x2C) => {
                let place = [1, 3, 5, 7].map(|i| number(at + i));
                let ([Some(left), Some(top), Some(w), Some(h)], Some(flags)) = (place, bytes.get(at + 9)) else {
                    return found;
                };
                found.count += 1;
                found.fit &= left + w <= width && top + h <= height;
                // Flags, table, and the size of the first code.
                at += 10 + table(*flags) + 1;
            }
            _ => return found,
        }
        // Data come in blocks of up to 255 bytes; an empty one ends them.
        while let Some(length) = bytes.get(at).map(|length| usize::from(*length)) {
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 4x3 with a table of two colours and these frames of (left, top, width, height).
    fn file(frames: &[[u8; 4]]) -> Vec<u8> {
        let mut bytes = b"GIF89a\x04\0\x03\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
        for [left, top, width, height] in frames {
            bytes.extend(b"\x21\xF9\x04\0\0\0\0\0");
            bytes.extend([0x2C, *left, 0, *top, 0, *width, 0, *height, 0, 0, 2, 2, 0x44, 1, 0]);
        }
        bytes.push(0x3B);
        bytes
    }

    #[test]
    fn frames_are_counted_and_measured() {
        for (of, count, fit) in [
            (vec![], 0, true),
            (vec![[0, 0, 4, 3]], 1, true),
            (vec![[0, 0, 4, 3], [1, 1, 2, 2]], 2, true),
            (vec![[0, 0, 5, 3]], 1, false),
            (vec![[0, 0, 4, 3], [0, 2, 1, 255]], 2, false),
        ] {
            assert_eq!(frames(&file(&of)), Frames { count, fit }, "{of:?}");
        }
        let whole = file(&[[0, 0, 4, 3], [0, 0, 4, 3]]);
        for end in 0..whole.len() {
            assert!(frames(&whole[..end]).count <= 2);
        }
    }
}
