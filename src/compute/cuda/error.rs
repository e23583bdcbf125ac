//! What can go wrong on a CUDA device.

/// Result of this module.
pub type Result<T> = std::result::Result<T, CudaError>;

/// Errors of a CUDA device; each message says what is missing or what failed.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// There is no such device, or no driver.
    #[error("{0}")]
    NoDevice(String),
    /// What the device refused for want of memory.
    #[error("device memory: no room for {wanted}, {free} of {total} bytes free")]
    OutOfMemory {
        /// What was asked for: bytes, or what a launch needs beside its buffers.
        wanted: String,
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
