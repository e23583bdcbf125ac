//! Products of bytes.
