//! The kinds of layers that the ray kernel has for a slot of a block.

use super::Memory;
use compute::cuda::twin::{Twin, choice_text, comment};
use std::fmt::Write;

/// A slot of a block. The constant of an instance that names its kind is `define`; the values are the places in `kinds`.
#[derive(Clone, Copy, Debug)]
pub struct RaySlot {
    /// The constant, such as `VIEW`.
    pub define: &'static str,
    /// What it chooses.
    pub doc: &'static str,
    /// In C, the type of the weights of the network's kind.
    pub weights: &'static str,
    /// In C, the type of what the network's kind keeps for a ray.
    pub memory: &'static str,
    /// The kinds.
    pub kinds: &'static [RayKind],
}

/// A kind of layer, as the ray kernel has it.
#[derive(Clone, Copy, Debug)]
pub struct RayKind {
    /// Its name in the constant, such as `HAMMING` of `VIEW_HAMMING`.
    pub name: &'static str,
    weights: &'static str,
    text: fn() -> String,
    /// What it keeps for a ray.
    pub memory: fn() -> Memory,
}

impl RayKind {
    /// A kind with weights `T`.
    pub const fn new<T: Twin>(name: &'static str, memory: fn() -> Memory) -> Self {
        Self { name, weights: T::NAME, text: T::text, memory }
    }
}

impl RaySlot {
    /// The kind of a name, and the value of the constant that stands for it.
    ///
    /// # Panics
    /// If there is none.
    pub fn kind(&self, name: &str) -> (i64, &RayKind) {
        let kind = self.kinds.iter().enumerate().find(|(_, kind)| kind.name == name);
        let (value, kind) = kind.unwrap_or_else(|| panic!("{}: no kind {name}", self.define));
        (value as i64, kind)
    }

    /// The names of its kinds in C.
    pub fn choice(&self) -> String {
        choice_text(self.define, self.doc, self.kinds.iter().map(|kind| kind.name))
    }

    /// The structs of its kinds in C, and the names of those that the network has. `seen` holds the names of what was
    /// written before.
    pub fn text(&self, seen: &mut Vec<&'static str>) -> String {
        let mut parts = Vec::new();
        for kind in self.kinds {
            let memory = (kind.memory)();
            for (name, text) in [(kind.weights, (kind.text)()), (memory.name(), memory.text())] {
                if !seen.contains(&name) {
                    seen.push(name);
                    parts.push(text);
                }
            }
        }
        let mut choice = comment(0, &format!("Those of the network: `{}` says which.", self.define));
        for (i, kind) in self.kinds.iter().enumerate() {
            let (define, name, memory) = (self.define, kind.name, (kind.memory)().name());
            let lines = [
                format!("#{} {define} == {define}_{name}", if i == 0 { "if" } else { "elif" }),
                format!("typedef {} {};", kind.weights, self.weights),
                format!("typedef {memory} {};", self.memory),
            ];
            lines.iter().for_each(|line| writeln!(choice, "{line}").expect("a string grows"));
        }
        choice += "#endif\n";
        parts.push(choice);
        parts.join("\n")
    }
}
