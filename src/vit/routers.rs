//! What the routers of a classifier do, part by part of the network.

use crate::Model;
use crate::model::{Net, Tape};
use layers::feed_forward::experts::Usage;
use layers::grid_mlp::GridMlp;
use layers::{FeedForward, Slot};

impl Model {
    /// What the routers did in the forward pass that left `tape`, one entry a block; zeros without experts.
    pub fn usage(&self, tape: &Tape) -> Vec<Usage> {
        match &self.net {
            Net::Compact(net) => net.usage(&tape.compact).collect(),
            Net::Deit(net) => net.usage(&tape.deit).collect(),
            Net::Pvt(net) => net.usage(&tape.pvt).collect(),
        }
    }

    /// Where the bias of each block's router lies among the parameters; empty without experts.
    pub fn router_biases(&self) -> Vec<Slot> {
        let of_grid = |mlp: &GridMlp| mlp.choice.map(|choice| choice.original_router[1]);
        match &self.net {
            Net::Compact(net) => net
                .blocks
                .iter()
                .filter_map(|block| match &block.feed_forward {
                    FeedForward::Experts(experts) => Some(experts.original_router[1]),
                    FeedForward::Mlp(_) => None,
                })
                .collect(),
            Net::Deit(net) => net.blocks.iter().filter_map(|(_, mlp)| of_grid(mlp)).collect(),
            Net::Pvt(net) => net.mlps().filter_map(of_grid).collect(),
        }
    }

    /// For each router of the forward pass that left `tape`, how far each token's logit of the multiply expert lies above
    /// that of the shift expert, without noise.
    pub fn router_margins(&self, tape: &Tape) -> Vec<Vec<f32>> {
        let count = self.router_biases().len();
        match &self.net {
            Net::Compact(_) => (0..count).map(|i| tape.compact.feed_forward(i).experts.margins().collect()).collect(),
            Net::Deit(_) => tape.deit.mlps().take(count).map(|mlp| mlp.margins().collect()).collect(),
            Net::Pvt(_) => tape.pvt.mlps().take(count).map(|mlp| mlp.margins().collect()).collect(),
        }
    }
}
