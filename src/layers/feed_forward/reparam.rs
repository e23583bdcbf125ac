//! From an MLP to a mixture of experts.

use super::FeedForward;

impl FeedForward {
    /// Starts this part's parameters from the part `old` with its parameters: both experts start as the MLP, its output
    /// doubled, because the router's probability, by which it is multiplied, starts at a half. Other pairs are left as
    /// they are.
    pub fn start(&self, params: &mut [f32], old: &Self, old_params: &[f32]) {
        let (Self::Experts(new), Self::Mlp(old)) = (self, old) else { return };
        for expert in &new.experts {
            for ((to, from), factor) in expert.original.iter().zip(&old.original).zip([1.0, 2.0]) {
                for (to, from) in to.iter().zip(from) {
                    let values = to.of_mut(params).iter_mut().zip(from.of(old_params));
                    values.for_each(|(to, from)| *to = factor * from);
                }
            }
        }
        let [weight, bias] = new.original_router;
        weight.of_mut(params).iter_mut().for_each(|w| *w *= 0.1);
        bias.of_mut(params).fill(0.0);
    }
}
