//! What Rust and the kernels share, declared once, in Rust: structs, constants, and the kinds that a constant names.
//!
//! [`twin!`](crate::twin) makes a struct in Rust and the text of the same struct in C. The texts of all declarations that a
//! folder of kernels needs are one header, committed in `kernels/` and included there. `cargo run -p gnt --bin twins` writes
//! it, and a test compares it with what the declarations give. Both sides check the layout while they are compiled: Rust that
//! there is no padding, C by `static_assert` that sizes and offsets are those of Rust, wherever a kernel is compiled.

mod address;
mod text;

pub use address::{Address, Float2, Float4, Fragments, Int2, Out, Pointee, Stored};
pub use text::{Constant, Field, choice_text, comment, compare, header, member, struct_text, write};

use super::Plain;

/// A type of fields that Rust and C lay out alike.
pub trait TwinField: Plain {
    /// The declaration of a field in C, such as `float eye[3]`.
    fn declare(name: &str) -> String;

    /// Shows `each` the addresses in the value.
    fn each_address(&mut self, _each: &mut dyn FnMut(&mut u64)) {}
}

/// A struct that Rust and C share; made by [`twin!`](crate::twin).
pub trait Twin: TwinField + Default {
    /// Its name, in both languages.
    const NAME: &'static str;

    /// Its declaration in C, with assertions about its layout.
    fn text() -> String;
}

/// A twin of any type that points to weights on a device.
pub trait Weights: std::fmt::Debug {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its bytes.
    fn bytes(&self) -> &[u8];
    /// Shows `each` its addresses.
    fn each_address(&mut self, each: &mut dyn FnMut(&mut u64));
}

impl<T: Twin + std::fmt::Debug> Weights for T {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn bytes(&self) -> &[u8] {
        Plain::bytes(self)
    }

    fn each_address(&mut self, each: &mut dyn FnMut(&mut u64)) {
        TwinField::each_address(self, each);
    }
}

macro_rules! numbers {
    ($($Type:ty: $name:literal,)+) => {
        $(impl TwinField for $Type {
            fn declare(name: &str) -> String {
                format!(concat!($name, " {}"), name)
            }
        })+
    };
}

numbers! { f32: "float", i32: "int", u32: "unsigned", u64: "u64", u8: "unsigned char", }

impl<T: TwinField, const N: usize> TwinField for [T; N] {
    fn declare(name: &str) -> String {
        T::declare(&format!("{name}[{N}]"))
    }

    fn each_address(&mut self, each: &mut dyn FnMut(&mut u64)) {
        self.iter_mut().for_each(|value| value.each_address(each));
    }
}

/// Declares a struct for Rust and C: `#[repr(C)]`, [`Plain`](crate::cuda::Plain) and [`Twin`](crate::cuda::twin::Twin).
///
/// Fields are numbers, [`Address`](crate::cuda::twin::Address)es, other twins and arrays of these; there may be no padding
/// between them or at the end. The default of a twin is all zeros.
#[macro_export]
macro_rules! twin {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $Name:ident {
            $($(#[doc = $field_doc:literal])* $field_vis:vis $field:ident: $Type:ty,)+
        }
    ) => {
        $(#[doc = $doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $Name {
            $($(#[doc = $field_doc])* $field_vis $field: $Type,)+
        }

        const _: () = {
            let mut end = 0;
            $(
                assert!(::std::mem::offset_of!($Name, $field) == end, "padding before a field");
                end += ::std::mem::size_of::<$Type>();
            )+
            assert!(::std::mem::size_of::<$Name>() == end, "padding at the end");
        };

        // SAFETY: each field is plain, as the bound on the types below says, and the assertions above leave no byte that
        // belongs to none.
        unsafe impl $crate::cuda::Plain for $Name {}
        const _: () = {
            const fn plain<T: $crate::cuda::Plain>() {}
            $(plain::<$Type>();)+
        };

        impl ::std::default::Default for $Name {
            fn default() -> Self {
                Self { $($field: $crate::cuda::buffer::zero(),)+ }
            }
        }

        impl $crate::cuda::twin::TwinField for $Name {
            fn declare(name: &str) -> ::std::string::String {
                ::std::format!("{} {name}", ::std::stringify!($Name))
            }

            fn each_address(&mut self, each: &mut dyn FnMut(&mut u64)) {
                $($crate::cuda::twin::TwinField::each_address(&mut self.$field, each);)+
            }
        }

        impl $crate::cuda::twin::Pointee for $Name {
            const C: &'static str = ::std::concat!("const ", ::std::stringify!($Name));
        }

        impl $crate::cuda::twin::Twin for $Name {
            const NAME: &'static str = ::std::stringify!($Name);

            fn text() -> ::std::string::String {
                let fields = [$($crate::cuda::twin::Field {
                    name: ::std::stringify!($field),
                    declaration: <$Type as $crate::cuda::twin::TwinField>::declare(::std::stringify!($field)),
                    offset: ::std::mem::offset_of!($Name, $field),
                    doc: ::std::concat!($($field_doc, "\n",)* ""),
                },)+];
                let doc = ::std::concat!($($doc, "\n",)* "");
                $crate::cuda::twin::struct_text(Self::NAME, doc, &fields, ::std::mem::size_of::<$Name>())
            }
        }
    };
}

#[cfg(test)]
mod tests;
