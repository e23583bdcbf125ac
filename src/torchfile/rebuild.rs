//! What the few globals of a checkpoint do: they make storages, views into them, and ordered dicts of the values of a
//! pickle.

use crate::MAX_RANK;
use crate::tensor::{Global, Storage, StridedView};
use crate::value::{Arena, Node, Value, short};

/// Longest key of a storage in bytes; keys are numbers.
const MAX_KEY: usize = 64;

impl Storage {
    /// From a persistent id, `('storage', type, key, location, number of elements)`. Before PyTorch 1.6 there is a sixth
    /// item: nothing, or `(key, first, number of elements)` of a storage that is part of another.
    pub fn from_id(arena: &Arena, id: Value) -> Result<Self, String> {
        let wrong = || format!("persistent id: expected a storage, found {}", arena.describe(id));
        let (tag, kind, key, total, part) = match *arena.tuple(id).ok_or_else(wrong)? {
            [tag, kind, key, _location, total] => (tag, kind, key, total, Value::None),
            [tag, kind, key, _location, total, part] => (tag, kind, key, total, part),
            _ => return Err(wrong()),
        };
        let Value::Global(Global::Storage(element)) = kind else { return Err(wrong()) };
        let key = arena.text(key).ok_or_else(wrong)?;
        if arena.text(tag) != Some("storage") {
            return Err(wrong());
        }
        // Every tensor has a copy.
        if key.len() > MAX_KEY {
            return Err(format!("{}: expected a key of at most {MAX_KEY} bytes, found {}", short(key), key.len()));
        }
        let total = size(arena, "storage length", total)?;
        let whole = Self { key: key.to_owned(), element, total, first: 0, len: total };
        if part == Value::None { Ok(whole) } else { whole.part(arena, part) }
    }

    fn part(self, arena: &Arena, part: Value) -> Result<Self, String> {
        let Some(&[_key, first, len]) = arena.tuple(part) else {
            return Err(format!("persistent id: expected a part of a storage, found {}", arena.describe(part)));
        };
        let (first, len) = (size(arena, "part offset", first)?, size(arena, "part length", len)?);
        if first.checked_add(len).is_none_or(|end| end > self.total) {
            let total = self.total;
            return Err(format!("persistent id: expected a part of {total} elements, found {len} from {first}"));
        }
        Ok(Self { first, len, ..self })
    }
}

impl StridedView {
    /// From storage, offset, size and stride.
    fn from_arguments(arena: &Arena, [storage, offset, shape, strides]: [Value; 4]) -> Result<Self, String> {
        let Some(Node::Storage(storage)) = arena.node(storage) else {
            return Err(format!("tensor: expected a storage, found {}", arena.describe(storage)));
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
}

/// What REDUCE does with one of the globals.
pub(crate) fn call(arena: &mut Arena, function: Value, arguments: Value) -> Result<Value, String> {
    let Some(items) = arena.tuple(arguments) else {
        return Err(format!("REDUCE: expected a tuple of arguments, found {}", arena.describe(arguments)));
    };
    match function {
        Value::Global(Global::OrderedDict) if items.is_empty() => arena.add(Node::Dict(Vec::new())),
        Value::Global(Global::OrderedDict) => match items {
            // As Python 2 wrote it.
            &[list] => arena.dict_of_pairs(list).map_err(|e| format!("OrderedDict: {e}")),
            _ => Err(format!("OrderedDict: expected no arguments or pairs, found {}", items.len())),
        },
        Value::Global(Global::RebuildTensor) => match items {
            &[storage, offset, shape, strides, _, _, ..] => tensor(arena, [storage, offset, shape, strides]),
            _ => Err(format!("_rebuild_tensor_v2: expected 6 arguments, found {}", items.len())),
        },
        Value::Global(Global::RebuildTensorV1) => match items {
            &[storage, offset, shape, strides] => tensor(arena, [storage, offset, shape, strides]),
            _ => Err(format!("_rebuild_tensor: expected 4 arguments, found {}", items.len())),
        },
        Value::Global(Global::RebuildParameter) => match items {
            &[tensor, _, _] if matches!(arena.node(tensor), Some(Node::Tensor(_))) => Ok(tensor),
            _ => Err(format!("_rebuild_parameter: expected a tensor and two flags, found {} arguments", items.len())),
        },
        Value::Global(Global::Parameter) => parameter(arena, items),
        other => Err(format!("REDUCE: expected a function, found {}", arena.describe(other))),
    }
}

/// What NEWOBJ makes of a class: only parameters are made that way.
pub(crate) fn instance(arena: &mut Arena, class: Value, arguments: Value) -> Result<Value, String> {
    match (class, arena.tuple(arguments)) {
        (Value::Global(Global::Parameter), Some([])) => arena.add(Node::Parameter),
        (Value::Global(Global::Parameter), Some(items)) => parameter(arena, items),
        _ => Err(format!(
            "NEWOBJ: expected the class Parameter and a tuple, found {} and {}",
            arena.describe(class),
            arena.describe(arguments)
        )),
    }
}

/// What BUILD changes: a parameter may get its tensor. The state of a state dict is its version table, and that of a
/// parameter with a tensor says how it was trained.
pub(crate) fn build(arena: &mut Arena, target: Value, state: Value) -> Result<(), String> {
    match (arena.node(target), arena.tuple(state)) {
        (Some(Node::Dict(_)), _) | (Some(Node::Tensor(_)), Some([_, _, _])) => Ok(()),
        // Data, creator, hooks and two flags.
        (Some(Node::Parameter), Some(&[data, _, _, _, _])) => {
            let Some(Node::Tensor(view)) = arena.node(data) else {
                return Err(format!("BUILD: expected the tensor of a parameter, found {}", arena.describe(data)));
            };
            let tensor = Node::Tensor(view.clone());
            if let Some(node) = arena.node_mut(target) {
                *node = tensor;
            }
            Ok(())
        }
        (Some(Node::Parameter | Node::Tensor(_)), _) => {
            Err(format!("BUILD: expected the state of a parameter, found {}", arena.describe(state)))
        }
        _ => Err(format!("BUILD: expected a dict, found {}", arena.describe(target))),
    }
}

/// A parameter stands for its tensor.
fn parameter(arena: &Arena, items: &[Value]) -> Result<Value, String> {
    match items {
        &[tensor] | &[tensor, Value::Bool(_)] if matches!(arena.node(tensor), Some(Node::Tensor(_))) => Ok(tensor),
        _ => Err(format!("Parameter: expected a tensor, found {} arguments", items.len())),
    }
}

fn tensor(arena: &mut Arena, arguments: [Value; 4]) -> Result<Value, String> {
    let view = StridedView::from_arguments(arena, arguments)?;
    arena.add(Node::Tensor(Box::new(view)))
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
