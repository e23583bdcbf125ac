use super::*;

crate::twin! {
    /// Two layers.
    struct Pair {
        /// `[C, D]`, see [`Fragments`].
        weights: Address<Fragments>,
        bias: Address<f32>,
    }
}

crate::twin! {
    /// What a kernel takes,
    /// on two lines.
    struct Taken {
        /// Both.
        pairs: [Pair; 2],
        out: Address<Out<Float4>>,
        /// A field with so long an explanation that it does not fit beside the declaration of the field and goes above it.
        rows: [[f32; 3]; 2],
        count: i32,
        unused: u32,
    }
}

#[test]
fn a_twin_has_its_text_in_c() {
    let expected = "\
// What a kernel takes, on two lines.
struct Taken {
    Pair pairs[2]; // Both.
    float4* out;
    // A field with so long an explanation that it does not fit beside the declaration of the field and goes above it.
    float rows[2][3];
    int count;
    unsigned unused;
};
static_assert(sizeof(Taken) == 72 && OFFSET_OF(Taken, pairs) == 0 && OFFSET_OF(Taken, out) == 32 &&
              OFFSET_OF(Taken, rows) == 40 && OFFSET_OF(Taken, count) == 64 && OFFSET_OF(Taken, unused) == 68,
              \"Taken is laid out as in Rust\");
";
    assert_eq!(Taken::text(), expected);
    assert!(Pair::text().contains("    const uint2* weights; // `[C, D]`, see `Fragments`.\n    const float* bias;\n"));
}

#[test]
fn a_twin_is_its_bytes_and_shows_its_addresses() {
    let mut taken = Taken::default();
    assert!(Plain::bytes(&taken).iter().all(|byte| *byte == 0) && taken.pairs[1].bias == Address::NULL);
    taken.pairs[0].bias = Address::at(16);
    taken.pairs[1].weights = Address::at(32);
    taken.count = 7;
    let mut seen = Vec::new();
    Weights::each_address(&mut taken, &mut |address| {
        seen.push(*address);
        *address += u64::from(*address != 0);
    });
    assert_eq!(seen, [0, 16, 32, 0, 0]);
    assert_eq!((taken.pairs[0].bias.number(), taken.pairs[1].weights.number(), taken.count), (17, 33, 7));
    assert_eq!(Weights::bytes(&taken)[8..16], 17u64.to_ne_bytes());
}

#[test]
fn constants_and_choices_are_written_in_c() {
    assert_eq!(Constant::int("kWarps", 12usize, "Of a block.").text(), "// Of a block.\nconstexpr int kWarps = 12;\n");
    assert_eq!(Constant::float("kSigma", 1e-6, "").text(), "constexpr float kSigma = 1e-6f;\n");
    let choice = choice_text("START", "How a state starts.", ["MAX", "STATS"]);
    assert_eq!(choice, "// How a state starts.\n#define START_MAX 0\n#define START_STATS 1\n");
    let text = header("Of a folder.", &["a/b.cuh"], [choice]);
    assert!(
        text.starts_with("// Of a folder.\n// Made from declarations in Rust") && text.ends_with("STATS 1\n"),
        "{text}"
    );
}

#[test]
fn headers_that_differ_are_told() {
    let problem = compare("common/portable.cuh", "// Another text.\n").unwrap_err();
    assert!(
        problem.starts_with("kernels/common/portable.cuh:1: expected \"// Another text.\", found \"// What"),
        "{problem}"
    );
    assert!(compare("common/no_such_file.cuh", "").unwrap_err().starts_with("kernels/common/no_such_file.cuh: "));
}
