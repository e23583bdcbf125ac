//! Memory that the ray kernel keeps for a ray, declared once: Rust adds up its bytes, the kernel is given the text that
//! lays it out.
//!
//! A [`Memory`] is a list of arrays and of other memories, one after the other, whose lengths are sums and products of
//! [`Size`]s. What a layer kind keeps is declared in its `ray_kernel.rs`, so that only networks of that kind pay for it.

use super::TILE;
use super::precision::CudaPrecision;
use compute::cuda::twin::{Twin, comment, member};
use std::fmt::{self, Write};
use std::ops::{Add, Mul};

/// A number that lengths are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Samples of a ray, filled up to whole chunks of keys.
    Samples,
    /// Tiles of sixteen of these samples.
    Tiles,
    /// Source views.
    Views,
    /// Blocks of the network.
    Depth,
    /// Channels, C.
    Width,
    /// Heads.
    Heads,
    /// Channels of a sample's position encoding, filled up to whole steps.
    Encoding,
    /// Most warps of a block of threads.
    Warps,
}

/// Samples of a chunk of keys: everything that the kernel keeps has room for whole chunks.
pub const KEY_CHUNK: usize = 32;

/// The sizes of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Samples of a ray.
    pub samples: usize,
    /// Source views.
    pub views: usize,
    /// Blocks of the network.
    pub depth: usize,
    /// Channels.
    pub width: usize,
    /// Heads.
    pub heads: usize,
    /// Channels of a sample's position encoding.
    pub encoding: usize,
    /// Most warps of a block of threads.
    pub warps: usize,
    /// What numbers are kept as between products.
    pub precision: CudaPrecision,
}

impl Sizes {
    fn of(&self, size: Size) -> usize {
        match size {
            Size::Samples => self.samples.next_multiple_of(KEY_CHUNK),
            Size::Tiles => self.of(Size::Samples) / TILE,
            Size::Views => self.views,
            Size::Depth => self.depth,
            Size::Width => self.width,
            Size::Heads => self.heads,
            Size::Encoding => self.encoding.next_multiple_of(16),
            Size::Warps => self.warps,
        }
    }
}

impl Size {
    /// Its name in kernels: an argument or a constant.
    fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Tiles => "samples / 16",
            Self::Views => "views",
            Self::Depth => "depth",
            Self::Width => "C",
            Self::Heads => "HEADS",
            Self::Encoding => "kEncoding16",
            Self::Warps => "kMostWarps",
        }
    }
}

/// A length: sizes and numbers, added and multiplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Length {
    /// A size.
    Size(Size),
    /// A number.
    Number(usize),
    /// A sum.
    Sum(Box<[Length; 2]>),
    /// A product.
    Product(Box<[Length; 2]>),
}

impl Length {
    fn value(&self, sizes: &Sizes) -> usize {
        match self {
            Self::Size(size) => sizes.of(*size),
            Self::Number(number) => *number,
            Self::Sum(both) => both[0].value(sizes) + both[1].value(sizes),
            Self::Product(both) => both[0].value(sizes) * both[1].value(sizes),
        }
    }
}

/// As an expression in C.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let factor = |length: &Self| match length {
            Self::Sum(_) => format!("({length})"),
            _ => length.to_string(),
        };
        match self {
            Self::Size(size) => f.write_str(size.name()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Sum(both) => write!(f, "{} + {}", both[0], both[1]),
            Self::Product(both) => write!(f, "{} * {}", factor(&both[0]), factor(&both[1])),
        }
    }
}

impl From<Size> for Length {
    fn from(size: Size) -> Self {
        Self::Size(size)
    }
}

impl From<usize> for Length {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

macro_rules! arithmetic {
    ($($Left:ty),+) => {
        $(
            impl<T: Into<Length>> Add<T> for $Left {
                type Output = Length;
                fn add(self, other: T) -> Length {
                    Length::Sum(Box::new([self.into(), other.into()]))
                }
            }
            impl<T: Into<Length>> Mul<T> for $Left {
                type Output = Length;
                fn mul(self, other: T) -> Length {
                    Length::Product(Box::new([self.into(), other.into()]))
                }
            }
        )+
    };
}

arithmetic!(Size, Length);

/// What arrays are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `float`.
    Float,
    /// `int`.
    Int,
    /// Four `float`s.
    Float4,
    /// Two `int`s.
    Int2,
    /// A number as it is kept between products.
    Stored,
    /// A struct of so many bytes.
    Struct(&'static str, usize),
}

impl Element {
    /// A twin.
    pub fn twin<T: Twin>() -> Self {
        Self::Struct(T::NAME, size_of::<T>())
    }

    fn bytes(self, precision: CudaPrecision) -> usize {
        match self {
            Self::Float | Self::Int => 4,
            Self::Float4 => 16,
            Self::Int2 => 8,
            Self::Stored => precision.stored_bytes(),
            Self::Struct(_, bytes) => bytes,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::Float4 => "float4",
            Self::Int2 => "int2",
            Self::Stored => "Stored",
            Self::Struct(name, _) => name,
        }
    }
}

/// Where a memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// In memory that the threads of a block share.
    Shared,
    /// In a block's part of the workspace, in global memory.
    Workspace,
}

impl Space {
    /// Parts start at a multiple of so many bytes.
    fn align(self) -> usize {
        match self {
            Self::Shared => 16,
            Self::Workspace => 256,
        }
    }

    /// The type of lengths: those of shared memory are small.
    fn number(self) -> &'static str {
        match self {
            Self::Shared => "int",
            Self::Workspace => "u64",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Shared => "in_shared",
            Self::Workspace => "in_workspace",
        }
    }

    /// The function that places an array, in C.
    pub fn text(self) -> String {
        let (align, number, function) = (self.align(), self.number(), self.function());
        comment(
            0,
            &format!("The next array of `count` values from `at` on, a multiple of {align} bytes; `at` moves on."),
        ) + &format!(
            "template <class T> __device__ __forceinline__ T* {function}(unsigned char*& at, {number} count) {{\n    \
                 T* here = reinterpret_cast<T*>(at);\n    \
                 at += (count * {number}(sizeof(T)) + {}) / {align} * {align};\n    \
                 return here;\n}}\n",
            align - 1
        )
    }
}

/// A part of a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part(Content);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Array(Field, Element, Length),
    /// A memory, and the type in C that stands for that of the kind that a network has.
    Memory(Field, &'static str, Memory),
    /// Parts that start at the same place.
    Either(Vec<Part>),
}

/// Name and documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field(&'static str, &'static str);

impl Part {
    /// An array of so many elements.
    pub fn array(field: &'static str, element: Element, length: impl Into<Length>, doc: &'static str) -> Self {
        Self(Content::Array(Field(field, doc), element, length.into()))
    }

    /// What a kind of layer keeps; `name` is the type in C that stands for that of the network's kind.
    pub fn memory(field: &'static str, name: &'static str, memory: Memory, doc: &'static str) -> Self {
        Self(Content::Memory(Field(field, doc), name, memory))
    }

    /// Parts that are never used at the same time, and so start at the same place.
    pub fn either(parts: Vec<Part>) -> Self {
        Self(Content::Either(parts))
    }

    /// Its bytes, without what fills up to the next part.
    fn bytes(&self, sizes: &Sizes) -> usize {
        match &self.0 {
            Content::Array(_, element, length) => element.bytes(sizes.precision) * length.value(sizes),
            Content::Memory(_, _, memory) => memory.bytes(sizes),
            Content::Either(parts) => parts.iter().map(|part| part.bytes(sizes)).max().unwrap_or(0),
        }
    }

    /// Its members in C, and what gives them their places from `at` on.
    fn text(&self, space: Space, at: &str, members: &mut String, places: &mut String) {
        match &self.0 {
            Content::Array(Field(field, doc), element, length) => {
                *members += &member(&format!("{}* {field}", element.name()), doc);
                line(places, &format!("{field} = {}<{}>({at}, {length});", space.function(), element.name()));
            }
            Content::Memory(Field(field, doc), name, _) => {
                *members += &member(&format!("{name} {field}"), doc);
                line(places, &format!("{at} = {field}.place({at}, samples, views, depth);"));
            }
            Content::Either(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    let (start, text) = (format!("from{i}"), format!("unsigned char* from{i} = {at};"));
                    line(places, &text);
                    part.text(space, &start, members, places);
                }
            }
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "        {line}").expect("a string grows");
}

/// Arrays and other memories, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    space: Space,
    name: &'static str,
    doc: &'static str,
    parts: Vec<Part>,
}

impl Memory {
    /// A memory whose struct in C has that name.
    ///
    /// # Panics
    /// If something follows parts of which one is used at a time: the kernel does not know where the longest ends.
    pub fn new(space: Space, name: &'static str, doc: &'static str, parts: Vec<Part>) -> Self {
        let before = parts.split_last().map_or(&[][..], |(_, before)| before);
        assert!(!before.iter().any(|part| matches!(part.0, Content::Either(_))), "{name}: no part may follow");
        Self { space, name, doc, parts }
    }

    /// Of a layer that keeps nothing.
    pub fn nothing(space: Space) -> Self {
        let name = match space {
            Space::Shared => "NothingShared",
            Space::Workspace => "NothingInWorkspace",
        };
        Self::new(space, name, "Of a layer that keeps nothing.", Vec::new())
    }

    /// Its struct in C.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of all parts.
    pub fn bytes(&self, sizes: &Sizes) -> usize {
        self.parts.iter().map(|part| part.bytes(sizes).next_multiple_of(self.space.align())).sum()
    }

    /// Its struct in C, with a function that gives all parts their places.
    pub fn text(&self) -> String {
        let (mut members, mut places) = (String::new(), String::new());
        self.parts.iter().for_each(|part| part.text(self.space, "at", &mut members, &mut places));
        let number = self.space.number();
        format!(
            "{}struct {} {{\n{members}\n    // Gives all parts their places from `at` on; returns where they end.\n    \
             __device__ __forceinline__ unsigned char* place(unsigned char* at, {number} samples, {number} views, \
             {number} depth) {{\n{places}        return at;\n    }}\n}};\n",
            comment(0, self.doc),
            self.name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        samples: 33,
        views: 3,
        depth: 2,
        width: 16,
        heads: 2,
        encoding: 9,
        warps: 12,
        precision: CudaPrecision::Bf16,
    };

    fn memory(space: Space) -> Memory {
        let inner = Memory::new(space, "Inner", "Of a kind.", vec![Part::array("a", Element::Float4, Size::Views, "")]);
        let over = vec![
            Part::array("b", Element::Stored, Size::Samples * (Size::Width + 8), "`[samples, C + 8]`."),
            Part::memory("inner", "KindOfInner", inner, ""),
        ];
        let encoding = Part::array("encoding", Element::Float, Size::Encoding, "Of a sample.");
        Memory::new(space, "Outer", "What a ray needs.", vec![encoding, Part::either(over)])
    }

    #[test]
    fn bytes_are_those_of_all_parts() {
        // 16 floats, then the longer of 64 x 24 numbers of two bytes and 3 x 16 bytes.
        assert_eq!(memory(Space::Shared).bytes(&SIZES), 64 + 64 * 24 * 2);
        assert_eq!(memory(Space::Workspace).bytes(&Sizes { views: 300, ..SIZES }), 256 + 4864);
        assert_eq!(Memory::nothing(Space::Shared).bytes(&SIZES), 0);
    }

    #[test]
    fn the_kernel_is_given_the_same_layout() {
        let expected = "\
// What a ray needs.
struct Outer {
    float* encoding; // Of a sample.
    Stored* b; // `[samples, C + 8]`.
    KindOfInner inner;

    // Gives all parts their places from `at` on; returns where they end.
    __device__ __forceinline__ unsigned char* place(unsigned char* at, int samples, int views, int depth) {
        encoding = in_shared<float>(at, kEncoding16);
        unsigned char* from0 = at;
        b = in_shared<Stored>(from0, samples * (C + 8));
        unsigned char* from1 = at;
        from1 = inner.place(from1, samples, views, depth);
        return at;
    }
};
";
        assert_eq!(memory(Space::Shared).text(), expected);
        assert!(Space::Workspace.text().contains("(count * u64(sizeof(T)) + 255) / 256 * 256;"));
    }

    #[test]
    #[should_panic(expected = "Odd: no part may follow")]
    fn nothing_follows_alternatives() {
        let parts = vec![Part::either(Vec::new()), Part::array("late", Element::Int, 1, "")];
        Memory::new(Space::Shared, "Odd", "", parts);
    }
}
