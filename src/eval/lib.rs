//! Image quality: PSNR and SSIM as the GNT evaluation computes them; and energy, modelled from a network's layers or
//! measured by the hardware.

pub mod energy;
pub mod error;
pub mod power;
pub mod psnr;
pub mod ssim;

pub use error::{Error, Result};
pub use psnr::psnr;
pub use ssim::ssim;
