//! What the products of the CUDA ray kernel are made of.

/// What products are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CudaPrecision {
    /// f32, each product as three of TF32: what the CPU's f32 engine gives, to rounding.
    F32,
    /// bf16 with sums in f32. Powers of two are exact in it.
    Bf16,
    /// Shift layers and experts on 8-bit numbers with exact integer sums, all else as [`CudaPrecision::Bf16`]. Powers of
    /// two are exact; the weights of multiply experts are rounded.
    Int8,
    /// The same, but the weights of shift layers stay in codes of four bits until they are in registers: a quarter of
    /// the traffic, at the price of some integer arithmetic.
    Packed,
}

impl CudaPrecision {
    /// All of them, in the order of their values in kernels.
    pub const ALL: [Self; 4] = [Self::F32, Self::Bf16, Self::Int8, Self::Packed];

    /// Whether shift layers and experts are computed on bytes.
    pub fn on_bytes(self) -> bool {
        matches!(self, Self::Int8 | Self::Packed)
    }

    /// Channels of one step of the matrix units.
    pub fn step(self) -> usize {
        match self {
            Self::F32 => 8,
            _ => 16,
        }
    }

    /// Bytes of a number that is kept between products.
    pub fn stored_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            _ => 2,
        }
    }

    /// Name as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Packed => "packed",
        }
    }
}
