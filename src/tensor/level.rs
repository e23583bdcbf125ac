//! Which vector instructions the processor offers, found once at run time.

use std::sync::OnceLock;

/// Instruction sets that kernels are built for, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Whatever the target guarantees (SSE2 on x86-64, NEON on aarch64).
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ and VL, beside AVX2 and FMA.
    Avx512,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Name as the environment variable `SHIFTRAY_SIMD` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The best level of this processor.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            match (avx2, avx512) {
                (true, true) => return Self::Avx512,
                (true, false) => return Self::Avx2,
                _ => {}
            }
        }
        Self::Portable
    }
}

/// Environment variable that lowers the level.
pub const LEVEL_VARIABLE: &str = "SHIFTRAY_SIMD";

/// The level in use: the best of this processor, or a weaker one named by [`LEVEL_VARIABLE`]. A name that
/// [`check_level`] refuses counts as none.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = Level::detect();
        named().ok().flatten().unwrap_or(best).min(best)
    })
}

/// Checks that [`LEVEL_VARIABLE`] is not set, empty, or the name of a level; one that this processor lacks stands for
/// its best.
///
/// # Errors
/// What was expected and found.
pub fn check_level() -> Result<(), String> {
    named().map(|_| ())
}

fn named() -> Result<Option<Level>, String> {
    std::env::var_os(LEVEL_VARIABLE).map_or(Ok(None), |name| parse(&name.to_string_lossy()))
}

fn parse(name: &str) -> Result<Option<Level>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = Level::ALL.into_iter().find(|level| level.name() == name);
    let names = Level::ALL.map(Level::name);
    found.map(Some).ok_or_else(|| format!("{LEVEL_VARIABLE}: expected one of {}, found {name:?}", names.join(", ")))
}

/// Whether kernels for [`Level::Avx512`] may use its dot products of bytes (AVX-512 VNNI).
pub fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return level() == Level::Avx512 && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether kernels for [`Level::Avx512`] may count the bits of 16-bit lanes (AVX-512 BITALG).
pub fn has_bitalg() -> bool {
    #[cfg(target_arch = "x86_64")]
    return level() == Level::Avx512 && is_x86_feature_detected!("avx512bitalg");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Compiles a function once for each [`Level`] and picks one at run time; the body is ordinary Rust that the compiler
/// vectorises with the instructions of that level.
#[macro_export]
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[allow(clippy::too_many_arguments)]
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[allow(clippy::too_many_arguments)]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::level() {
                    // SAFETY: `level` found these features on this processor.
                    $crate::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::Level::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    simd_fn! {
        fn sum_squares(a: &[f32]) -> f32 {
            a.iter().map(|v| v * v).sum()
        }
    }

    #[test]
    fn levels_are_read_by_name_and_misspelt_ones_refused() {
        for level in Level::ALL {
            assert_eq!(parse(level.name()), Ok(Some(level)));
        }
        assert_eq!(parse(""), Ok(None));
        for wrong in ["AVX2", "avx", " avx2", "sse", "none"] {
            let message = parse(wrong).unwrap_err();
            assert!(message.contains("portable, avx2, avx512") && message.contains(wrong), "{message}");
        }
    }

    #[test]
    fn runs_at_the_level_found() {
        assert!(level() <= Level::detect());
        assert_eq!(sum_squares(&[1.0, 2.0, 3.0]), 14.0);
    }
}
