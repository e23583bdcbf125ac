//! The macro that compiles kernels for instruction sets.

/// Compiles a kernel for several instruction sets and picks one by the [`Isa`](crate::Isa) that the kernel is called
/// with. The first parameter is always `isa: Isa`; callers pass on the one they were given.
///
/// There are three forms. Ordinary Rust, which the compiler vectorises with the instructions of each set:
/// ```
/// compute::simd_fn! {
///     /// Negative values become zero.
///     pub fn relu(isa: Isa, x: &mut [f32]) {
///         x.iter_mut().for_each(|v| *v = v.max(0.0));
///     }
/// }
/// let mut x = [-1.0, 2.0];
/// relu(compute::isa(), &mut x);
/// assert_eq!(x, [0.0, 2.0]);
/// ```
/// An `unsafe` kernel that is generic over a [`Simd`](crate::simd::Simd) register type, written
/// `unsafe fn name(isa: Isa, ..) => kernel`: its caller vouches for whatever the kernel asks beyond the instructions.
///
/// And a table of what to run with which set, strongest first, `portable` last and always there, which is how a kernel
/// uses instructions that only some processors with AVX-512 have, or intrinsics of its own:
/// ```
/// compute::simd_fn! {
///     /// What the kernel of 8-bit layers multiplies with.
///     fn byte_products(isa: Isa) -> &'static str => {
///         avx512+vnni => "vpdpbusd",
///         avx2 => "vpmaddubsw",
///         portable => "multiplications of 16 bits",
///     }
/// }
/// let isa = compute::Isa::PORTABLE;
/// assert_eq!(byte_products(isa), "multiplications of 16 bits");
/// ```
/// Each line is compiled inside a function that has the instructions of its set, so that what is called there and
/// marked `#[inline(always)]` or has some of the same `#[target_feature]`s becomes part of it.
#[macro_export]
macro_rules! simd_fn {
    // A table.
    ($(#[$meta:meta])* $vis:vis fn $name:ident (isa: Isa $(, $arg:ident : $ty:ty)* $(,)?) $(-> $ret:ty)? => {
        $($table:tt)*
    }) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::Isa $(, $arg: $ty)*) $(-> $ret)? {
            $crate::simd_fn!(@choose isa [] ($($arg: $ty),*) ($(-> $ret)?) { $($table)* })
        }
    };
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident (isa: Isa $(, $arg:ident : $ty:ty)* $(,)?) $(-> $ret:ty)? => {
        $($table:tt)*
    }) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(isa: $crate::Isa $(, $arg: $ty)*) $(-> $ret)? {
            $crate::simd_fn!(@choose isa [unsafe] ($($arg: $ty),*) ($(-> $ret)?) { $($table)* })
        }
    };
    // A kernel that is generic over a register type.
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident (isa: Isa $(, $arg:ident : $ty:ty)* $(,)?) $(-> $ret:ty)?
        => $kernel:ident
    ) => {
        $crate::simd_fn! {
            $(#[$meta])*
            $vis unsafe fn $name(isa: Isa $(, $arg: $ty)*) $(-> $ret)? => {
                // SAFETY: here are the instructions of `Avx512`; the caller vouches for the rest.
                avx512 => unsafe { $kernel::<$crate::simd::Avx512>($($arg),*) },
                // SAFETY: here are those of `Avx2`.
                avx2 => unsafe { $kernel::<$crate::simd::Avx2>($($arg),*) },
                // SAFETY: `Portable` needs no special instructions.
                portable => unsafe { $kernel::<$crate::simd::Portable>($($arg),*) },
            }
        }
    };
    // Ordinary Rust.
    ($(#[$meta:meta])* $vis:vis fn $name:ident (isa: Isa $(, $arg:ident : $ty:ty)* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::Isa $(, $arg: $ty)*) $(-> $ret)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            $crate::simd_fn!(@choose isa [] ($($arg: $ty),*) ($(-> $ret)?) {
                avx512 => body($($arg),*),
                avx2 => body($($arg),*),
                portable => body($($arg),*),
            })
        }
    };

    // The lines of a table, one after the other: what asks for the set, and the features that it is compiled with.
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx512 + amx => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_amx(),
            "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,popcnt", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx512 + vnni => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_vnni(),
            "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,popcnt", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx512 + bitalg => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_bitalg(),
            "avx512f,avx512bw,avx512dq,avx512vl,avx512bitalg,avx2,fma,popcnt", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx512 => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_avx512(),
            "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,popcnt", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx2 + vnni => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_avx_vnni(), "avx2,fma,popcnt,avxvnni", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { avx2 => $run:expr, $($rest:tt)* }) => {{
        #[cfg(target_arch = "x86_64")]
        $crate::simd_fn!(@run $isa.has_avx2(), "avx2,fma,popcnt", $safety $args $ret $run);
        $crate::simd_fn!(@choose $isa $safety $args $ret { $($rest)* })
    }};
    (@choose $isa:ident $safety:tt $args:tt $ret:tt { portable => $run:expr $(,)? }) => {{
        let _ = $isa;
        $run
    }};

    (@run $has:expr, $features:literal, [$($safety:tt)?] ($($arg:ident : $ty:ty),*) ($($ret:tt)*) $run:expr) => {
        if $has {
            #[allow(clippy::too_many_arguments)]
            #[target_feature(enable = $features)]
            $($safety)? fn with_features($($arg: $ty),*) $($ret)* {
                $run
            }
            // SAFETY: an `Isa` has only features that were detected on this processor, and it has these.
            return unsafe { with_features($($arg),*) };
        }
    };
}
