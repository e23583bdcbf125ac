//! The feed-forward part over a grid of tokens on a CUDA device, forward.

use super::{Choice, GridMlp};
use crate::cuda::{Ops, SliceMut, Store};
use crate::feed_forward::experts::Usage;
use crate::feed_forward::experts::cuda::CudaRouting;
use crate::layer_norm::cuda::CudaLayerNormTape;
use crate::linear::Linear;
use compute::cuda::{Buffer, Result};

/// Memory of a pass, kept between passes.
#[derive(Debug, Default)]
pub struct CudaGridMlp {
    norm: CudaLayerNormTape,
    hidden: Store,
    mixed: Store,
    activated: Store,
    routing: CudaRouting,
    /// Rows in the order of their experts, before and after a layer.
    sorted: [Store; 2],
}

impl Ops {
    /// As [`GridMlp::forward`] without noise: adds the part's output to `x` `[images, tokens, width]`; `grid` is height and
    /// width of the tokens where there is a convolution. Returns the rows of each expert, zeros without a choice.
    ///
    /// # Panics
    /// If the sizes disagree.
    ///
    /// # Errors
    /// If the device fails.
    pub fn grid_mlp<'a>(
        &self,
        layer: &GridMlp,
        params: &Buffer<f32>,
        grid: (usize, usize),
        x: impl Into<SliceMut<'a>>,
        memory: &mut CudaGridMlp,
    ) -> Result<Usage> {
        let x = x.into();
        let CudaGridMlp { norm, hidden, mixed, activated, routing, sorted } = memory;
        let len = x.len() / layer.norm.width * layer.hidden();
        self.layer_norm(&layer.norm, params, x.slice(), norm)?;
        hidden.resize(&self.device, len)?;
        activated.resize(&self.device, len)?;
        match &layer.choice {
            None => self.linear(&layer.fc1, params, &norm.y, &mut *hidden, false, false)?,
            Some(Choice { router, fc1, .. }) => {
                self.route(router, params, norm.y.slice(), None, routing)?;
                self.by_experts([&layer.fc1, fc1], params, routing, &norm.y, sorted)?;
                self.scatter_rows(sorted[1].slice(), &routing.order, layer.hidden(), hidden.slice_mut())?;
            }
        }
        if layer.clips {
            self.relu(&mut *hidden)?;
        }
        match &layer.local {
            Some(local) => {
                mixed.resize(&self.device, len)?;
                self.depthwise(local, params, grid, &*hidden, &mut *mixed)?;
                self.gelu(&*mixed, &mut *activated)?;
            }
            None => self.gelu(&*hidden, &mut *activated)?,
        }
        let Some(choice) = &layer.choice else {
            self.linear(&layer.fc2, params, &*activated, x, true, false)?;
            return Ok(Usage::default());
        };
        self.by_experts([&layer.fc2, &choice.fc2], params, routing, activated, sorted)?;
        self.add_gated(routing, &sorted[1], x)?;
        Ok(routing.usage())
    }

    /// Runs each row of `x` in the layer of its expert; what comes out stays in the order of the experts, in `sorted[1]`.
    fn by_experts(
        &self,
        layers: [&Linear; 2],
        params: &Buffer<f32>,
        routing: &CudaRouting,
        x: &Store,
        sorted: &mut [Store; 2],
    ) -> Result<()> {
        let [inputs, outputs] = [layers[0].inputs, layers[0].outputs];
        let [before, after] = sorted;
        before.resize(&self.device, x.len())?;
        after.resize(&self.device, x.len() / inputs * outputs)?;
        self.gather_rows(x.slice(), &routing.order, inputs, before.slice_mut())?;
        for (expert, layer) in layers.into_iter().enumerate() {
            let rows = routing.share(expert);
            if !rows.is_empty() {
                let from = before.slice().part(rows.start * inputs..rows.end * inputs);
                let to = after.slice_mut().part(rows.start * outputs..rows.end * outputs);
                self.linear(layer, params, from, to, false, false)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::builder::Builder;
    use crate::cuda::testing::{VALUES, assert_near, ops, parameters, states, upload};
    use crate::grid_mlp::{GridMlp, GridMlpShape};
    use crate::{FeedForwardKind, Layout};

    #[test]
    fn values_are_those_of_the_cpu() {
        let ops = ops();
        let mut memory = Default::default();
        let kinds = [FeedForwardKind::Dense, FeedForwardKind::Shift { bits: 4 }, FeedForwardKind::Experts { bits: 4 }];
        for kind in kinds {
            for (local, clips, grid, images) in
                [(false, false, (1, 7), 3), (true, false, (5, 3), 2), (true, true, (4, 4), 1)]
            {
                let mut layout = Layout::new();
                let mut b = Builder::new(&mut layout, "");
                let norm = b.norm("norm", 12, 1e-6);
                let layer = GridMlp::build(&mut b, "mlp", norm, GridMlpShape { hidden: 40, local, clips, kind });
                let params = parameters(&b.folded, 3, 1.0);
                let x = states(images * grid.0 * grid.1, 12, 5);
                let (mut expected, mut tape) = (x.clone(), Default::default());
                layer.forward(&params, grid, &mut expected, None, &mut tape);
                let params = ops.device().upload(&params).unwrap();
                let mut y = upload(&ops, &x);
                let usage = ops.grid_mlp(&layer, &params, grid, &mut y, &mut memory).unwrap();
                assert_near(&format!("{kind:?}, {local} {clips}"), &y.read().unwrap(), &expected, VALUES);
                assert_eq!(usage.counts, layer.usage(&tape).counts);
            }
        }
    }
}
