//! From one feed-forward part to one with a choice of experts.

use super::GridMlp;

impl GridMlp {
    /// Starts this part's parameters, which hold copies of those of the same name, from the part `old` that it replaces:
    /// both experts start as its layers, the second's output doubled, because the router's probability, by which it is
    /// multiplied, starts at a half. Without a new choice it is left as it is.
    pub fn start(&self, params: &mut [f32], old: &Self) {
        let (Some(choice), None) = (&self.choice, &old.choice) else { return };
        for slot in self.original[1] {
            slot.of_mut(params).iter_mut().for_each(|w| *w *= 2.0);
        }
        for (to, from) in choice.original.as_flattened().iter().zip(self.original.as_flattened()) {
            let values = from.of(params).to_vec();
            to.of_mut(params).copy_from_slice(&values);
        }
        let [weight, bias] = choice.original_router;
        weight.of_mut(params).iter_mut().for_each(|w| *w *= 0.1);
        bias.of_mut(params).fill(0.0);
    }
}
