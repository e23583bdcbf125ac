//! Addresses on a device, by what lies there.

use super::TwinField;
use crate::cuda::{Buffer, Plain};
use std::fmt;
use std::marker::PhantomData;

/// What a kernel's pointer points to.
pub trait Pointee: 'static {
    /// The type in C, such as `const float`.
    const C: &'static str;
}

/// A pointer of a kernel: an address on a device, or null.
#[repr(transparent)]
pub struct Address<T: Pointee>(u64, PhantomData<fn() -> T>);

/// What the kernel writes: `Address<Out<f32>>` is a `float*`, where `Address<f32>` is a `const float*`.
#[derive(Debug)]
pub struct Out<T>(PhantomData<T>);

/// Weights packed for the matrix units, which kernels read as `uint2`.
#[derive(Debug)]
pub struct Fragments;

/// Four `float`s, aligned to sixteen bytes.
#[derive(Debug)]
pub struct Float4;

/// Two `float`s, aligned to eight bytes.
#[derive(Debug)]
pub struct Float2;

/// Two `int`s, aligned to eight bytes.
#[derive(Debug)]
pub struct Int2;

/// A number as the ray kernel keeps it between products: `float` or bf16, see `kernels/common/fragment.cuh`.
#[derive(Debug)]
pub struct Stored;

impl<T: Pointee> Address<T> {
    /// No address.
    pub const NULL: Self = Self(0, PhantomData);

    /// An address as a number: of a buffer, or of a place in one.
    pub fn at(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// The address as a number; 0 is null.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl<T: Pointee + Plain> From<&Buffer<T>> for Address<T> {
    fn from(buffer: &Buffer<T>) -> Self {
        Self::at(buffer.address())
    }
}

impl<T: Plain> From<&Buffer<T>> for Address<Out<T>>
where
    Out<T>: Pointee,
{
    fn from(buffer: &Buffer<T>) -> Self {
        Self::at(buffer.address())
    }
}

impl<T: Pointee> Clone for Address<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Pointee> Copy for Address<T> {}

impl<T: Pointee> PartialEq for Address<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Pointee> fmt::Debug for Address<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:#x} ({}*)", self.0, T::C)
    }
}

// SAFETY: a number, and a marker without a size.
unsafe impl<T: Pointee> Plain for Address<T> {}

impl<T: Pointee> TwinField for Address<T> {
    fn declare(name: &str) -> String {
        format!("{}* {name}", T::C)
    }

    fn each_address(&mut self, each: &mut dyn FnMut(&mut u64)) {
        each(&mut self.0);
    }
}

macro_rules! pointees {
    ($($Type:ty: $name:literal,)+) => {
        $(
            impl Pointee for $Type {
                const C: &'static str = concat!("const ", $name);
            }
            impl Pointee for Out<$Type> {
                const C: &'static str = $name;
            }
        )+
    };
}

pointees! {
    f32: "float", i32: "int", u32: "unsigned", u64: "u64", u8: "unsigned char",
    Float2: "float2", Float4: "float4", Int2: "int2", Fragments: "uint2", Stored: "Stored",
}
