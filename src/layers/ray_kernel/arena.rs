//! Weights in the order in which the matrix units take them.

use super::CudaPrecision;
use compute::cuda::twin::{Address, Fragments};

/// Which channel each place of a product's left side means, see `Operand` in `kernels/common/fragment.cuh`. With
/// `t = lane % 4`, a lane holds of step `k`:
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Channels `16k + 2t`, `+1`, `16k + 8 + 2t`, `+1` (f32: `8k + 2t`, `+1`): what a product before it left.
    Natural,
    /// Channels `t·K/4 + 4k ..` (f32: `t·K/4 + 2k ..`): rows in memory, of which each lane reads neighbouring values.
    Rows,
}

/// All weights of a network in one piece of memory. Addresses in it are told in bytes from its start, and none of them is
/// 0, until the piece lies on a device and [`compute::cuda::twin::Weights::each_address`] can add its address.
#[derive(Debug)]
pub struct Arena {
    precision: CudaPrecision,
    words: Vec<u32>,
}

/// Weights start where a lane can read sixteen bytes at once.
const ALIGN: usize = 4;

impl Arena {
    /// An empty arena for products of this precision.
    pub fn new(precision: CudaPrecision) -> Self {
        Self { precision, words: vec![0; ALIGN] }
    }

    /// The contents.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// Adds numbers as they are.
    pub fn numbers(&mut self, values: &[f32]) -> Address<f32> {
        let at = self.place();
        self.words.extend(values.iter().map(|v| v.to_bits()));
        Address::at(at)
    }

    /// Adds a matrix of `inputs` x `outputs`, `weight(input, output)`. Inputs are filled up with zeros to a multiple of
    /// 16, outputs to one of 8.
    pub fn matrix(
        &mut self,
        order: Order,
        inputs: usize,
        outputs: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Address<Fragments> {
        let at = self.place();
        let (k, step) = (inputs.next_multiple_of(16), self.precision.step());
        let value = |channel: usize, output: usize| {
            if channel < inputs && output < outputs { weight(channel, output) } else { 0.0 }
        };
        for column in 0..outputs.div_ceil(8) {
            for s in 0..k / step {
                for lane in 0..32 {
                    let (g, t) = (lane / 4, lane % 4);
                    let of = |e: usize| value(channel(order, step, k, s, t, e), 8 * column + g);
                    match self.precision {
                        CudaPrecision::F32 => self.words.extend([of(0), of(1)].map(f32::to_bits)),
                        _ => self.words.extend([pair(of(0), of(1)), pair(of(2), of(3))]),
                    }
                }
            }
        }
        Address::at(at)
    }

    /// As [`Arena::matrix`] for products of bytes (`kernels/common/bytes.cuh`): bytes, or codes of four bits, and after
    /// them a scale a column. `shift` says that entries are powers of two, which stay exact; others are rounded.
    ///
    /// # Panics
    /// If entries of a shift layer span more than seven powers of two in a column.
    pub fn bytes(
        &mut self,
        order: Order,
        inputs: usize,
        outputs: usize,
        (shift, codes): (bool, bool),
        weight: impl Fn(usize, usize) -> f32,
    ) -> Address<Fragments> {
        assert!(inputs.is_multiple_of(32) && outputs.is_multiple_of(8), "{inputs} x {outputs} bytes");
        let at = self.place();
        let scales: Vec<f32> = (0..outputs)
            .map(|o| {
                let most = (0..inputs).fold(0.0f32, |m, i| m.max(weight(i, o).abs()));
                // Of a shift layer, the largest power becomes 2^6.
                if shift { most / 64.0 } else { most / 127.0 }
            })
            .collect();
        let byte =
            |i: usize, o: usize| -> i8 { if scales[o] == 0.0 { 0 } else { (weight(i, o) / scales[o]).round() as i8 } };
        for column in 0..outputs / 8 {
            for s in 0..inputs / 32 {
                for lane in 0..32 {
                    let (g, t) = (lane / 4, lane % 4);
                    let value = |e: usize| byte(byte_channel(order, inputs, s, t, e), 8 * column + g);
                    if codes {
                        self.words.push((0..8).map(|e| u32::from(code(value(e))) << (4 * e)).sum());
                    } else {
                        let four = |first: usize| {
                            u32::from_le_bytes(std::array::from_fn(|e| value(first + e).cast_unsigned()))
                        };
                        self.words.extend([four(0), four(4)]);
                    }
                }
            }
        }
        self.words.extend(scales.iter().map(|s| s.to_bits()));
        Address::at(at)
    }

    /// The next place.
    fn place(&mut self) -> u64 {
        self.words.resize(self.words.len().next_multiple_of(ALIGN), 0);
        4 * self.words.len() as u64
    }
}

/// Channel of value `e` of lane `t` of a quad in step `s` of `k` channels.
fn channel(order: Order, step: usize, k: usize, s: usize, t: usize, e: usize) -> usize {
    let of_lane = step / 4;
    match order {
        Order::Rows => t * (k / 4) + of_lane * s + e,
        Order::Natural if step == 8 => 8 * s + 2 * t + e,
        Order::Natural => 16 * s + 8 * (e / 2) + 2 * t + e % 2,
    }
}

/// Channel of byte `e` of lane `t` of a quad in step `s` of `k` channels, 32 a step.
fn byte_channel(order: Order, k: usize, s: usize, t: usize, e: usize) -> usize {
    match order {
        Order::Rows => t * (k / 4) + 8 * s + e,
        Order::Natural => 32 * s + 8 * (e / 2) + 2 * t + e % 2,
    }
}

/// Sign and exponent of a signed power of two up to 64: 0 for zero, else 1 to 7, with bit 3 for the sign.
fn code(value: i8) -> u8 {
    let size = value.unsigned_abs();
    assert!(size == 0 || (size.is_power_of_two() && size <= 64), "{value} is no power of two");
    let exponent = if size == 0 { 0 } else { size.trailing_zeros() as u8 + 1 };
    exponent | if value < 0 { 8 } else { 0 }
}

/// Two bf16 numbers, the first in the lower half.
fn pair(low: f32, high: f32) -> u32 {
    let bits = |x| u32::from(half::bf16::from_f32(x).to_bits());
    bits(low) | bits(high) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every channel has one place in each column.
    #[test]
    fn orders_are_permutations() {
        for order in [Order::Natural, Order::Rows] {
            for (step, values) in [(8, 2), (16, 4)] {
                for k in [16, 32, 80] {
                    let mut seen = vec![0; k];
                    for s in 0..k / step {
                        for t in 0..4 {
                            (0..values).for_each(|e| seen[channel(order, step, k, s, t, e)] += 1);
                        }
                    }
                    assert!(seen.iter().all(|n| *n == 1), "{order:?} {step} {k}: {seen:?}");
                }
            }
        }
    }

    #[test]
    fn orders_of_bytes_are_permutations() {
        for order in [Order::Natural, Order::Rows] {
            for k in [32, 96] {
                let all = (0..k / 32).flat_map(|s| (0..4).flat_map(move |t| (0..8).map(move |e| (s, t, e))));
                let mut seen: Vec<usize> = all.map(|(s, t, e)| byte_channel(order, k, s, t, e)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..k).collect::<Vec<_>>(), "{order:?} {k}");
            }
        }
    }

    #[test]
    fn codes_of_four_bits() {
        assert_eq!([0, 1, -1, 2, -64, 64].map(code), [0, 1, 9, 2, 15, 7]);
        let mut arena = Arena::new(CudaPrecision::Packed);
        let weight = |i: usize, o: usize| {
            if i == 1 {
                -0.25
            } else if i == o {
                0.0
            } else {
                0.5f32.powi((i % 6) as i32)
            }
        };
        let at = arena.bytes(Order::Rows, 32, 8, (true, true), weight).number() as usize / 4;
        assert_eq!(arena.words()[at] & 0xff, 0xd0, "channel 0 is zero in column 0, channel 1 a negative quarter");
        assert_eq!(f32::from_bits(arena.words()[at + 32]), 1.0 / 64.0, "the largest of column 0 is 1, the code of 2^6");
        assert_eq!(arena.words().len(), at + 32 + 8);
    }

    #[test]
    fn fills_up_with_zeros_and_aligns() {
        let mut arena = Arena::new(CudaPrecision::Bf16);
        assert_eq!(arena.numbers(&[1.0]).number(), 16);
        let at = arena.matrix(Order::Natural, 3, 1, |i, _| i as f32 + 1.0).number();
        assert_eq!((at, arena.words().len()), (32, 8 + 64));
        let words = &arena.words()[8..];
        assert_eq!(words[0], 0x4000_3f80, "channels 0 and 1 of column 0");
        assert_eq!(words[2], 0x0000_4040, "channel 2, and one that is not there");
        assert!(words[3..].iter().all(|w| *w == 0));
    }
}
