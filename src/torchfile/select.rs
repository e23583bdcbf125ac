//! What was saved in a file, as callers see it, and what they take of it.

use crate::tensor::StridedView;
use crate::value::{Arena, MAX_NODES, Node, Value, short};
use std::collections::BTreeMap;
use std::fmt;

/// Longest name of a tensor in bytes.
const MAX_NAME: usize = 256;
/// Most tensors that are taken from a file.
const MAX_TENSORS: usize = 1 << 16;
/// Deepest dict that is searched for tensors, counted from the outermost.
const MAX_DEPTH: usize = 8;

/// A value that was saved: a dict, a tensor, text or something else. As text, it says what it is, for messages.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    arena: &'a Arena,
    value: Value,
}

impl<'a> Item<'a> {
    pub(crate) fn new(arena: &'a Arena, value: Value) -> Self {
        Self { arena, value }
    }

    /// Keys and values of a dict in the order in which they were saved; a repeated key comes twice.
    pub fn pairs(self) -> Option<impl Iterator<Item = (Item<'a>, Item<'a>)>> {
        let arena = self.arena;
        let pairs = arena.dict(self.value)?.iter();
        Some(pairs.map(move |&(key, value)| (Item { arena, value: key }, Item { arena, value })))
    }

    /// The text of a string.
    pub fn text(self) -> Option<&'a str> {
        self.arena.text(self.value)
    }

    /// Whether this is Python's `None`.
    pub fn is_none(self) -> bool {
        self.value == Value::None
    }

    fn view(self) -> Option<&'a StridedView> {
        match self.arena.node(self.value) {
            Some(Node::Tensor(view)) => Some(view),
            _ => None,
        }
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.arena.describe(self.value))
    }
}

/// Tensors to be read from a file, by name.
#[derive(Debug, Default)]
pub struct Selection(BTreeMap<String, StridedView>);

impl Selection {
    /// Takes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the tensor `item` as `name`.
    ///
    /// # Errors
    /// A sentence if it is no tensor of floating-point numbers, if the name is taken, or if names are too long or many.
    pub fn add(&mut self, name: String, item: Item) -> Result<(), String> {
        let Some(view) = item.view() else {
            return Err(format!("{}: expected a tensor, found {item}", short(&name)));
        };
        let element = view.storage.element;
        if !element.is_float() {
            return Err(format!("{}: expected floating-point weights, found {element:?}", short(&name)));
        }
        if name.len() > MAX_NAME {
            return Err(format!("{}: expected a name of at most {MAX_NAME} bytes, found {}", short(&name), name.len()));
        }
        if self.0.len() >= MAX_TENSORS {
            return Err(format!("expected at most {MAX_TENSORS} tensors"));
        }
        match self.0.insert(name.clone(), view.clone()) {
            None => Ok(()),
            Some(_) => Err(format!("{name:?}: expected one such tensor, found two")),
        }
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_views(self) -> BTreeMap<String, StridedView> {
        self.0
    }
}

/// Takes the tensors of floating-point numbers whose names, joined over nested dicts with dots, `wanted` accepts.
pub(crate) fn walk(root: Item, wanted: &dyn Fn(&str) -> bool) -> Result<Selection, String> {
    if root.pairs().is_none() {
        return Err(format!("expected a dict of tensors, found {root}"));
    }
    let mut walk = Walk { wanted, name: String::new(), steps: 0, selection: Selection::new() };
    walk.dict(root, 1)?;
    Ok(walk.selection)
}

struct Walk<'w> {
    wanted: &'w dyn Fn(&str) -> bool,
    name: String,
    /// Dicts may share dicts, so that there are more ways to them than the file has bytes.
    steps: usize,
    selection: Selection,
}

impl Walk<'_> {
    fn dict(&mut self, dict: Item, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("{}: expected dicts at most {MAX_DEPTH} deep", short(&self.name)));
        }
        for (key, item) in dict.pairs().into_iter().flatten() {
            self.steps += 1;
            if self.steps > MAX_NODES {
                return Err(format!("expected dicts of at most {MAX_NODES} values in all"));
            }
            let nested = item.pairs().is_some();
            let float = item.view().is_some_and(|view| view.storage.element.is_float());
            let Some(key) = key.text().filter(|_| nested || float) else { continue };
            let len = self.name.len();
            if len + key.len() >= MAX_NAME {
                return Err(format!("{}: expected names of less than {MAX_NAME} bytes", short(key)));
            }
            if len > 0 {
                self.name.push('.');
            }
            self.name.push_str(key);
            if nested {
                self.dict(item, depth + 1)?;
            } else if (self.wanted)(&self.name) {
                self.selection.add(self.name.clone(), item)?;
            }
            self.name.truncate(len);
        }
        Ok(())
    }
}
