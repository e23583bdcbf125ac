//! What a kernel needs of a multiprocessor, read from the assembler's log.

/// Resources of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The kernel's name.
    pub kernel: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes that a thread stores because registers ran out.
    pub spill_stores: u32,
    /// Bytes that a thread loads again.
    pub spill_loads: u32,
    /// Bytes of shared memory of a block, without the dynamic ones.
    pub shared: u32,
    /// Bytes of stack of a thread.
    pub stack: u32,
}

/// Resources of each kernel in the log of [`super::Nvrtc::compile`] to a CUBIN, in its order. What a kernel's functions
/// spill counts as the kernel's.
pub fn resources(log: &str) -> Vec<Resources> {
    let mut found: Vec<Resources> = Vec::new();
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let kernel = rest.split('\'').next().unwrap_or(rest).to_owned();
            found.push(Resources { kernel, ..Resources::default() });
        }
        let Some(last) = found.last_mut() else { continue };
        last.stack = last.stack.max(before(line, " bytes stack frame"));
        last.spill_stores += before(line, " bytes spill stores");
        last.spill_loads += before(line, " bytes spill loads");
        if line.contains("Used ") {
            last.registers = last.registers.max(before(line, " registers"));
            last.shared = last.shared.max(before(line, " bytes smem"));
        }
    }
    found
}

/// The number just before `what`; 0 if it is not there.
fn before(line: &str, what: &str) -> u32 {
    let number = line.split_once(what).and_then(|(start, _)| start.rsplit([' ', ',']).next());
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_log_are_read() {
        // As the versions 13.0 and 12.1 write it.
        let new = "ptxas info    : Overriding maximum register limit 256 for 'a' with  64 of maxrregcount option\n\
            ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'a' for 'sm_90'\n\
            ptxas info    : Function properties for a\n\
            ptxas         .     16 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads\n\
            ptxas info    : Used 64 registers, used 1 barriers, 16 bytes cumulative stack size, 400 bytes smem\n\
            ptxas info    : Compile time = 3.054 ms\n\
            ptxas info    : Compiling entry function 'b' for 'sm_90'\n\
            ptxas info    : Function properties for b\n\
            ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Used 12 registers, used 0 barriers\n";
        let [a, b] = resources(new).try_into().unwrap();
        let expected =
            Resources { kernel: "a".into(), registers: 64, spill_stores: 12, spill_loads: 20, shared: 400, stack: 16 };
        assert_eq!(a, expected);
        assert_eq!(b, Resources { kernel: "b".into(), registers: 12, ..Resources::default() });
        let old = "ptxas info    : 304 bytes gmem\n\
            ptxas info    : Compiling entry function 'c' for 'sm_80'\n\
            ptxas info    : Function properties for c\n    \
            0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n\
            ptxas info    : Used 11 registers, 400 bytes smem, 372 bytes cmem[0]\n";
        let [c] = resources(old).try_into().unwrap();
        let spills = Resources { spill_stores: 8, spill_loads: 8, ..Resources::default() };
        assert_eq!(c, Resources { kernel: "c".into(), registers: 11, shared: 400, ..spills });
        assert!(resources("").is_empty());
    }
}
