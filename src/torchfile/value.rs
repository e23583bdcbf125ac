//! The values of a pickle: one arena in which they refer to each other by index, so that shared, cyclic and deeply nested
//! input needs no recursion, neither while reading nor when dropped.

use crate::tensor::{Global, Storage, StridedView};

/// Most values; a network of 64 blocks with its optimizer state has about 100 000.
pub(crate) const MAX_NODES: usize = 1 << 20;

/// Most tensors; the same network has about 10 000.
pub(crate) const MAX_VIEWS: usize = 1 << 17;

/// A value: small ones in place, others by their place in the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Global(Global),
    Node(usize),
}

/// A value of the arena.
#[derive(Debug)]
pub(crate) enum Node {
    Str(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    /// Dict or ordered dict; a repeated key is there twice.
    Dict(Vec<(Value, Value)>),
    Storage(Box<Storage>),
    Tensor(Box<StridedView>),
    /// A parameter before BUILD tells its tensor, in files of PyTorch 0.1.
    Parameter,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
    /// Tensors among them.
    tensors: usize,
    /// Pairs that dicts have taken over from lists.
    copied: usize,
}

impl Arena {
    /// Takes in a node; an error once there are too many.
    pub fn add(&mut self, node: Node) -> Result<Value, String> {
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("expected at most {MAX_NODES} values"));
        }
        // A few bytes make another tensor of a storage, and each is some hundred bytes large.
        self.tensors += usize::from(matches!(node, Node::Tensor(_)));
        if self.tensors > MAX_VIEWS {
            return Err(format!("expected at most {MAX_VIEWS} tensors"));
        }
        self.nodes.push(node);
        Ok(Value::Node(self.nodes.len() - 1))
    }

    /// A dict with the pairs of a list; each pair is a list or tuple of two.
    pub fn dict_of_pairs(&mut self, list: Value) -> Result<Value, String> {
        let items = self.items(list);
        let items = items.ok_or_else(|| format!("expected a list of pairs, found {}", self.describe(list)))?;
        // One list may be made into many dicts by few bytes.
        if self.copied + items.len() > MAX_NODES {
            return Err(format!("expected dicts of at most {MAX_NODES} pairs in all"));
        }
        let mut pairs = Vec::with_capacity(items.len());
        for &item in items {
            match self.items(item) {
                Some(&[key, value]) => pairs.push((key, value)),
                _ => return Err(format!("expected a key and its value, found {}", self.describe(item))),
            }
        }
        self.copied += pairs.len();
        self.add(Node::Dict(pairs))
    }

    /// The node behind a value, to be filled.
    pub fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(i) => self.nodes.get_mut(i),
            _ => None,
        }
    }

    /// The node behind a value.
    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(i) => self.nodes.get(i),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self, value: Value) -> Option<&str> {
        match self.node(value)? {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    fn items(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(items) | Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// All storages; one that the pickle names twice is there twice.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// The pairs of a dict.
    pub fn dict(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// What a value is, for messages; never long.
    pub fn describe(&self, value: Value) -> String {
        match (value, self.node(value)) {
            (_, Some(Node::Str(text))) => short(text),
            (_, Some(Node::Tuple(items))) => format!("a tuple of {}", items.len()),
            (_, Some(Node::List(items))) => format!("a list of {}", items.len()),
            (_, Some(Node::Dict(pairs))) => format!("a dict of {}", pairs.len()),
            (_, Some(Node::Storage(_))) => "a storage".into(),
            (_, Some(Node::Tensor(_))) => "a tensor".into(),
            (_, Some(Node::Parameter)) => "a parameter without its tensor".into(),
            (Value::None | Value::Node(_), None) => "None".into(),
            (Value::Bool(v), _) => v.to_string(),
            (Value::Int(v), _) => v.to_string(),
            (Value::Float(v), _) => v.to_string(),
            (Value::Global(v), _) => format!("{v:?}"),
        }
    }
}

/// The beginning of a text in quotes, for messages: files may hold texts of any length.
pub fn short(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}
