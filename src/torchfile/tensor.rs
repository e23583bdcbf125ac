//! The globals that checkpoints name, and tensors before their values are read: storages and strided views into them.

use half::{bf16, f16};

/// The globals that `torch.save` writes for weights and optimizer state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    /// As PyTorch up to 0.3 wrote it, without what training needs.
    RebuildTensorV1,
    RebuildParameter,
    /// The class, as PyTorch up to 0.3 wrote it.
    Parameter,
    Storage(Element),
}

impl Global {
    /// The global called `module.name`, if it is one of the few.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensorV1,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch.nn.parameter", "Parameter") => Self::Parameter,
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::BF16),
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "LongStorage") => Self::Storage(Element::I64),
            ("torch", "IntStorage") => Self::Storage(Element::I32),
            ("torch", "ShortStorage") => Self::Storage(Element::I16),
            ("torch", "ByteStorage" | "CharStorage" | "BoolStorage") => Self::Storage(Element::Byte),
            _ => return None,
        })
    }
}

/// Type of the elements of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    F16,
    BF16,
    F64,
    I64,
    I32,
    I16,
    /// Of whatever kind: never read as numbers.
    Byte,
}

impl Element {
    /// Size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Whether it can hold weights.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }

    /// The element `index` of little-endian `bytes`, rounded to f32; it must lie inside.
    pub fn load(self, bytes: &[u8], index: usize) -> f32 {
        fn at<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
            let mut out = [0; N];
            out.copy_from_slice(&bytes[index * N..index * N + N]);
            out
        }
        match self {
            Self::F32 => f32::from_le_bytes(at(bytes, index)),
            Self::F16 => f16::from_le_bytes(at(bytes, index)).to_f32(),
            Self::BF16 => bf16::from_le_bytes(at(bytes, index)).to_f32(),
            Self::F64 => f64::from_le_bytes(at(bytes, index)) as f32,
            Self::I64 => i64::from_le_bytes(at(bytes, index)) as f32,
            Self::I32 => i32::from_le_bytes(at(bytes, index)) as f32,
            Self::I16 => i16::from_le_bytes(at(bytes, index)).into(),
            Self::Byte => at::<1>(bytes, index)[0].into(),
        }
    }
}

/// A storage, on whatever device it was: the values that the file holds under a key, or some of them in a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Storage {
    pub key: String,
    pub element: Element,
    /// Number of elements that the file holds under the key.
    pub total: usize,
    /// First of them that belongs to this storage.
    pub first: usize,
    /// Number of elements.
    pub len: usize,
}

/// A tensor: a strided view into a storage, known to lie inside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StridedView {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl StridedView {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values in row-major order, from all bytes that the file holds under the storage's key.
    ///
    /// # Errors
    /// A sentence if the bytes are not as long as the storage was said to be.
    pub fn gather(&self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        let element = self.storage.element;
        if self.storage.total.checked_mul(element.bytes()) != Some(bytes.len()) {
            let (len, width) = (self.storage.total, element.bytes());
            return Err(format!("expected {len} elements of {width} bytes, found {} bytes", bytes.len()));
        }
        let len = self.len();
        let mut values = Vec::with_capacity(len);
        let mut index = vec![0; self.shape.len()];
        let mut place = self.storage.first + self.offset;
        for _ in 0..len {
            values.push(element.load(bytes, place));
            for dim in (0..index.len()).rev() {
                index[dim] += 1;
                place += self.strides[dim];
                if index[dim] < self.shape[dim] {
                    break;
                }
                place -= self.strides[dim] * index[dim];
                index[dim] = 0;
            }
        }
        Ok(values)
    }
}
