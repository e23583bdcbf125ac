//! Writes the headers in `kernels/` that are made from declarations in Rust. A program of its own, because tests need kernels
//! that compile, and kernels the headers: `cargo run -p gnt --bin twins`.

fn main() -> Result<(), String> {
    gnt::cuda::twins::headers().iter().try_for_each(|(path, text)| compute::cuda::twin::write(path, text))
}
