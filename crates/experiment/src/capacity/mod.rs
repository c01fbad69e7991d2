//! The highest rate that meets the objectives, as an interval.
//!
//! Rates come from a ladder with equal ratios between its rungs, the same for all schedulers, so that schedulers meet on
//! equal rates with equal seeds. Each rung that is tried is a set of ordinary cells: a search that is resumed finds them.

mod of_plan;
mod search;

use serde::{Deserialize, Serialize};

use crate::results::CellResult;
use crate::stats::{Interval, Verdict};

pub(crate) use of_plan::{search_plan, swept};
pub use search::{Rule, ladder, search};

/// What one run says about its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Share of requests within all objectives.
    pub attainment: f64,
    /// Growth of the queue as a share of arrivals.
    pub drift_share: f64,
}

/// What a rate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The lower bound of its attainment reaches the target, and its queue does not grow.
    Pass,
    /// The upper bound of its attainment is below the target.
    Fail,
    /// Neither, with as many seeds as there may be.
    Undecided,
}

/// One rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Rung of the ladder.
    pub rung: usize,
    /// Its rate.
    pub rate_rps: f64,
    /// Share of requests within all objectives, over seeds.
    pub attainment: Interval,
    /// Growth of the queue as a share of arrivals, over seeds.
    pub drift_share: Interval,
    /// What follows.
    pub answer: Answer,
}

/// The capacity of one scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// Index into [`crate::plan::Plan::groups`].
    pub group: usize,
    /// The highest rate up to which every rate tried has passed; absent when the lowest one did not.
    pub lo_rps: Option<f64>,
    /// The lowest rate that failed; absent when none did.
    pub hi_rps: Option<f64>,
    /// Whether no rate passed above one that failed.
    pub monotone: bool,
    /// Everything that was tried, by rate.
    pub probes: Vec<Probe>,
}

impl Capacity {
    fn of(group: usize, mut probes: Vec<Probe>) -> Self {
        probes.sort_by_key(|p| p.rung);
        let passed = probes.iter().take_while(|p| p.answer == Answer::Pass).count();
        let fail = probes.iter().position(|p| p.answer == Answer::Fail);
        let monotone = fail.is_none_or(|fail| probes[fail..].iter().all(|p| p.answer != Answer::Pass));
        let lo_rps = passed.checked_sub(1).map(|i| probes[i].rate_rps);
        Self { group, lo_rps, hi_rps: fail.map(|i| probes[i].rate_rps), monotone, probes }
    }

    /// `at least`, `at most` or `unknown` when the ladder ends before the capacity does; else empty.
    pub fn censored(&self) -> &'static str {
        match (self.lo_rps, self.hi_rps) {
            (Some(_), Some(_)) => "",
            (Some(_), None) => "at least",
            (None, Some(_)) => "at most",
            (None, None) => "unknown",
        }
    }

    /// Ours over theirs: the smallest and largest ratio that both intervals allow.
    pub fn ratio(&self, other: &Self) -> (Option<f64>, Option<f64>) {
        let over = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        (over(self.lo_rps, other.hi_rps), over(self.hi_rps, other.lo_rps))
    }

    /// The plain answer to which is higher: intervals that touch do not tell.
    pub fn verdict(&self, other: &Self) -> Verdict {
        match self.ratio(other) {
            (Some(lo), _) if lo >= 1.0 => Verdict::Better,
            (_, Some(hi)) if hi <= 1.0 => Verdict::Worse,
            _ => Verdict::NotDistinguishable,
        }
    }
}

/// What a run says about its rate.
pub fn sample(result: &CellResult) -> Option<Sample> {
    let attainment = result.metrics.joint_attainment?;
    Some(Sample { attainment, drift_share: result.diagnosis.drift_share().unwrap_or(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_compared_by_their_intervals() {
        let of = |lo, hi| Capacity { group: 0, lo_rps: lo, hi_rps: hi, monotone: true, probes: Vec::new() };
        let base = of(Some(4.0), Some(5.0));
        for (ours, expected) in [
            (of(Some(9.0), Some(10.0)), Verdict::Better),
            (of(Some(1.0), Some(2.0)), Verdict::Worse),
            (of(Some(4.5), Some(6.0)), Verdict::NotDistinguishable),
            (of(Some(5.0), None), Verdict::Better),
            (of(None, Some(4.5)), Verdict::NotDistinguishable),
            (base.clone(), Verdict::NotDistinguishable),
        ] {
            assert_eq!(ours.verdict(&base), expected, "{ours:?}");
        }
        assert_eq!(of(Some(9.0), Some(10.0)).ratio(&base), (Some(1.8), Some(2.5)));
    }
}
