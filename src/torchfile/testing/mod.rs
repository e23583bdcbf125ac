//! A writer of files and pickles in the form of `torch.save`, for tests.

mod files;

pub use files::{container, legacy_file, legacy_of, zip_of};

use crate::Tensor;
use half::{bf16, f16};
use std::collections::BTreeMap;

/// Which file is written.
#[derive(Clone, Copy)]
pub struct Form {
    /// Root folder, `byteorder` and `.data` as torch 2 writes them, instead of torch 1.10's `archive/`.
    pub torch2: bool,
    /// Storage type of the weights, such as `FloatStorage`.
    pub storage: &'static str,
    /// Put before each key of the networks' state dicts.
    pub key_prefix: &'static str,
    /// One state dict with full names, instead of the training code's dict of dicts.
    pub plain: bool,
    /// A second network beside the first.
    pub two_networks: bool,
}

/// A training checkpoint of torch 1.10.
pub const TORCH1: Form =
    Form { torch2: false, storage: "FloatStorage", key_prefix: "", plain: false, two_networks: false };

/// Writes pickle opcodes as Python's pickler does: everything that may recur is memoized.
#[derive(Default)]
pub struct Pickler {
    /// The pickle so far.
    pub out: Vec<u8>,
    memo: u32,
    /// Whether persistent ids have the sixth item of PyTorch before 1.6.
    legacy: bool,
    known: BTreeMap<String, u32>,
    /// Contents of the storages written so far, by key.
    pub storages: Vec<Vec<u8>>,
}

impl Pickler {
    /// Begins a pickle of protocol 2.
    pub fn new() -> Self {
        Self { out: vec![0x80, 2], ..Self::default() }
    }

    /// Begins a pickle of protocol 2 in the form of PyTorch before 1.6.
    pub fn legacy() -> Self {
        Self { legacy: true, ..Self::new() }
    }

    /// Writes bytes as they are.
    pub fn op(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    fn put(&mut self) -> u32 {
        let id = self.memo;
        self.memo += 1;
        match u8::try_from(id) {
            Ok(id) => self.op(&[b'q', id]),
            Err(_) => self.op(b"r").op(&id.to_le_bytes()),
        };
        id
    }

    /// Writes the memoized value `key`, or makes it with `write`.
    fn shared(&mut self, key: String, write: impl FnOnce(&mut Self)) {
        if let Some(&id) = self.known.get(&key) {
            match u8::try_from(id) {
                Ok(id) => self.op(&[b'h', id]),
                Err(_) => self.op(b"j").op(&id.to_le_bytes()),
            };
            return;
        }
        write(self);
        let id = self.put();
        self.known.insert(key, id);
    }

    /// Writes a string.
    pub fn text(&mut self, text: &str) {
        self.shared(format!("text {text}"), |p| {
            p.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes());
        });
    }

    /// Writes the name of a class or function.
    pub fn global(&mut self, module: &str, name: &str) {
        self.shared(format!("global {module} {name}"), |p| {
            p.op(format!("c{module}\n{name}\n").as_bytes());
        });
    }

    /// Writes a number.
    pub fn int(&mut self, v: i64) {
        if let Ok(v) = u8::try_from(v) {
            self.op(&[b'K', v]);
        } else if let Ok(v) = u16::try_from(v) {
            self.op(b"M").op(&v.to_le_bytes());
        } else if let Ok(v) = i32::try_from(v) {
            self.op(b"J").op(&v.to_le_bytes());
        } else {
            self.op(&[0x8a, 8]).op(&v.to_le_bytes());
        }
    }

    /// Writes a tuple of numbers.
    pub fn ints(&mut self, values: &[i64]) {
        match values.len() {
            0 => {
                self.op(b")");
                return;
            }
            1..=3 => values.iter().for_each(|&v| self.int(v)),
            _ => {
                self.op(b"(");
                values.iter().for_each(|&v| self.int(v));
            }
        }
        match values.len() {
            n @ 1..=3 => self.op(&[0x84 + n as u8]),
            _ => self.op(b"t"),
        };
        self.put();
    }

    /// Writes a dict of the keys and values that `items` writes, at least one.
    pub fn dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.op(b"}");
        self.put();
        self.op(b"(");
        items(self);
        self.op(b"u");
    }

    fn empty_ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.op(b")R");
        self.put();
    }

    /// A state dict: an ordered dict with its version table attached by BUILD.
    pub fn state_dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.empty_ordered_dict();
        self.op(b"(");
        items(self);
        self.op(b"u");
        self.op(b"}");
        self.put();
        self.text("_metadata");
        self.empty_ordered_dict();
        self.text("conv1");
        self.op(b"}");
        self.put();
        self.text("version");
        self.op(b"K\x01s");
        self.op(b"ssb");
    }

    /// A tensor over the storage `key` of `numel` elements, whose contents are not written here.
    pub fn view(&mut self, storage: &str, key: &str, numel: i64, offset: i64, shape: &[i64], strides: &[i64]) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(b"((");
        self.text("storage");
        self.global("torch", storage);
        self.text(key);
        self.text("cuda:0");
        self.int(numel);
        if self.legacy {
            self.op(b"N");
        }
        self.op(b"t");
        self.put();
        self.op(b"Q");
        self.int(offset);
        self.ints(shape);
        self.ints(strides);
        self.op(b"\x89");
        self.empty_ordered_dict();
        self.op(b"t");
        self.put();
        self.op(b"R");
        self.put();
    }

    /// A tensor over a storage of its own, such as `FloatStorage`.
    pub fn tensor(&mut self, storage: &str, tensor: &Tensor) {
        let shape: Vec<i64> = tensor.shape.iter().map(|&n| n as i64).collect();
        let strides: Vec<i64> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        let key = self.storages.len().to_string();
        self.storages.push(tensor.data.iter().flat_map(|&v| encode(storage, v)).collect());
        self.view(storage, &key, tensor.data.len() as i64, 0, &shape, &strides);
    }

    /// Adam's state: moments of every parameter, `step` as torch 1.10 (integer) or later versions (tensor) keep it.
    pub fn optimizer(&mut self, params: usize, step_tensor: bool) {
        self.dict(|p| {
            p.text("state");
            p.dict(|p| {
                for i in 0..params {
                    p.int(i as i64);
                    p.dict(|p| {
                        p.text("step");
                        match step_tensor {
                            true => p.tensor("FloatStorage", &Tensor { shape: vec![], data: vec![2.0] }),
                            false => p.int(2),
                        }
                        for moment in ["exp_avg", "exp_avg_sq"] {
                            p.text(moment);
                            p.tensor("FloatStorage", &Tensor { shape: vec![3], data: vec![f32::NAN; 3] });
                        }
                    });
                }
            });
            p.text("param_groups");
            p.op(b"]");
            p.put();
            p.dict(|p| {
                p.text("lr");
                p.op(b"G").op(&5e-4f64.to_be_bytes());
                p.text("betas");
                p.op(b"G").op(&0.9f64.to_be_bytes()).op(b"G").op(&0.999f64.to_be_bytes()).op(b"\x86");
                p.put();
                p.text("foreach");
                p.op(b"N");
                p.text("amsgrad");
                p.op(b"\x89");
                p.text("params");
                p.op(b"]");
                p.put();
                p.op(b"(");
                (0..params).for_each(|i| p.int(i as i64));
                p.op(b"e");
            });
            p.op(b"a");
        });
    }
}

fn encode(storage: &str, v: f32) -> Vec<u8> {
    match storage {
        "HalfStorage" => f16::from_f32(v).to_le_bytes().to_vec(),
        "BFloat16Storage" => bf16::from_f32(v).to_le_bytes().to_vec(),
        "DoubleStorage" => f64::from(v).to_le_bytes().to_vec(),
        "LongStorage" => (v as i64).to_le_bytes().to_vec(),
        "IntStorage" => (v as i32).to_le_bytes().to_vec(),
        "ShortStorage" => (v as i16).to_le_bytes().to_vec(),
        "ByteStorage" | "CharStorage" | "BoolStorage" => vec![v as u8],
        _ => v.to_le_bytes().to_vec(),
    }
}

/// The pickle of a checkpoint with `tensors` under their full names.
pub fn checkpoint(tensors: &BTreeMap<String, Tensor>, form: Form) -> Pickler {
    checkpoint_in(Pickler::new(), tensors, form)
}

/// As [`checkpoint`], continuing `p`.
pub fn checkpoint_in(mut p: Pickler, tensors: &BTreeMap<String, Tensor>, form: Form) -> Pickler {
    if form.plain {
        p.state_dict(|p| {
            for (name, tensor) in tensors {
                p.text(&format!("{}{name}", form.key_prefix));
                p.tensor(form.storage, tensor);
            }
        });
    } else {
        let mut networks = vec![("net_coarse", "net_coarse."), ("feature_net", "feature_net.")];
        if form.two_networks {
            networks.push(("net_fine", "net_coarse."));
        }
        p.dict(|p| {
            p.text("optimizer");
            p.optimizer(5, form.torch2);
            p.text("scheduler");
            p.dict(|p| {
                p.text("last_epoch");
                p.int(720_000);
                p.text("seen");
                p.int(1 << 40);
            });
            for (network, prefix) in networks {
                p.text(network);
                p.state_dict(|p| {
                    for (name, tensor) in tensors.iter().filter(|(name, _)| name.starts_with(prefix)) {
                        p.text(&format!("{}{}", form.key_prefix, &name[prefix.len()..]));
                        p.tensor(form.storage, tensor);
                    }
                });
            }
        });
    }
    p.op(b".");
    p
}
