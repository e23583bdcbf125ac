//! The engine's kernels: each op is one folder with its contract in `mod.rs` and its CPU kernel in `cpu.rs`.
//!
//! Every kernel takes the instruction set to use as its first argument, an [`Isa`](crate::Isa), and is compiled for the
//! sets it is written for by [`simd_fn!`](crate::simd_fn). Most are written once over a register type
//! ([`Simd`](crate::simd::Simd), or `Dot` of `product8/lanes` for bytes). Where instructions have no common form, a
//! kernel has one body in plain Rust and others in intrinsics: `hamming/{codes,logits,weigh}`, `hamming/ray8/x86.rs` and
//! `product8/passes.rs`. Tests run each with every set that the machine has ([`Isa::available`](crate::Isa::available)).
//!
//! Ops work on slices of scratch memory that one thread owns. All widths that are read or written a register at a time
//! are padded to [`PAD`] values by their owners.

pub mod attend_ray;
pub mod blend_views;
pub mod conv_tiles;
pub mod gather;
pub mod hamming;
pub mod normalise;
pub mod product;
pub mod product8;
pub mod product_bf16;

/// Widths of rows that kernels write are multiples of this, so that no kernel needs a tail: the widest register.
pub const PAD: usize = 16;

/// `n` rounded up to a multiple of [`PAD`].
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(PAD)
}
