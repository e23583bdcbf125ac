//! Image quality: PSNR, SSIM in its usual variants, FLIP and LPIPS, over all pixels or those of a mask; and energy,
//! modelled from a network's layers or measured by the hardware.

pub mod energy;
pub mod error;
pub mod flip;
pub mod lpips;
pub mod mask;
pub mod power;
pub mod psnr;
pub mod report;
pub mod ssim;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use flip::{flip, flip_map};
pub use lpips::Lpips;
pub use mask::Mask;
pub use psnr::psnr;
pub use ssim::{SsimKind, ssim};
