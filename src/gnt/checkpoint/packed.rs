//! Weights of shift layers in files: codes of 4 or 5 bits in place of floats.
//!
//! A 4-bit weight `NAME` lies in `NAME.codes` (U8, `[outputs, bytes a row]`) and `NAME.scale` (I8, `[outputs]`), a 5-bit
//! one in `NAME.codes` alone (U8, one dimension); the codes are those of [`layers::shift::packed`]. Which weights are
//! packed, and how many inputs a row has, follows from the config.

use super::Tensor;
use crate::{Config, Model};
use layers::shift::{self, BadCodes};
use safetensors::tensor::{Dtype, TensorInfo};
use std::collections::BTreeMap;

/// Ends of the names under which a packed weight is stored.
const SUFFIXES: [&str; 2] = ["codes", "scale"];

/// A tensor of a file whose bytes are not floats.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub info: &'a TensorInfo,
    pub bytes: &'a [u8],
}

/// A part of a packed weight that is to be written.
#[derive(Debug)]
pub(super) struct Packed {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Whether `name` is that of a part of a packed weight; no parameter of a network is called so.
pub(super) fn is_part(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, suffix)| SUFFIXES.contains(&suffix))
}

/// Format of one shift weight.
#[derive(Clone, Copy, Debug)]
struct Format {
    outputs: usize,
    inputs: usize,
    bits: u8,
}

/// The weights of a network that are rounded to powers of two, by name.
#[derive(Debug)]
pub(super) struct ShiftNames(BTreeMap<String, Format>);

impl ShiftNames {
    /// Those of `config`.
    pub fn of(config: &Config) -> Result<Self, String> {
        let model = Model::new(*config).map_err(|e| e.to_string())?;
        let named = model.net.shift_weights().map(|weight| {
            let entries = model.layout.entries();
            let entry = entries.iter().find(|e| e.slot == weight.slot).expect("folds read whole parameters");
            assert_eq!(weight.slot.len % weight.inputs, 0, "{}: weights are not whole rows", entry.name);
            let outputs = weight.slot.len / weight.inputs;
            (entry.name.clone(), Format { outputs, inputs: weight.inputs, bits: weight.bits })
        });
        Ok(Self(named.collect()))
    }

    /// The parts of the weight `name`, rounded as the network rounds it; none if it is no shift weight.
    pub fn pack(&self, name: &str, tensor: &Tensor) -> Result<Option<Vec<Packed>>, String> {
        let Some(&Format { outputs, inputs, bits }) = self.0.get(name) else { return Ok(None) };
        if tensor.shape != [outputs, inputs] {
            return Err(format!("{name:?}: expected {:?}, found {:?}", [outputs, inputs], tensor.shape));
        }
        // Rounding would make an ordinary large weight of an infinite one.
        if let Some(i) = tensor.data.iter().position(|v| !v.is_finite()) {
            return Err(format!("{name:?}: expected finite weights, found {} at index {i}", tensor.data[i]));
        }
        let mut rounded = vec![0.0; tensor.data.len()];
        shift::quantise(&tensor.data, inputs, bits, &mut rounded);
        let failed = |e| format!("{name:?}: {e}");
        let part = |suffix, dtype, shape, bytes| Packed { name: format!("{name}.{suffix}"), dtype, shape, bytes };
        Ok(Some(if bits == 4 {
            let packed = shift::pack4(&rounded, inputs).map_err(failed)?;
            let scale = packed.scale.into_iter().map(i8::cast_unsigned).collect();
            vec![
                part("codes", Dtype::U8, vec![outputs, inputs.div_ceil(2)], packed.codes),
                part("scale", Dtype::I8, vec![outputs], scale),
            ]
        } else {
            let codes = shift::pack5(&rounded, inputs).map_err(failed)?;
            vec![part("codes", Dtype::U8, vec![codes.len()], codes)]
        }))
    }

    /// Adds the weights that `parts` hold to `tensors`; they take at most eight times the bytes of the parts.
    pub fn unpack(&self, parts: &BTreeMap<String, Part>, tensors: &mut BTreeMap<String, Tensor>) -> Result<(), String> {
        for (part, found) in parts {
            let (name, suffix) = part.rsplit_once('.').expect("parts have a suffix");
            let Some(&format) = self.0.get(name) else {
                return Err(format!("{part:?}: expected codes of shift layers alone, found {name:?}, which is none"));
            };
            let codes_name = format!("{name}.codes");
            if suffix == "scale" {
                if format.bits != 4 {
                    return Err(format!("{part:?}: expected no scale of {}-bit weights, found one", format.bits));
                }
                if !parts.contains_key(&codes_name) {
                    return Err(format!("{codes_name:?}: expected U8 {:?}, found no such tensor", format.codes()));
                }
                continue;
            }
            if tensors.contains_key(name) {
                return Err(format!("{name:?}: expected floats or codes, found both it and {part:?}"));
            }
            let data = format.unpack(name, part, found, parts)?;
            tensors.insert(name.to_owned(), Tensor { shape: vec![format.outputs, format.inputs], data });
        }
        Ok(())
    }
}

impl Format {
    /// Shape of the codes.
    fn codes(&self) -> Vec<usize> {
        match self.bits {
            4 => vec![self.outputs, self.inputs.div_ceil(2)],
            _ => vec![(self.outputs * self.inputs * 5).div_ceil(8)],
        }
    }

    fn unpack(
        &self,
        name: &str,
        codes_name: &str,
        codes: &Part,
        parts: &BTreeMap<String, Part>,
    ) -> Result<Vec<f32>, String> {
        let Self { outputs, inputs, bits } = *self;
        expect(codes_name, codes, Dtype::U8, &self.codes())?;
        let weight = if bits == 4 {
            let scale_name = format!("{name}.scale");
            let Some(scale) = parts.get(&scale_name) else {
                return Err(format!("{scale_name:?}: expected I8 {:?}, found no such tensor", [outputs]));
            };
            expect(&scale_name, scale, Dtype::I8, &[outputs])?;
            let scale: Vec<i8> = scale.bytes.iter().map(|b| b.cast_signed()).collect();
            shift::unpack4(codes.bytes, &scale, outputs, inputs).map_err(|e| match e {
                BadCodes::Scale { .. } => format!("{scale_name:?}: {e}"),
                _ => format!("{codes_name:?}: {e}"),
            })?
        } else {
            shift::unpack5(codes.bytes, outputs, inputs).map_err(|e| format!("{codes_name:?}: {e}"))?
        };
        // Four bits could tell more powers of two apart than a network uses, which would round them to others.
        let mut rounded = vec![0.0; weight.len()];
        shift::quantise(&weight, inputs, bits, &mut rounded);
        match weight.iter().zip(&rounded).position(|(w, r)| w != r) {
            Some(i) => Err(format!(
                "{codes_name:?}: row {}, column {}: expected a power of two that the network uses in this row, such as \
                 {:e}, found {:e}",
                i / inputs,
                i % inputs,
                rounded[i],
                weight[i]
            )),
            None => Ok(weight),
        }
    }
}

fn expect(name: &str, found: &Part, dtype: Dtype, shape: &[usize]) -> Result<(), String> {
    let info = found.info;
    if info.dtype != dtype || info.shape != shape {
        return Err(format!("{name:?}: expected {dtype:?} {shape:?}, found {:?} {:?}", info.dtype, info.shape));
    }
    let expected = shape.iter().product::<usize>();
    if found.bytes.len() != expected {
        return Err(format!("{name:?}: expected {expected} bytes for {shape:?}, found {}", found.bytes.len()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "packed_hostile_tests.rs"]
mod hostile_tests;
#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
