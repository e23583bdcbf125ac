//! A reader for the part of pickle protocol 2 that `torch.save` writes.
//!
//! Nothing is imported or executed: the known globals become data, any other is an error.

use crate::bytes::Bytes;
use crate::rebuild;
use crate::tensor::{Global, Storage};
use crate::value::{Arena, MAX_NODES, Node, Value};
use std::collections::HashMap;

/// Most values on the stack and most open marks; Python writes collections in batches of 1000.
const MAX_STACK: usize = 1 << 16;

/// Reads the pickle at the start of `bytes`; returns its values, the one that it stands for and its length in bytes.
///
/// # Errors
/// A sentence naming the byte and the opcode or global.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Arena, Value, usize), String> {
    let mut machine = Machine {
        bytes: Bytes::new(bytes),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        arena: Arena::default(),
    };
    loop {
        let at = machine.bytes.at();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(value)) => return Ok((machine.arena, value, machine.bytes.at())),
            Err(problem) => return Err(format!("byte {at}: {problem}")),
        }
    }
}

struct Machine<'a> {
    bytes: Bytes<'a>,
    stack: Vec<Value>,
    /// Stack heights; values below the last one are out of reach until it is taken.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    arena: Arena,
}

impl Machine<'_> {
    /// Carries out one opcode; the result of the pickle once it stops.
    fn step(&mut self) -> Result<Option<Value>, String> {
        let [opcode] = self.bytes.take()?;
        match opcode {
            0x80 => {
                let [version] = self.bytes.take()?;
                if version != 2 {
                    return Err(format!("expected pickle protocol 2, torch.save's default, found {version}"));
                }
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let [v] = self.bytes.take()?;
                self.push(Value::Int(v.into()))?;
            }
            b'M' => {
                let v = u16::from_le_bytes(self.bytes.take()?);
                self.push(Value::Int(v.into()))?;
            }
            b'J' => {
                let v = i32::from_le_bytes(self.bytes.take()?);
                self.push(Value::Int(v.into()))?;
            }
            0x8a => {
                let v = self.bytes.long()?;
                self.push(Value::Int(v))?;
            }
            b'G' => {
                let v = f64::from_be_bytes(self.bytes.take()?);
                self.push(Value::Float(v))?;
            }
            b'X' => {
                let len = u32::from_le_bytes(self.bytes.take()?);
                self.push_text(len as usize)?;
            }
            0x8c => {
                let [len] = self.bytes.take()?;
                self.push_text(len.into())?;
            }
            // Text of Python 2, in files that it wrote.
            b'U' => {
                let [len] = self.bytes.take()?;
                self.push_text(len.into())?;
            }
            b'T' => {
                let len = u32::from_le_bytes(self.bytes.take()?);
                self.push_text(len as usize)?;
            }
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            b']' => self.push_node(Node::List(Vec::new()))?,
            b')' => self.push_node(Node::Tuple(Vec::new()))?,
            b'(' => {
                if self.marks.len() >= MAX_STACK {
                    return Err(format!("expected at most {MAX_STACK} open marks"));
                }
                self.marks.push(self.stack.len());
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = self.pop_many((opcode - 0x84).into())?;
                self.push_node(Node::Tuple(items))?;
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.extend_list(items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            b'q' => {
                let [key] = self.bytes.take()?;
                self.memoize(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.bytes.take()?);
                self.memoize(key)?;
            }
            b'h' => {
                let [key] = self.bytes.take()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.bytes.take()?);
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.bytes.line()?, self.bytes.line()?);
                let global = Global::find(module, name).ok_or_else(|| {
                    let (module, name) = (module.escape_debug(), name.escape_debug());
                    format!("global {module}.{name} is not among those that checkpoints of weights use")
                })?;
                self.push(Value::Global(global))?;
            }
            b'R' => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                let value = rebuild::call(&mut self.arena, function, arguments)?;
                self.push(value)?;
            }
            0x81 => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                let value = rebuild::instance(&mut self.arena, class, arguments)?;
                self.push(value)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = Storage::from_id(&self.arena, id)?;
                self.push_node(Node::Storage(Box::new(storage)))?;
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                rebuild::build(&mut self.arena, target, state)?;
            }
            b'.' => {
                let value = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    return Err(format!("STOP: expected one value, found {}", self.stack.len() + 1));
                }
                return Ok(Some(value));
            }
            other => {
                return Err(format!("opcode {other:#04x}{} is not among those that torch.save writes", name(other)));
            }
        }
        Ok(None)
    }

    fn push_text(&mut self, len: usize) -> Result<(), String> {
        let text =
            std::str::from_utf8(self.bytes.slice(len)?).map_err(|e| format!("expected a string in UTF-8: {e}"))?;
        self.push_node(Node::Str(text.to_owned()))
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.stack.len() >= MAX_STACK {
            return Err(format!("expected at most {MAX_STACK} values on the stack"));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<(), String> {
        let value = self.arena.add(node)?;
        self.push(value)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= floor => Ok(self.stack.split_off(height)),
            _ => Err(format!("expected {count} values on the stack, found {}", self.stack.len() - floor)),
        }
    }

    fn pop(&mut self) -> Result<Value, String> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let height = self.marks.pop().ok_or("expected a mark on the stack, found none")?;
        Ok(self.stack.split_off(height))
    }

    /// The arena's place of the uppermost value, which stays on the stack.
    fn top(&mut self) -> Result<Value, String> {
        let value = self.pop()?;
        self.stack.push(value);
        Ok(value)
    }

    fn extend_list(&mut self, items: Vec<Value>) -> Result<(), String> {
        let target = self.top()?;
        match self.arena.node_mut(target) {
            Some(Node::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(format!("expected a list, found {}", self.arena.describe(target))),
        }
    }

    fn extend_dict(&mut self, items: &[Value]) -> Result<(), String> {
        let target = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.arena.node_mut(target) {
            Some(Node::Dict(dict)) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            Some(Node::Dict(_)) => Err(format!("expected keys and values, found {} items", items.len())),
            _ => Err(format!("expected a dict, found {}", self.arena.describe(target))),
        }
    }

    fn memoize(&mut self, key: u32) -> Result<(), String> {
        let value = self.top()?;
        if self.memo.len() >= MAX_NODES {
            return Err(format!("expected at most {MAX_NODES} remembered values"));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let value = self.memo.get(&key).copied();
        self.push(value.ok_or_else(|| format!("expected a remembered value, found none under {key}"))?)
    }
}

/// Names of opcodes that files in other protocols, or hostile ones, may hold.
fn name(opcode: u8) -> &'static str {
    match opcode {
        b'i' => " (INST)",
        b'o' => " (OBJ)",
        0x82..=0x84 => " (EXT)",
        0x92 => " (NEWOBJ_EX)",
        0x93 => " (STACK_GLOBAL)",
        0x94 => " (MEMOIZE)",
        0x95 => " (FRAME)",
        b'0' => " (POP)",
        b'2' => " (DUP)",
        b'P' => " (PERSID)",
        b'S' => " (STRING)",
        _ => "",
    }
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
