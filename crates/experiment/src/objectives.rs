//! Whether a request was served well: the objectives of its class.

use trimtab_core::SimTime;
use trimtab_engine::{Outcome, Row};

use crate::scenario::Slo;

/// Longest times of one class; a time that is not limited is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    ttft: Option<SimTime>,
    tpot: Option<SimTime>,
    e2e: Option<SimTime>,
}

/// The objectives of every class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Objectives {
    ordinary: Limits,
    classes: Vec<(i16, Limits)>,
}

impl Objectives {
    pub(crate) fn of(slo: &Slo) -> Self {
        let time = |limit: Option<f64>| limit.and_then(SimTime::from_secs_f64);
        let ordinary = Limits { ttft: time(slo.ttft_s), tpot: time(slo.tpot_s), e2e: time(slo.e2e_s) };
        let class = |class: &crate::scenario::ClassSlo| {
            let own = Limits {
                ttft: time(class.ttft_s).or(ordinary.ttft),
                tpot: time(class.tpot_s).or(ordinary.tpot),
                e2e: time(class.e2e_s).or(ordinary.e2e),
            };
            (class.priority, own)
        };
        Self { ordinary, classes: slo.class.iter().map(class).collect() }
    }

    fn limits(&self, row: &Row) -> Limits {
        self.classes.iter().find(|(priority, _)| *priority == row.priority).map_or(self.ordinary, |(_, limits)| *limits)
    }

    /// The share of rows whose first token came in time; `None` when no class has such an objective.
    pub(crate) fn ttft_attainment<'a>(&self, rows: impl Iterator<Item = &'a Row>) -> Option<f64> {
        let any = self.ordinary.ttft.is_some() || self.classes.iter().any(|(_, limits)| limits.ttft.is_some());
        let in_time = |row: &Row| {
            let limits = Limits { ttft: self.limits(row).ttft, ..Limits::default() };
            met(row, &limits)
        };
        if any { share(rows, in_time) } else { None }
    }

    /// The share of rows within all objectives of their class; `None` when there is none.
    pub(crate) fn joint_attainment<'a>(&self, rows: impl Iterator<Item = &'a Row>) -> Option<f64> {
        if *self == Self::default() { None } else { share(rows, |row| self.met(row)) }
    }

    /// How many rows are within all objectives of their class; `None` when there is none.
    pub(crate) fn good(&self, rows: &[Row]) -> Option<u64> {
        (*self != Self::default()).then(|| rows.iter().filter(|row| self.met(row)).count() as u64)
    }

    fn met(&self, row: &Row) -> bool {
        met(row, &self.limits(row))
    }
}

/// Rejected and failed requests miss; a time without a sample (a single-token output has no TPOT) meets its limit.
fn met(row: &Row, limits: &Limits) -> bool {
    let ok = |limit: Option<SimTime>, value: Option<SimTime>, absent: bool| {
        limit.is_none_or(|limit| value.map_or(absent, |value| value <= limit))
    };
    row.outcome == Outcome::Completed
        && ok(limits.ttft, row.ttft(), false)
        && ok(limits.tpot, row.tpot(), true)
        && ok(limits.e2e, row.e2e(), false)
}

fn share<'a>(rows: impl Iterator<Item = &'a Row>, good: impl Fn(&Row) -> bool) -> Option<f64> {
    let (hits, all) = rows.fold((0u64, 0u64), |(hits, all), row| (hits + u64::from(good(row)), all + 1));
    (all > 0).then(|| hits as f64 / all as f64)
}
