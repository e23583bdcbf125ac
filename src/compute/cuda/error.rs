//! What can go wrong on a CUDA device.

/// Result of this module.
pub type Result<T> = std::result::Result<T, CudaError>;

/// Errors of a CUDA device; each message says what is missing or what failed.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// There is no such device, or no driver.
    #[error("{0}")]
    NoDevice(String),
    /// An allocation that the device refused.
    #[error("device memory: {wanted} bytes wanted, {free} of {total} bytes free")]
    OutOfMemory {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes free at that moment.
        free: u64,
        /// Bytes of the device.
        total: u64,
    },
    /// Kernels that cannot be had on this machine.
    #[error("kernels {label}: {problem}")]
    Kernels {
        /// File and constants.
        label: String,
        /// What is missing, or what the compiler said.
        problem: String,
    },
    /// A call that the driver refused, or work that failed.
    #[error("{what}: {problem}")]
    Driver {
        /// What was done.
        what: String,
        /// What the driver said.
        problem: String,
    },
}
