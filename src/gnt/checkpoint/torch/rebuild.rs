//! What the few globals of a checkpoint mean: storages, views into them, and ordered dicts.

use super::super::MAX_RANK;
use super::value::{Arena, Node, Value};
use half::{bf16, f16};

/// The globals that `torch.save` writes for weights and optimizer state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

impl Global {
    /// The global called `module.name`, if it is one of the few.
    pub fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::BF16),
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "LongStorage") => Self::Storage(Element::I64),
            ("torch", "IntStorage") => Self::Storage(Element::I32),
            _ => return None,
        })
    }
}

/// Type of the elements of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    BF16,
    F64,
    I64,
    I32,
}

impl Element {
    /// Size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Whether it can hold weights.
    pub fn is_float(self) -> bool {
        !matches!(self, Self::I64 | Self::I32)
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
        }
    }
}

/// A storage: the entry `data/<key>` of the container, on whatever device it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    pub key: String,
    pub element: Element,
    /// Number of elements.
    pub len: usize,
}

impl Storage {
    /// From a persistent id, `('storage', type, key, location, number of elements)`.
    pub fn from_id(arena: &Arena, id: Value) -> Result<Self, String> {
        let wrong = || format!("persistent id: expected a storage, found {}", arena.describe(id));
        let &[tag, kind, key, _location, len] = arena.tuple(id).ok_or_else(wrong)? else { return Err(wrong()) };
        let Value::Global(Global::Storage(element)) = kind else { return Err(wrong()) };
        let key = arena.text(key).ok_or_else(wrong)?.to_owned();
        if arena.text(tag) != Some("storage") {
            return Err(wrong());
        }
        Ok(Self { key, element, len: size(arena, "storage length", len)? })
    }
}

/// A tensor: a strided view into a storage, known to lie inside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl View {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// From the arguments of `_rebuild_tensor_v2`: storage, offset, size, stride, and what training needs.
    fn from_arguments(arena: &Arena, arguments: &[Value]) -> Result<Self, String> {
        let &[storage, offset, shape, strides, _, _, ..] = arguments else {
            return Err(format!("_rebuild_tensor_v2: expected 6 arguments, found {}", arguments.len()));
        };
        let Some(Node::Storage(storage)) = arena.node(storage) else {
            return Err(format!("_rebuild_tensor_v2: expected a storage, found {}", arena.describe(storage)));
        };
        let offset = size(arena, "tensor offset", offset)?;
        let shape = sizes(arena, "tensor size", shape)?;
        let strides = sizes(arena, "tensor stride", strides)?;
        if shape.len() != strides.len() {
            return Err(format!("tensor: expected one stride per dimension, found {shape:?} with {strides:?}"));
        }
        let numel = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        // One past the last element that the view reaches.
        let reach = shape.iter().zip(&strides).try_fold(offset, |reach, (&n, &stride)| {
            n.saturating_sub(1).checked_mul(stride).and_then(|step| reach.checked_add(step))
        });
        let inside = match numel {
            Some(0) => true,
            Some(_) => reach.is_some_and(|last| last < storage.len),
            None => false,
        };
        if !inside {
            return Err(format!(
                "tensor: expected a view into the {} elements of storage {:?}, found size {shape:?}, stride {strides:?}, offset {offset}",
                storage.len, storage.key
            ));
        }
        Ok(Self { storage: (**storage).clone(), offset, shape, strides })
    }

    /// The values in row-major order, from the bytes of the whole storage.
    ///
    /// # Errors
    /// A sentence if the bytes are not as long as the storage was said to be.
    pub fn gather(&self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        let element = self.storage.element;
        if self.storage.len.checked_mul(element.bytes()) != Some(bytes.len()) {
            let (len, width) = (self.storage.len, element.bytes());
            return Err(format!("expected {len} elements of {width} bytes, found {} bytes", bytes.len()));
        }
        let len = self.len();
        let mut values = Vec::with_capacity(len);
        let mut index = vec![0; self.shape.len()];
        let mut place = self.offset;
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

/// What REDUCE does with one of the globals.
pub(super) fn call(arena: &mut Arena, function: Value, arguments: Value) -> Result<Value, String> {
    let Some(items) = arena.tuple(arguments) else {
        return Err(format!("REDUCE: expected a tuple of arguments, found {}", arena.describe(arguments)));
    };
    match function {
        Value::Global(Global::OrderedDict) if items.is_empty() => arena.add(Node::Dict(Vec::new())),
        Value::Global(Global::OrderedDict) => Err(format!("OrderedDict: expected no arguments, found {}", items.len())),
        Value::Global(Global::RebuildTensor) => {
            let view = View::from_arguments(arena, items)?;
            arena.add(Node::Tensor(Box::new(view)))
        }
        Value::Global(Global::RebuildParameter) => match items {
            &[tensor, _, _] if matches!(arena.node(tensor), Some(Node::Tensor(_))) => Ok(tensor),
            _ => Err(format!("_rebuild_parameter: expected a tensor and two flags, found {} arguments", items.len())),
        },
        other => Err(format!("REDUCE: expected a function, found {}", arena.describe(other))),
    }
}

fn size(arena: &Arena, what: &str, value: Value) -> Result<usize, String> {
    match value {
        Value::Int(n) if n >= 0 => usize::try_from(n).map_err(|e| format!("{what}: {e}")),
        other => Err(format!("{what}: expected a number from 0, found {}", arena.describe(other))),
    }
}

fn sizes(arena: &Arena, what: &str, value: Value) -> Result<Vec<usize>, String> {
    let items =
        arena.tuple(value).ok_or_else(|| format!("{what}: expected a tuple, found {}", arena.describe(value)))?;
    if items.len() > MAX_RANK {
        return Err(format!("{what}: expected at most {MAX_RANK} dimensions, found {}", items.len()));
    }
    items.iter().map(|&item| size(arena, what, item)).collect()
}
