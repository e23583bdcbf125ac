//! Attention on binary codes.
