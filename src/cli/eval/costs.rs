//! Operations and modelled energy of cases.

use super::plan::guided;
use crate::cli::info::{cost, energy, steps};
use anyhow::Context;
use eval::energy::{Accelerator, Cost, Op};
use eval::report::data::{Case, Metrics, ModelledEnergy, Operations};
use gnt::Config;

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
        of_case(case, &config, &mut accelerator)?;
    }
    Ok(())
}

fn of_case(case: &mut Case, config: &Config, accelerator: &mut Accelerator) -> anyhow::Result<()> {
    // A scene may have fewer source views than are asked for.
    let sources = case.images.iter().map(|image| image.sources.len()).max();
    let (samples, views) = (case.samples as usize, sources.unwrap_or(case.key.views as usize));
    let share = shift_share(&case.routed);
    let rays = u64::from(case.size[0]) * u64::from(case.size[1]);
    // With a second pass both run the whole network; the second has all samples. Coarse rays run it too.
    let passes = match (guided(case), case.importance as usize) {
        (Some(how), _) => {
            vec![(how.coarse, coarse_rays(case, how.cell.max(1)).min(rays.saturating_mul(4))), (samples, rays)]
        }
        (None, 0) => vec![(samples, rays)],
        (None, importance) => vec![(samples, rays), (samples + importance, rays)],
    };
    let (mut operations, mut modelled) = (cost::Ops::default(), ModelledEnergy::default());
    let mut weight_bytes = 0;
    for (samples, cast) in passes {
        let (dense, after) = (steps::before(config, samples, views), steps::after(config, samples, views, share));
        let total = cost::Table::of(&after).total();
        let of_one = |count: u64| (u128::from(count) * u128::from(cast) / u128::from(rays.max(1))) as u64;
        operations = operations
            + cost::Ops {
                multiplies: of_one(total.multiplies),
                shifts: of_one(total.shifts),
                additions: of_one(total.additions),
                lookups: of_one(total.lookups),
                ..total
            };
        // The second pass has the same matrices.
        weight_bytes = total.weight_bytes;
        let mut joules = |steps: &[_], op| energy::image(accelerator, steps, op, cast);
        let Cost { energy, .. } = joules(&after, Op::Multiply)?;
        modelled.joules += energy.total();
        modelled.compute += energy.compute;
        modelled.memory += energy.dram;
        modelled.on_chip += energy.buffer + energy.network + energy.registers;
        modelled.dense_joules += joules(&dense, Op::Multiply)?.energy.total();
        modelled.dense_8_bit_joules += joules(&dense, Op::Multiply8)?.energy.total();
    }
    let cost::Ops { multiplies, shifts, additions, lookups, .. } = operations;
    case.operations = Operations { multiplies, shifts, additions, lookups, weight_bytes };
    case.modelled = modelled;
    Ok(())
}

/// About how many coarse rays an image has: those of the whole picture's grid that are neighbours of a pixel.
fn coarse_rays(case: &Case, cell: u32) -> u64 {
    let lines = |axis: usize| {
        let of_all = u64::from(case.source_size[axis].saturating_sub(1).div_ceil(cell)) + 1;
        of_all.min(2 * u64::from(case.size[axis]))
    };
    lines(0).saturating_mul(lines(1))
}

/// Share of the rows that went to the shift experts; half where nothing was counted.
fn shift_share(routed: &[[u64; 2]]) -> f64 {
    let [multiply, shift] = routed.iter().fold([0, 0], |[a, b], [m, s]| [a + m, b + s]);
    if multiply + shift == 0 { 0.5 } else { shift as f64 / (multiply + shift) as f64 }
}
