//! Operations of a ray in three forms of a network: plain, folded, and as the model has it.

use gnt::Config;
use gnt::operations::{folded, num_feed_forward_parts, of_network, plain};
use gnt::shift_shares::{ShiftShares, has_experts};
use layers::operations::{Ops, Step, Table};
use serde::Serialize;

/// The steps of the three forms; energy is modelled from the same ones.
pub struct Lists {
    /// The dense network of these sizes as it is trained.
    pub plain: Vec<Step>,
    /// The dense network of the same sizes, folded, as it is run.
    pub before: Vec<Step>,
    /// The model as it is, with its kinds of layers.
    pub after: After<Vec<Step>>,
}

/// Something about the model itself, whose rows go to one expert or the other.
#[derive(Clone, Debug, PartialEq)]
pub enum After<T> {
    /// It is known how many rows go where, or there are no experts.
    Known(T),
    /// It is not known: what it would be if all rows were multiplied, and if all were shifted.
    Between {
        /// All rows in multiply experts.
        all_multiply: T,
        /// All rows in shift experts.
        all_shift: T,
    },
}

impl<T> After<T> {
    /// Makes something else of each value.
    pub fn try_map<U, E>(&self, mut of: impl FnMut(&T) -> Result<U, E>) -> Result<After<U>, E> {
        Ok(match self {
            Self::Known(one) => After::Known(of(one)?),
            Self::Between { all_multiply, all_shift } => {
                After::Between { all_multiply: of(all_multiply)?, all_shift: of(all_shift)? }
            }
        })
    }

    /// Each value with the name that tables give it.
    pub fn named(&self) -> Vec<(&'static str, &T)> {
        match self {
            Self::Known(one) => vec![("after", one)],
            Self::Between { all_multiply, all_shift } => {
                vec![("after, all multiply", all_multiply), ("after, all shift", all_shift)]
            }
        }
    }
}

/// `after`, or `after_all_multiply` and `after_all_shift`.
impl<T: Serialize> Serialize for After<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.named().into_iter().map(|(name, of)| (name.replace(", ", "_").replace(' ', "_"), of)))
    }
}

impl Lists {
    /// Of the network of `config` at its default numbers of samples and source views.
    pub fn of(config: &Config, shares: &ShiftShares) -> Self {
        let Config { samples, views, .. } = *config;
        let network = |shares: &[f64]| of_network(config, samples, views, shares);
        let of_all = |share: f64| network(&vec![share; num_feed_forward_parts(config)]);
        let after = match shares.rendered() {
            Some(shares) => After::Known(network(shares)),
            None if has_experts(config) => After::Between { all_multiply: of_all(0.0), all_shift: of_all(1.0) },
            None => After::Known(network(&[])),
        };
        Self { plain: plain(config, samples, views), before: folded(config, samples, views), after }
    }
}

/// Operations of one ray, as JSON.
#[derive(Serialize)]
pub struct Counts {
    samples: usize,
    views: usize,
    /// Shares of the rows that routers send to the experts of shifts in rendered pictures, by feed-forward part: view and
    /// ray part of block 0, of block 1, and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    rendered_shift_shares: Option<Vec<f64>>,
    /// Over all parts in the last steps of training, where pictures were not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    trained_shift_share: Option<f64>,
    plain: Table,
    before: Table,
    #[serde(flatten)]
    after: After<Table>,
}

impl Counts {
    /// Sums up the lists of the network of `config`.
    pub fn new(config: &Config, shares: &ShiftShares, lists: &Lists) -> Self {
        let table = |steps: &Vec<Step>| Ok::<_, std::convert::Infallible>(Table::of(steps));
        let Ok(after) = lists.after.try_map(table);
        Self {
            samples: config.samples,
            views: config.views,
            rendered_shift_shares: shares.rendered().map(<[f64]>::to_vec),
            trained_shift_share: if let ShiftShares::Trained(share) = shares { Some(*share) } else { None },
            plain: Table::of(&lists.plain),
            before: Table::of(&lists.before),
            after,
        }
    }

    /// Whether the model is the dense network that it is compared with.
    pub fn is_dense(&self) -> bool {
        is_dense(&self.before, &self.after)
    }

    /// Adds tables for people to `lines`.
    pub fn words(&self, lines: &mut Vec<String>) {
        let Self { samples, views, .. } = self;
        lines.push(String::new());
        lines.push(format!("Million operations a ray, {samples} samples, {views} views. Softmax and norms are not"));
        lines.push("counted; dense matrices have 4 bytes a weight, in files of 16-bit floats 2.".to_owned());
        let mut show = |heading: &str, table: &Table| table_lines(heading, table, lines);
        show("Plain: the dense network of these sizes as it is trained", &self.plain);
        show("Before: the same network folded, as it is run", &self.before);
        match (&self.after, &self.rendered_shift_shares) {
            _ if self.is_dense() => {}
            (After::Known(table), None) => show("After: this network", table),
            (After::Known(table), Some(shares)) => {
                let percents: Vec<String> = shares.iter().map(|share| format!("{:.1}", 100.0 * share)).collect();
                let percents = percents.join(" ");
                show("After: this network", table);
                lines.push(format!("Rows in experts of shifts, as pictures were rendered, by part: {percents} %"));
            }
            (After::Between { all_multiply, all_shift }, _) => {
                show("After, if all rows went to multiply experts", all_multiply);
                show("After, if all rows went to shift experts", all_shift);
                let trained = self.trained_shift_share.map_or_else(String::new, |share| {
                    format!("; in the last steps of training {:.0} % went to shift experts", 100.0 * share)
                });
                lines.push(format!("Where rows go when pictures are rendered was not measured{trained}."));
                lines.push("shiftray info --model FILE --measure-shares SCENE measures it.".to_owned());
            }
        }
    }
}

/// Whether a model is the dense network that it is compared with.
pub fn is_dense(before: &Table, after: &After<Table>) -> bool {
    *after == After::Known(*before)
}

/// Adds a table with its heading to `lines`.
pub fn table_lines(heading: &str, table: &Table, lines: &mut Vec<String>) {
    lines.extend([String::new(), heading.to_owned()]);
    rows(table, lines);
}

/// Lines of columns: millions of operations, bytes of weights. Parts that the network lacks are left out.
fn rows(table: &Table, lines: &mut Vec<String>) {
    let [a, b, c, d, e] = ["multiplies", "shifts", "additions", "look-ups", "weight bytes"];
    lines.push(format!("{:18} {a:>10} {b:>9} {c:>9} {d:>9} {e:>13}", ""));
    let rows = table.rows().filter(|(_, ops)| *ops != Ops::default()).map(|(part, ops)| (part.name(), ops));
    for (name, ops) in rows.chain([("total", table.total())]) {
        let Ops { multiplies, shifts, additions, lookups, weight_bytes } = ops;
        let [a, b, c, d] = [multiplies, shifts, additions, lookups].map(|n| n as f64 / 1e6);
        lines.push(format!("{name:18} {a:10.3} {b:9.3} {c:9.3} {d:9.3} {weight_bytes:13}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shares: &ShiftShares) -> (Counts, String) {
        let config = Config::compact().shift_add();
        let counts = Counts::new(&config, shares, &Lists::of(&config, shares));
        let mut lines = Vec::new();
        counts.words(&mut lines);
        (counts, lines.join("\n"))
    }

    /// Nothing is assumed of routers that nobody measured.
    #[test]
    fn what_was_not_measured_is_shown_for_both_ends() {
        for (shares, told) in
            [(ShiftShares::Unknown, "not measured."), (ShiftShares::Trained(0.52), "52 % went to shift")]
        {
            let (counts, text) = counts(&shares);
            assert!(text.contains(told) && text.contains("--measure-shares"), "{text}");
            let json = serde_json::to_value(&counts).unwrap();
            assert!(json.get("after").is_none() && json.get("rendered_shift_shares").is_none(), "{json}");
            let multiplies = |end: &str| json[end]["total"]["multiplies"].as_u64().unwrap();
            assert!(multiplies("after_all_shift") < multiplies("after_all_multiply"), "{json}");
        }
    }

    #[test]
    fn what_was_measured_counts() {
        let (counts, text) = counts(&ShiftShares::Rendered(vec![1.0, 0.875, 1.0, 1.0]));
        assert!(text.contains("100.0 87.5 100.0 100.0 %") && !text.contains("not measured"), "{text}");
        let json = serde_json::to_value(&counts).unwrap();
        assert_eq!(json["rendered_shift_shares"][1], 0.875);
        let part = |name: &str| &json["after"][name];
        assert!(part("ray_feed_forward")["multiplies"].as_u64() > part("view_feed_forward")["multiplies"].as_u64());
    }

    #[test]
    fn a_dense_network_is_its_own_before() {
        let config = Config::compact();
        let lists = Lists::of(&config, &ShiftShares::Unknown);
        let counts = Counts::new(&config, &ShiftShares::Unknown, &lists);
        assert!(counts.is_dense());
        assert_eq!(serde_json::to_value(&counts).unwrap()["after"]["total"]["shifts"], 0);
    }
}
