//! The first states of a vision transformer.

use super::{MoreArgs, Ops, Slice, Store};
use crate::Slot;
use compute::cuda::{Args, Buffer, Launch, Result};

impl Ops {
    /// `y` `[images, tokens, width]` = `position` + the learned tokens `extra` (two at most), which are the same in every
    /// image, then those of the `patches` `[images, tokens − extra, width]`; `y` is resized.
    ///
    /// # Panics
    /// If the sizes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn tokens<'a>(
        &self,
        params: &Buffer<f32>,
        extra: &[Slot],
        position: Slot,
        width: usize,
        patches: impl Into<Slice<'a>>,
        y: &mut Store,
    ) -> Result<()> {
        let (patches, tokens) = (patches.into(), position.len / width);
        assert!(extra.len() <= 2 && extra.len() < tokens, "{} learned tokens of {tokens}", extra.len());
        assert!(extra.iter().all(|slot| slot.len == width), "learned tokens of {width} channels");
        let own = (tokens - extra.len()) * width;
        assert!(patches.len().is_multiple_of(own), "{} values in images of {own}", patches.len());
        y.resize(&self.device, patches.len() / own * tokens * width)?;
        let learned = |i: usize| extra.get(i).map_or(0u64, |slot| Slice::of(params, *slot).address());
        let args = Args::new()
            .slice(patches)
            .value(learned(0))
            .value(learned(1))
            .slice(Slice::of(params, position))
            .ints([extra.len(), tokens, width])
            .store(y)
            .value(y.len() as u64);
        // SAFETY: there are patches for all but the learned tokens of each image, and a position a token (checked); the
        // tokens that are null are not read; y is borrowed mutably.
        unsafe { self.module("images/tokens.cu")?.launch("images_tokens", &Launch::each(y.len()), args) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::Store;
    use crate::cuda::testing::{ops, upload};
    use crate::{Init, Layout};

    #[test]
    fn learned_tokens_come_first() {
        let (ops, mut y) = (ops(), Store::default());
        let mut layout = Layout::new();
        let extra = [1, 2].map(|i| layout.add(format!("token{i}"), &[2], Init::Zeros));
        let position = layout.add("position", &[4, 2], Init::Zeros);
        let mut params = vec![0.0; layout.len()];
        extra[0].of_mut(&mut params).copy_from_slice(&[1., 2.]);
        extra[1].of_mut(&mut params).copy_from_slice(&[3., 4.]);
        position.of_mut(&mut params).copy_from_slice(&[10., 20., 30., 40., 50., 60., 70., 80.]);
        let params = ops.device().upload(&params).unwrap();
        let patches = [5., 6., 7., 8., 9., 10., 11., 12.];
        ops.tokens(&params, &extra, position, 2, &upload(&ops, &patches), &mut y).unwrap();
        let image = |a: [f32; 4]| [11., 22., 33., 44., 50. + a[0], 60. + a[1], 70. + a[2], 80. + a[3]];
        assert_eq!(y.read().unwrap(), [image([5., 6., 7., 8.]), image([9., 10., 11., 12.])].concat());
        ops.tokens(&params, &[], position, 2, &upload(&ops, &patches), &mut y).unwrap();
        assert_eq!(y.read().unwrap(), [15., 26., 37., 48., 59., 70., 81., 92.]);
    }
}
