//! Image quality: PSNR and SSIM as the GNT evaluation computes them; and the modelled energy of a network.

pub mod energy;
pub mod error;
pub mod psnr;
pub mod ssim;

pub use error::{Error, Result};
pub use psnr::psnr;
pub use ssim::ssim;
