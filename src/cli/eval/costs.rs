//! Operations and modelled energy of cases.

use super::evaluation::guided;
use anyhow::{Context, ensure};
use eval::energy::{Accelerator, Cost, Op, network};
use eval::report::data::{Case, Metrics, ModelInfo, ModelledEnergy, Operations};
use gnt::Config;
use gnt::operations::{folded, num_feed_forward_parts, of_network};
use gnt::shift_shares::{self, has_experts};
use layers::operations::{Ops, Table};

/// Fills in the costs of all cases from the configurations of their models.
///
/// # Errors
/// If a configuration cannot be read, or the model of energy has no answer.
pub fn fill(metrics: &mut Metrics) -> anyhow::Result<()> {
    let mut accelerator = Accelerator::default();
    for case in &mut metrics.cases {
        let model = metrics.models.iter().find(|model| model.name == case.key.model);
        let model = model.with_context(|| format!("expected a model {:?}, found none", case.key.model))?;
        let config: Config = serde_json::from_value(model.config.clone())
            .with_context(|| format!("model {:?}: its configuration cannot be read", model.name))?;
        config.validate().with_context(|| format!("model {:?}", model.name))?;
        (case.operations, case.modelled) = match shares(case, model, &config)? {
            Some(shares) => of_case(case, &config, &shares, &mut accelerator)?,
            None => Default::default(),
        };
    }
    Ok(())
}

/// Shares of the rows that went to the experts of shifts, by feed-forward part: as they were counted in the case's images,
/// else as the model's file tells them. None where neither does; empty for a network without experts.
fn shares(case: &Case, model: &ModelInfo, config: &Config) -> anyhow::Result<Option<Vec<f64>>> {
    if !has_experts(config) {
        return Ok(Some(Vec::new()));
    }
    let Some(shares) = shift_shares::of_rows(&case.routed).or_else(|| model.rendered_shift_shares.clone()) else {
        return Ok(None);
    };
    // Figures may come from a file that is merged.
    let parts = num_feed_forward_parts(config);
    let fit = shares.len() == parts && shares.iter().all(|share| (0.0..=1.0).contains(share));
    ensure!(
        fit,
        "model {:?}: expected routed rows of {parts} feed-forward parts, found the shares {shares:?}",
        model.name
    );
    Ok(Some(shares))
}

fn of_case(
    case: &Case,
    config: &Config,
    shares: &[f64],
    accelerator: &mut Accelerator,
) -> anyhow::Result<(Operations, ModelledEnergy)> {
    // A scene may have fewer source views than are asked for.
    let sources = case.images.iter().map(|image| image.sources.len()).max();
    let (samples, views) = (case.samples as usize, sources.unwrap_or(case.key.views as usize));
    let rays = u64::from(case.size[0]) * u64::from(case.size[1]);
    // With a second pass both run the whole network; the second has all samples. Coarse rays run it too.
    let passes = match (guided(case), case.importance as usize) {
        (Some(how), _) => {
            vec![(how.coarse, coarse_rays(case, how.cell.max(1)).min(rays.saturating_mul(4))), (samples, rays)]
        }
        (None, 0) => vec![(samples, rays)],
        (None, importance) => vec![(samples, rays), (samples + importance, rays)],
    };
    let (mut operations, mut modelled) = (Ops::default(), ModelledEnergy::default());
    let mut weight_bytes = 0;
    for (samples, cast) in passes {
        let (dense, after) = (folded(config, samples, views), of_network(config, samples, views, shares));
        let total = Table::of(&after).total();
        let of_one = |count: u64| (u128::from(count) * u128::from(cast) / u128::from(rays.max(1))) as u64;
        operations = operations
            + Ops {
                multiplies: of_one(total.multiplies),
                shifts: of_one(total.shifts),
                additions: of_one(total.additions),
                lookups: of_one(total.lookups),
                ..total
            };
        // The second pass has the same matrices.
        weight_bytes = total.weight_bytes;
        let mut joules = |steps: &[_], op| network::image(accelerator, steps, op, cast);
        let Cost { energy, .. } = joules(&after, Op::Multiply)?;
        modelled.joules += energy.total();
        modelled.compute += energy.compute;
        modelled.memory += energy.dram;
        modelled.on_chip += energy.buffer + energy.network + energy.registers;
        modelled.dense_joules += joules(&dense, Op::Multiply)?.energy.total();
        modelled.dense_8_bit_joules += joules(&dense, Op::Multiply8)?.energy.total();
    }
    let Ops { multiplies, shifts, additions, lookups, .. } = operations;
    Ok((Operations { multiplies, shifts, additions, lookups, weight_bytes }, modelled))
}

/// About how many coarse rays an image has: those of the whole picture's grid that are neighbours of a pixel.
fn coarse_rays(case: &Case, cell: u32) -> u64 {
    let lines = |axis: usize| {
        let of_all = u64::from(case.source_size[axis].saturating_sub(1).div_ceil(cell)) + 1;
        of_all.min(2 * u64::from(case.size[axis]))
    };
    lines(0).saturating_mul(lines(1))
}
