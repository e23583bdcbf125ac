//! New views of a scene from a few posed photographs.
fn main() {}
