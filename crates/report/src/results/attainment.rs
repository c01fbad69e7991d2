//! Which share of requests is shown as attained.

use trimtab_table::Table;

/// The column of requests whose first token came in time, and of those within all objectives.
const TTFT: &str = "slo_attainment";
const ALL: &str = "joint_attainment";

/// The objectives that a request has to meet to be counted. Targets and capacities are over all of them: the share
/// within one alone would stand too high beside these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attainment {
    /// The time to first token, the only objective there is.
    Ttft,
    /// All of them, of which there are others than the time to first token.
    All,
}

impl Attainment {
    /// Other objectives show in the summary: where a request met one objective and missed another, the shares differ.
    pub(super) fn of(summary: &Table) -> Self {
        let Some(all) = summary.get(ALL) else { return Self::Ttft };
        let ttft = |row: usize| summary.get(TTFT).and_then(|column| column.number(row));
        let differs = |all: f64, row: usize| ttft(row).is_none_or(|ttft| ttft.total_cmp(&all).is_ne());
        let any = (0..summary.rows()).any(|row| all.number(row).is_some_and(|all| differs(all, row)));
        if any { Self::All } else { Self::Ttft }
    }

    /// The column that has it.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Ttft => TTFT,
            Self::All => ALL,
        }
    }

    /// What figures call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "SLO attainment",
            Self::All => "In all objectives",
        }
    }
}

#[cfg(test)]
mod tests {
    use trimtab_table::Column;

    use super::*;

    #[test]
    fn all_objectives_count_where_there_are_others_than_the_first_token() {
        let both = [Some(0.9), Some(0.5)];
        for (ttft, all, expected) in [
            (Some(both), None, Attainment::Ttft),
            (Some(both), Some(both), Attainment::Ttft),
            // Some runs failed.
            (Some([Some(0.9), None]), Some([Some(0.9), None]), Attainment::Ttft),
            (Some(both), Some([Some(0.9), Some(0.4)]), Attainment::All),
            // No `slo.ttft_s`: an empty column.
            (Some([None, None]), Some(both), Attainment::All),
            (None, Some(both), Attainment::All),
            (None, None, Attainment::Ttft),
        ] {
            let mut table = Table::new();
            for (name, cells) in [(TTFT, ttft), (ALL, all)] {
                if let Some(cells) = cells {
                    table.push(name, Column::Real(cells.into())).expect("equal lengths");
                }
            }
            assert_eq!(Attainment::of(&table), expected, "{ttft:?} {all:?}");
        }
    }
}
