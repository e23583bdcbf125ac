//! The processor's tile registers (AMX): whether there are any, and what shape they have while a kernel uses them.

use std::arch::asm;

/// Rows and bytes a row of each of the eight registers.
pub(crate) type Layout = [(usize, usize); 8];

/// All registers as large as they can be: 16 rows of 64 bytes.
pub(crate) const ALL_WHOLE: Layout = [(16, 64); 8];

/// What `ldtilecfg` reads (palette 1).
#[repr(C, align(64))]
struct TileConfig([u8; 64]);

/// Asks the system for tile registers, which it hands out on request (Linux, `arch_prctl(ARCH_REQ_XCOMP_PERM)`).
pub(crate) fn request_tiles() -> bool {
    #[cfg(target_os = "linux")]
    {
        const ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let mut answer = ARCH_PRCTL;
        // SAFETY: this call of the system changes nothing but the process's permission.
        unsafe {
            asm!("syscall", inout("rax") answer, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _, out("r11") _);
        }
        answer == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Tile registers of the calling thread, set up while the value lives.
pub(crate) struct TileRegisters(());

impl TileRegisters {
    /// # Safety
    /// The processor has tiles and the system has granted them.
    #[inline(always)]
    pub(crate) unsafe fn set_up(layout: Layout) -> Self {
        let mut config = TileConfig([0; 64]);
        config.0[0] = 1;
        for (i, (rows, bytes)) in layout.into_iter().enumerate() {
            // Two bytes hold the width, of which the upper one stays 0.
            config.0[16 + 2 * i] = bytes as u8;
            config.0[48 + i] = rows as u8;
        }
        // SAFETY: as the caller vouches.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for TileRegisters {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: they were set up, so the instruction exists.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
