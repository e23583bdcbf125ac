//! A block of keys at a time, written once over the registers that count bits.

use super::Weighing;
use crate::ops::hamming::powers::Powers;
use crate::simd::Simd;

/// Registers with the 16-bit codes of a block of keys, two for each lane of `F`: those in the low halves of 32-bit lanes
/// come first.
///
/// # Safety
/// Every method may only be called where the instructions of the implementing type are available; pointers must be
/// valid for a register.
pub unsafe trait Counts: Copy + 'static {
    /// Registers of weights.
    type F: Simd;
    /// Codes or numbers of bits, 16 bits each.
    type V: Copy;
    /// The powers that numbers of bits choose from.
    type Table: Copy;
    /// Which lanes of a register of weights are kept.
    type Mask: Copy;

    /// # Safety
    /// See the trait.
    unsafe fn splat(x: u16) -> Self::V;
    /// In how many bits `query` differs from each code at `keys`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn count(query: Self::V, keys: *const u16) -> Self::V;
    /// # Safety
    /// See the trait.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See the trait.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See the trait.
    unsafe fn store(p: *mut u16, v: Self::V);
    /// # Safety
    /// See the trait.
    unsafe fn table(powers: &Powers) -> Self::Table;
    /// The power of each number of bits, of the low and then of the high halves.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn powers(table: Self::Table, bits: Self::V) -> [<Self::F as Simd>::V; 2];
    /// Keeps the first `lanes` lanes of two registers.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn first(lanes: usize) -> [Self::Mask; 2];
    /// Zero in lanes that are not kept.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn keep(mask: Self::Mask, v: <Self::F as Simd>::V) -> <Self::F as Simd>::V;
}

/// # Safety
/// The instructions of `C` are available; keys and rows of weights are whole blocks of two registers of weights, and
/// there is at least one.
#[inline(always)]
pub unsafe fn weigh<C: Counts>(block: Weighing) {
    // SAFETY: as the caller vouches.
    unsafe {
        if block.powers.relative {
            of_all::<C, true>(block);
        } else {
            of_all::<C, false>(block);
        }
    }
}

/// # Safety
/// As [`weigh`].
#[inline(always)]
unsafe fn of_all<C: Counts, const RELATIVE: bool>(block: Weighing) {
    let Weighing { queries, keys, powers, weights, width, sums } = block;
    let (codes, lanes) = (keys.narrow.as_ptr(), C::F::LANES);
    let block = 2 * lanes;
    let blocks = keys.samples.div_ceil(block);
    let last = blocks - 1;
    assert_eq!((block, keys.narrow.len()), (keys.block, blocks * block), "layout of {} keys", keys.samples);
    // SAFETY: blocks as the caller says.
    unsafe {
        let (table, present) = (C::table(powers), C::first(keys.samples - last * block));
        for (r, query) in queries.iter().enumerate() {
            let query = C::splat((query ^ powers.flip) as u16);
            let row = weights.as_mut_ptr().add(r * width);
            let mut least = C::splat(0);
            if RELATIVE {
                least = C::splat(16);
                for b in 0..blocks {
                    least = C::min(least, C::count(query, codes.add(b * block)));
                }
                let mut values = [16u16; 32];
                C::store(values.as_mut_ptr(), least);
                least = C::splat(values.into_iter().fold(16, u16::min));
            }
            let mut sum = [C::F::splat(0.0); 2];
            for b in 0..last {
                let w = of_block::<C, RELATIVE>(query, codes.add(b * block), least, table);
                C::F::store(row.add(b * block), w[0]);
                C::F::store(row.add(b * block + lanes), w[1]);
                sum = [C::F::add(sum[0], w[0]), C::F::add(sum[1], w[1])];
            }
            let w = of_block::<C, RELATIVE>(query, codes.add(last * block), least, table);
            let w = [C::keep(present[0], w[0]), C::keep(present[1], w[1])];
            C::F::store(row.add(last * block), w[0]);
            C::F::store(row.add(last * block + lanes), w[1]);
            sums[r] = C::F::sum(C::F::add(C::F::add(sum[0], w[0]), C::F::add(sum[1], w[1])));
        }
    }
}

/// Weights of one query for a block of keys. Not a closure: those are not always compiled into their caller, and then
/// lack its instructions.
///
/// # Safety
/// As [`weigh`]; a block of keys at `keys`.
#[inline(always)]
unsafe fn of_block<C: Counts, const RELATIVE: bool>(
    query: C::V,
    keys: *const u16,
    least: C::V,
    table: C::Table,
) -> [<C::F as Simd>::V; 2] {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut bits = C::count(query, keys);
        if RELATIVE {
            bits = C::sub(bits, least);
        }
        C::powers(table, bits)
    }
}
