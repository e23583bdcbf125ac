//! Image quality: PSNR and SSIM as the GNT evaluation computes them.

pub mod error;
pub mod psnr;
pub mod ssim;

pub use error::{Error, Result};
pub use psnr::psnr;
pub use ssim::ssim;
