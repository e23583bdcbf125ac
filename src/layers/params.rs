//! The flat parameter vector: names, shapes and places of every parameter of a model.

/// Where one parameter lives in the flat vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the first value.
    pub offset: usize,
    /// Number of values.
    pub len: usize,
}

impl Slot {
    /// Part `i` of `count` parts of the same length.
    pub fn part(self, i: usize, count: usize) -> Self {
        let len = self.len / count;
        Self { offset: self.offset + i * len, len }
    }

    /// The parameter's values inside `flat`.
    #[inline]
    pub fn of<'a>(&self, flat: &'a [f32]) -> &'a [f32] {
        &flat[self.offset..self.offset + self.len]
    }

    /// The parameter's values inside `flat`, for writing.
    #[inline]
    pub fn of_mut<'a>(&self, flat: &'a mut [f32]) -> &'a mut [f32] {
        &mut flat[self.offset..self.offset + self.len]
    }
}

/// How a parameter starts before training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Uniform in `[-bound, bound]`.
    Uniform(f32),
}

impl Init {
    /// PyTorch's default for a linear or convolution weight and bias: uniform with bound `1/sqrt(fan_in)`.
    pub fn fan_in(fan_in: usize) -> Self {
        Self::Uniform(1.0 / (fan_in.max(1) as f32).sqrt())
    }
}

/// One named parameter of a [`Layout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Full name, such as `net_coarse.rgb_fc.weight`.
    pub name: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Place in the flat vector.
    pub slot: Slot,
    /// Value before training.
    pub init: Init,
}

/// Names, shapes and places of all parameters of a model, in registration order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    len: usize,
}

impl Layout {
    /// An empty layout.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a parameter and returns its place.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], init: Init) -> Slot {
        let name = name.into();
        assert!(self.find(&name).is_none(), "parameter {name} is registered twice");
        let slot = Slot { offset: self.len, len: shape.iter().product() };
        self.len += slot.len;
        self.entries.push(Entry { name, shape: shape.to_vec(), slot, init });
        slot
    }

    /// All parameters in registration order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Copies what `other` has of the same name and shape, in its parameters `from`, to `params`.
    pub fn copy_same(&self, params: &mut [f32], (other, from): (&Self, &[f32])) {
        for entry in &self.entries {
            if let Some(same) = other.find(&entry.name).filter(|e| e.shape == entry.shape) {
                entry.slot.of_mut(params).copy_from_slice(same.slot.of(from));
            }
        }
    }

    /// The parameter called `name`.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// Length of the flat vector.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no parameter is registered.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A flat vector of starting values; the same `seed` gives the same vector on every machine.
    pub fn initialise(&self, seed: u64) -> Vec<f32> {
        let mut rng = SplitMix(seed);
        let mut flat = vec![0.0; self.len];
        for e in &self.entries {
            let values = e.slot.of_mut(&mut flat);
            match e.init {
                Init::Zeros => {}
                Init::Ones => values.fill(1.0),
                Init::Uniform(bound) => values.iter_mut().for_each(|v| *v = rng.uniform() * 2.0 * bound - bound),
            }
        }
        flat
    }
}

/// SplitMix64: a small generator whose whole state is one word, so it can be saved with a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform in `0..n`; `n` must not be zero.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialises_in_order_and_repeatably() {
        let mut layout = Layout::new();
        let a = layout.add("a", &[2, 3], Init::Uniform(0.5));
        let b = layout.add("b", &[3], Init::Ones);
        let flat = layout.initialise(7);
        assert_eq!((a.len, b.offset, layout.len()), (6, 6, 9));
        assert_eq!(b.of(&flat), [1.0; 3]);
        assert!(a.of(&flat).iter().all(|v| v.abs() <= 0.5 && *v != 0.0));
        assert_eq!(flat, layout.initialise(7));
        assert_ne!(flat, layout.initialise(8));
    }
}
