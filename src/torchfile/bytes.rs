//! Numbers and texts at the place in a pickle that was come to.

/// Longest line in bytes, such as the module of a global.
const MAX_NAME: usize = 256;

/// Bytes that are read from front to back.
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        if len > rest.len() {
            return Err(format!("expected {len} more bytes, found {}", rest.len()));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(N)?);
        Ok(out)
    }

    /// A little-endian two's-complement integer of a stated number of bytes.
    pub fn long(&mut self) -> Result<i64, String> {
        let [len] = self.take()?;
        if len > 8 {
            return Err(format!("expected an integer of at most 8 bytes, found {len}"));
        }
        let bytes = self.slice(len.into())?;
        let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(wide))
    }

    /// Text up to the end of the line, for names of globals.
    pub fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_NAME).position(|&b| b == b'\n');
        let end = end.ok_or_else(|| format!("expected a line of at most {MAX_NAME} bytes"))?;
        let line = self.slice(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|e| format!("expected a name in UTF-8: {e}"))
    }
}
