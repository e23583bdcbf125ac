//! Weights in files: our own format, and official PyTorch checkpoints read into it.

pub mod annotate;
mod encode;
pub mod infer;
mod native;
mod packed;
pub mod torch;

pub use torchfile::Tensor;

use crate::{Config, Error, Result};
use layers::Layout;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest checkpoint that is read, in bytes; the largest official one is about 120 MB.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// Most dimensions that a tensor in a file may have; a convolution weight has four.
const MAX_RANK: usize = 8;

/// How weights are stored in a file; in memory they are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats: exact.
    F32,
    /// 16-bit floats: half the size, rounded to 11 significant bits.
    F16,
    /// The weights of shift layers as their powers of two, 4 or 5 bits each, the others as [`Storage::F16`]. A shift
    /// layer computes with the same numbers afterwards, bit for bit; the floats that training rounds to them are lost.
    Packed,
}

/// A network in a file: its shape, its weights under the official key names and free text about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The shape of the network.
    pub config: Config,
    /// Weights by full name, such as `net_coarse.rgb_fc.weight`.
    pub tensors: BTreeMap<String, Tensor>,
    /// Free text, such as `about` and `history`; config, format and version are kept apart from it.
    pub metadata: BTreeMap<String, String>,
    /// The file that it came from or the name of a built-in model, for messages.
    pub origin: PathBuf,
}

impl Checkpoint {
    /// Reads a safetensors file. Without a config in its metadata, the official names and shapes tell it.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Checkpoint`] naming file, tensor, expected and found. The size of the file bounds what
    /// is allocated for weights, whatever the file claims.
    pub fn read(path: &Path) -> Result<Self> {
        native::read(path)
    }

    /// Reads a safetensors file that is already in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        native::decode(Path::new(name), bytes)
    }

    /// Writes a safetensors file, whole or not at all; equal checkpoints give equal bytes.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Checkpoint`] if a weight does not fit the storage, or, for [`Storage::Packed`], the
    /// weight of a shift layer is of another shape than the config asks for or not finite.
    pub fn write(&self, path: &Path, storage: Storage) -> Result<()> {
        encode::write(self, path, storage)
    }

    /// The weights as the flat vector of `layout`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the tensor that is missing, superfluous, of another shape or not finite.
    pub fn into_params(&self, layout: &Layout) -> Result<Vec<f32>> {
        let wanted = layout.entries().iter().map(|e| (e.name.as_str(), e.shape.as_slice()));
        self.expect_tensors(wanted)?;
        self.expect_finite()?;
        // Allocated only now: the tensors in memory have just been found to be as large as the layout.
        let mut params = vec![0.0; layout.len()];
        for entry in layout.entries() {
            entry.slot.of_mut(&mut params).copy_from_slice(&self.tensors[&entry.name].data);
        }
        Ok(params)
    }

    /// A checkpoint of the flat vector `params`, whose length must be that of `layout`.
    pub fn from_params(config: &Config, layout: &Layout, params: &[f32]) -> Self {
        assert_eq!(params.len(), layout.len(), "flat vector and layout differ in length");
        let tensor = |e: &layers::params::Entry| Tensor { shape: e.shape.clone(), data: e.slot.of(params).to_vec() };
        Self {
            config: *config,
            tensors: layout.entries().iter().map(|e| (e.name.clone(), tensor(e))).collect(),
            metadata: BTreeMap::new(),
            origin: PathBuf::from("model in memory"),
        }
    }

    /// Number of weights in all tensors.
    pub fn num_params(&self) -> usize {
        self.tensors.values().map(|t| t.data.len()).sum()
    }

    /// Checks that the tensors are exactly those of `wanted`, names and shapes.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the first that differs.
    pub fn expect_tensors<'a>(&self, wanted: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        infer::compare(wanted, &self.tensors).map_err(|problem| self.problem(problem))
    }

    /// Checks that no weight is infinite or not a number.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the tensor, the index and the value.
    pub fn expect_finite(&self) -> Result<()> {
        for (name, tensor) in &self.tensors {
            if let Some(i) = tensor.data.iter().position(|v| !v.is_finite()) {
                let value = tensor.data[i];
                return Err(self.problem(format!("{name:?}: expected finite weights, found {value} at index {i}")));
            }
        }
        Ok(())
    }

    fn problem(&self, problem: String) -> Error {
        problem_in(&self.origin, problem)
    }
}

/// An [`Error::Checkpoint`] about the file `path`.
fn problem_in(path: &Path, problem: impl Into<String>) -> Error {
    Error::Checkpoint { path: path.to_path_buf(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layers::Init;

    fn layout() -> Layout {
        let mut layout = Layout::new();
        layout.add("a.weight", &[3, 5], Init::fan_in(5));
        layout.add("a.bias", &[3], Init::Ones);
        layout
    }

    #[test]
    fn params_survive_the_round_trip() {
        let layout = layout();
        let params = layout.initialise(11);
        let checkpoint = Checkpoint::from_params(&Config::compact(), &layout, &params);
        assert_eq!(checkpoint.num_params(), 18);
        assert_eq!(checkpoint.into_params(&layout).unwrap(), params);
    }

    #[test]
    fn wrong_tensors_are_named() {
        let layout = layout();
        let good = Checkpoint::from_params(&Config::compact(), &layout, &layout.initialise(1));
        let refuse = |change: &dyn Fn(&mut Checkpoint), wanted: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            let error = bad.into_params(&layout).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.starts_with("model in memory: "), "{error}");
        };
        refuse(&|c| drop(c.tensors.remove("a.bias")), "\"a.bias\": expected [3], found no such tensor");
        refuse(&|c| c.tensors.get_mut("a.bias").unwrap().shape = vec![1, 3], "expected [3], found [1, 3]");
        let extra = Tensor { shape: vec![0], data: vec![] };
        refuse(&|c| drop(c.tensors.insert("z.extra".into(), extra.clone())), "\"z.extra\"");
        refuse(&|c| c.tensors.get_mut("a.weight").unwrap().data[7] = f32::NAN, "\"a.weight\": expected finite");
        refuse(&|c| c.tensors.get_mut("a.weight").unwrap().data[7] = f32::NEG_INFINITY, "-inf at index 7");
    }
}
