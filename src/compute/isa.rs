//! Instruction sets: which vector instructions this processor has, and which of them a kernel may use.
//!
//! An [`Isa`] is a small value that goes into every kernel as its first argument; [`simd_fn!`](crate::simd_fn) compiles
//! a kernel for each set it is written for and runs the best one that the value allows. Kernels ask nobody else: whoever
//! starts the work takes [`isa()`], or one of [`Isa::available`], and passes it down.
//!
//! # Why safe functions may run these instructions
//! The field of [`Isa`] is private. A value is made by detection on this machine ([`Isa::detect`]) or by leaving out
//! features of a value that exists, so each one holds only instructions that this processor and its operating system
//! offer. That is what the `unsafe` call inside [`simd_fn!`](crate::simd_fn) rests on.
//! ```compile_fail
//! let made_up = compute::Isa { features: 15 };
//! ```
//!
//! # The variable
//! `SHIFTRAY_SIMD` names the set that [`isa()`] returns; unset or empty means all that the processor has.
//!
//! | name | instructions |
//! |---|---|
//! | `portable` | what the target guarantees: SSE2 on x86-64, NEON on aarch64 |
//! | `avx2` | AVX2, FMA and POPCNT |
//! | `avx2+vnni` | and AVX-VNNI, its dot products of bytes, which processors without AVX-512 have since 2021 |
//! | `avx512` | AVX-512 F, BW, DQ and VL, beside those of `avx2` |
//! | `avx512+vnni` | and its dot products of bytes, which the kernels of 8-bit layers and of Hamming attention along a ray use |
//! | `avx512+bitalg` | or its bit counts of 16-bit lanes, which Hamming attention along a ray uses |
//! | `avx512+vnni+bitalg` | or both |
//! | `avx512+vnni+bitalg+bf16` | and dot products of pairs of `bf16`, which products of training and dense networks in bf16 use |
//! | `avx512+vnni+bitalg+bf16+amx` | and tiles of bytes and of `bf16`, which 8-bit layers and products of training use |
//!
//! A misspelt name is an error. A set of which this machine lacks a part is ignored, and [`check_isa`] says so.
//!
//! The matrix products of training and of the feature network ([`crate::matmul`]) are those of the crate `gemm-f32`,
//! which looks at the processor itself; the variable does not reach it.

use std::fmt;
use std::sync::OnceLock;

/// A set of features that this processor has; kernels are compiled for each and picked by it. The default is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Isa {
    /// Bits of [`FEATURES`], only such as were detected.
    features: u8,
}

const AVX2: u8 = 1 << 0;
const AVX512: u8 = 1 << 1;
const VNNI: u8 = 1 << 2;
const BITALG: u8 = 1 << 3;
const BF16: u8 = 1 << 4;
const AMX: u8 = 1 << 5;
const AVX_VNNI: u8 = 1 << 6;

/// Every feature that some kernel is written for, and its part of a set's name.
///
/// A new one gets a bit here, its test in [`found`], a method `has_…`, its sets in [`SETS`] and its rule in
/// [`simd_fn!`](crate::simd_fn), together with the first kernel that uses it.
const FEATURES: [(u8, &str); 7] = [
    (AVX2, "avx2"),
    (AVX_VNNI, "vnni of 256 bits"),
    (AVX512, "avx512"),
    (VNNI, "vnni"),
    (BITALG, "bitalg"),
    (BF16, "bf16"),
    (AMX, "amx"),
];

/// Every set that can be named, weakest first. Sets are closed: AVX-512 comes with AVX2, its extensions with AVX-512. AVX-VNNI
/// does what a part of AVX-512 does with narrower registers, so that no set has both.
const SETS: [(u8, &str); 9] = [
    (0, "portable"),
    (AVX2, "avx2"),
    (AVX2 | AVX_VNNI, "avx2+vnni"),
    (AVX2 | AVX512, "avx512"),
    (AVX2 | AVX512 | VNNI, "avx512+vnni"),
    (AVX2 | AVX512 | BITALG, "avx512+bitalg"),
    (AVX2 | AVX512 | VNNI | BITALG, "avx512+vnni+bitalg"),
    (AVX2 | AVX512 | VNNI | BITALG | BF16, "avx512+vnni+bitalg+bf16"),
    (AVX2 | AVX512 | VNNI | BITALG | BF16 | AMX, "avx512+vnni+bitalg+bf16+amx"),
];

/// What this processor has.
fn found() -> u8 {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("popcnt");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let mut features = 0;
        if avx2 {
            features |= AVX2;
            features |= if is_x86_feature_detected!("avxvnni") { AVX_VNNI } else { 0 };
        }
        if avx2 && avx512 {
            features |= AVX512;
            features |= if is_x86_feature_detected!("avx512vnni") { VNNI } else { 0 };
            features |= if is_x86_feature_detected!("avx512bitalg") { BITALG } else { 0 };
            if features & VNNI != 0 && features & BITALG != 0 && is_x86_feature_detected!("avx512bf16") {
                features |= BF16;
                features |= if has_tiles() { AMX } else { 0 };
            }
        }
        features
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Whether the processor has tiles of bf16 and of bytes, and the system grants them to this process.
#[cfg(target_arch = "x86_64")]
fn has_tiles() -> bool {
    use std::arch::x86_64::__cpuid_count;
    // The bits of AMX-BF16, AMX-TILE and AMX-INT8 (Intel's manual, CPUID leaf 7), which the standard library does not test
    // yet.
    const TILES: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| {
        __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & TILES == TILES && crate::tiles::request_tiles()
    })
}

/// The strongest of [`SETS`] that `features` contain.
fn strongest(features: u8) -> Isa {
    let best = SETS.into_iter().rev().find(|(set, _)| features & set == *set);
    Isa { features: best.expect("the first set is empty").0 }
}

impl Isa {
    /// No more than the target guarantees, which every processor has.
    pub const PORTABLE: Self = Self { features: 0 };

    /// The strongest set that this processor has.
    pub fn detect() -> Self {
        strongest(found())
    }

    /// All sets that this processor can run, weakest first: `portable`, .., [`Isa::detect`].
    pub fn available() -> impl Iterator<Item = Self> {
        Self { features: found() }.subsets()
    }

    /// All sets that this one contains, weakest first, itself included.
    pub fn subsets(self) -> impl Iterator<Item = Self> {
        SETS.into_iter().map(|(features, _)| Self { features }).filter(move |set| self.has(set.features))
    }

    /// Its name as `SHIFTRAY_SIMD` spells it.
    pub fn name(self) -> &'static str {
        let set = SETS.iter().find(|(features, _)| *features == self.features);
        set.expect("every set that detection can give is listed").1
    }

    /// AVX2, FMA and POPCNT.
    pub fn has_avx2(self) -> bool {
        self.has(AVX2)
    }

    /// AVX2 with dot products of bytes, of 256 bits.
    pub fn has_avx_vnni(self) -> bool {
        self.has(AVX2 | AVX_VNNI)
    }

    /// AVX-512 F, BW, DQ and VL, beside AVX2.
    pub fn has_avx512(self) -> bool {
        self.has(AVX512)
    }

    /// AVX-512 with its dot products of bytes.
    pub fn has_vnni(self) -> bool {
        self.has(VNNI)
    }

    /// AVX-512 with its bit counts of 16-bit lanes.
    pub fn has_bitalg(self) -> bool {
        self.has(BITALG)
    }

    /// AVX-512 with its conversions to bf16 and dot products of pairs of it, beside the extensions above.
    pub fn has_bf16(self) -> bool {
        self.has(BF16)
    }

    /// Tiles of bytes and of bf16, beside AVX-512 with all extensions above.
    pub fn has_amx(self) -> bool {
        self.has(AMX)
    }

    /// This set without tiles.
    pub fn without_amx(self) -> Self {
        Self { features: self.features & !AMX }
    }

    /// Whether products of bytes are vector instructions: without them 8-bit kernels are slower than those of `f32`.
    pub fn has_vector_bytes(self) -> bool {
        self.has_avx2()
    }

    /// The set for kernels that go through rows of `width` values, a multiple of 8, a register at a time: without
    /// AVX-512 where its sixteen lanes would reach past the end of a row.
    pub fn for_width(self, width: usize) -> Self {
        let features = if width.is_multiple_of(16) { self.features } else { self.features & (AVX2 | AVX_VNNI) };
        Self { features }
    }

    fn has(self, features: u8) -> bool {
        self.features & features == features
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Environment variable that names the set to use.
pub const ISA_VARIABLE: &str = "SHIFTRAY_SIMD";

/// The set to use: what [`ISA_VARIABLE`] names, or all that this processor has if it names nothing or a set of which
/// this processor lacks a part. A name that [`check_isa`] refuses counts as none.
pub fn isa() -> Isa {
    static CHOSEN: OnceLock<Isa> = OnceLock::new();
    *CHOSEN.get_or_init(|| choose(&asked(), found()).map_or_else(|_| Isa::detect(), |(isa, _)| isa))
}

/// Checks [`ISA_VARIABLE`]; where it names a set that this processor cannot run, and that is therefore ignored, returns
/// a sentence for the user with what was asked, what is missing and what is used.
///
/// # Errors
/// The names that are possible, and the one found, if it is none of them.
pub fn check_isa() -> Result<Option<String>, String> {
    choose(&asked(), found()).map(|(_, ignored)| ignored)
}

fn asked() -> String {
    std::env::var_os(ISA_VARIABLE).map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// The set that `name` stands for on a processor that has the features `found`, and what to tell the user if it is ignored.
fn choose(name: &str, found: u8) -> Result<(Isa, Option<String>), String> {
    let all = strongest(found);
    if name.is_empty() {
        return Ok((all, None));
    }
    let Some((features, _)) = SETS.into_iter().find(|(_, set)| *set == name) else {
        let names = SETS.map(|(_, set)| set).join(", ");
        return Err(format!("{ISA_VARIABLE}: expected one of {names}, found {name:?}"));
    };
    if found & features == features {
        return Ok((Isa { features }, None));
    }
    let missing = FEATURES.iter().filter(|(bit, _)| features & bit & !found != 0).map(|(_, part)| *part);
    let missing = missing.collect::<Vec<_>>().join(" and ");
    let ignored = format!("{ISA_VARIABLE}={name} is ignored: this processor lacks {missing}; {all} is used");
    Ok((all, Some(ignored)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Says once which sets the tests of all kernels ran with, since that depends on the machine.
    #[test]
    fn sets_of_this_machine() {
        let sets: Vec<Isa> = Isa::available().collect();
        assert_eq!(sets[0], Isa::PORTABLE);
        assert_eq!(sets[sets.len() - 1], Isa::detect());
        assert!(Isa::detect().has(isa().features));
        let (ran, all) = (sets.iter().map(|set| set.name()).collect::<Vec<_>>().join(", "), SETS.len());
        // Not `eprintln!`, which the test runner keeps to itself.
        writeln!(std::io::stderr(), "kernels run with {} of {all} instruction sets: {ran}", sets.len()).unwrap();
    }

    /// Processors of every kind: one that has each set and no more.
    fn processors() -> impl Iterator<Item = Isa> {
        SETS.into_iter().map(|(features, _)| Isa { features })
    }

    #[test]
    fn a_set_that_the_processor_has_is_used() {
        for all in processors() {
            assert_eq!(choose("", all.features), Ok((all, None)));
            for set in all.subsets() {
                assert_eq!(choose(set.name(), all.features), Ok((set, None)));
            }
        }
    }

    #[test]
    fn a_set_that_the_processor_lacks_is_ignored_aloud() {
        for all in processors() {
            for set in processors().filter(|set| !all.has(set.features)) {
                let (used, ignored) = choose(set.name(), all.features).unwrap();
                assert_eq!(used, all);
                assert!(ignored.unwrap().ends_with(&format!("; {all} is used")));
            }
        }
        let (_, ignored) = choose("avx512+vnni", AVX2).unwrap();
        let expected = "SHIFTRAY_SIMD=avx512+vnni is ignored: this processor lacks avx512 and vnni; avx2 is used";
        assert_eq!(ignored.unwrap(), expected);
    }

    /// A processor may have both kinds of dot products of bytes: AVX-512's are used, and the others can be asked for.
    #[test]
    fn the_widest_registers_are_used_unless_others_are_asked_for() {
        let both = AVX2 | AVX_VNNI | AVX512 | VNNI;
        assert_eq!(choose("", both).unwrap().0.name(), "avx512+vnni");
        assert_eq!(choose("avx2+vnni", both).unwrap().0.name(), "avx2+vnni");
        assert_eq!(choose("", AVX2 | AVX_VNNI).unwrap().0.name(), "avx2+vnni");
    }

    #[test]
    fn a_misspelt_set_is_an_error() {
        for wrong in ["AVX2", "avx", " avx2", "sse", "none", "vnni", "avx2+bitalg", "avx512+bitalg+vnni", "avx512+"] {
            let message = choose(wrong, 0).unwrap_err();
            assert!(
                message.contains("portable, avx2, avx2+vnni, avx512, avx512+vnni") && message.contains(wrong),
                "{message}"
            );
        }
    }

    #[test]
    fn wide_registers_are_for_rows_that_they_divide() {
        for isa in processors() {
            assert_eq!(isa.for_width(48), isa);
            let narrow = isa.for_width(24);
            assert!(!narrow.has_avx512() && narrow.has_avx2() == isa.has_avx2(), "{isa}");
            assert!(processors().any(|set| set == narrow));
        }
    }
}
