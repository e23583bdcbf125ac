//! Reports: what `metrics.json` holds, how parts are joined and compared, and the page and pictures that are made of it.

mod colours;
pub mod compare;
pub mod data;
mod figures;
mod gallery;
pub mod html;
pub mod merge;
mod name;
mod numbers;
pub mod plots;
mod protocol;
pub mod sheet;
pub mod summary;
mod tables;
pub mod words;

pub use data::Metrics;

#[cfg(test)]
pub(crate) mod testing;
