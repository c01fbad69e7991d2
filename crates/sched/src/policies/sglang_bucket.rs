//! SGLang's length buckets: each worker serves a range of prompt lengths, re-fitted so that ranges carry equal load.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

use crate::parts::{Periodic, Ties, characters};
use crate::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals,
    params_doc, require, typed,
};

/// SGLang's bucket policy in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-bucket",
    summary: "the worker of the prompt's length range, or the one sent the fewest characters lately when imbalanced",
    citation: "SGLang model gateway, `bucket`: sgl-model-gateway/src/policies/bucket.rs (092fb04), read 2026-11",
    deviations: &[
        "made for the prefill side of a disaggregated deployment; here every instance is a prefill worker",
        "the fewest characters are found with seeded ties, where the source takes the first of a hash map",
    ],
    signals: Signals::NONE,
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("balance_abs_threshold", "imbalanced when max - min of characters sent lately is above this; source: 32"),
            ("balance_rel_threshold", "and max is above this many times min; source: 1.0001"),
            ("adjust_interval_s", "seconds between two fits of the ranges, and how far back `lately` goes; source: 5"),
            ("initial_length", "characters that the first ranges divide evenly, the last one being open; source: 4,096"),
            ("rejoin", "the first ranges after a worker joined or left: `as-coded`: the first worker's takes everything \
              until the next fit, since the source by then divides the largest integer; `even`: as at the start"),
            ("chars_per_token", "characters of a token; 4 is usual for English"),
        ])
    },
    build,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    balance_abs_threshold: u64,
    balance_rel_threshold: f64,
    adjust_interval_s: f64,
    initial_length: u64,
    rejoin: Rejoin,
    chars_per_token: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            balance_abs_threshold: 32,
            balance_rel_threshold: 1.0001,
            adjust_interval_s: 5.0,
            initial_length: 4096,
            rejoin: Rejoin::AsCoded,
            chars_per_token: 4.0,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Rejoin {
    AsCoded,
    Even,
}

fn build(params: &serde_json::Value, context: &BuildContext) -> Result<Box<dyn Scheduler>, ParamError> {
    let params: Params = typed(params)?;
    require(params.chars_per_token > 0.0 && params.chars_per_token < 1e3, "chars_per_token", "positive")?;
    require(params.initial_length >= 1, "initial_length", "at least 1")?;
    let window = SimTime::from_secs_f64(params.adjust_interval_s)
        .filter(|&interval| interval > SimTime::ZERO)
        .ok_or_else(|| ParamError("parameter `adjust_interval_s` must be a positive span of time".into()))?;
    let ties = Ties::new(&context.streams);
    let (ranges, adjust) = (Ranges::default(), Periodic::new(window));
    Ok(Box::new(Bucket { params, window, adjust, ranges, sent: Vec::new(), recent: VecDeque::new(), stale: true, ties }))
}

struct Bucket {
    params: Params,
    window: SimTime,
    adjust: Periodic,
    ranges: Ranges,
    /// Characters sent lately, by instance.
    sent: Vec<u64>,
    recent: VecDeque<(SimTime, InstanceId, u64)>,
    /// Workers came or went since the ranges were laid out.
    stale: bool,
    ties: Ties,
}

/// Contiguous ranges of prompt lengths, and whose they are.
#[derive(Default, Debug, PartialEq)]
struct Ranges {
    list: Vec<(InstanceId, u64, u64)>,
    /// The load of one range at the last fit.
    load: u64,
}

impl Ranges {
    fn even(members: &[InstanceId], length: u64, load: u64) -> Self {
        let (count, gap) = (members.len() as u64, length / members.len() as u64);
        let range = |(n, &i): (u64, &InstanceId)| (i, n * gap, if n + 1 == count { u64::MAX } else { ((n + 1) * gap).saturating_sub(1) });
        Self { list: (0..count).zip(members).map(range).collect(), load }
    }

    fn owner(&self, length: u64) -> Option<InstanceId> {
        let at = self.list.partition_point(|&(_, _, last)| last < length);
        self.list.get(at).filter(|&&(_, first, _)| first <= length).map(|&(i, _, _)| i)
    }

    /// Cuts the sorted lengths of recent requests where each range has an equal share of their sum; only when that share
    /// has more than doubled or halved.
    fn fit(&mut self, members: &[InstanceId], lengths: &[u64]) {
        let load = lengths.iter().sum::<u64>() / members.len() as u64;
        if load <= 2 * self.load && self.load <= 2 * load && self.load != 0 {
            return;
        }
        self.load = load;
        self.list.clear();
        let (mut lower, mut next) = (0, 0);
        let (&last, others) = members.split_last().expect("there is a member");
        for &worker in others {
            let mut sum = 0;
            let mut cut = None;
            while let Some(&length) = lengths.get(next) {
                next += 1;
                sum += length;
                if sum >= load {
                    cut = Some(length);
                    break;
                }
            }
            let upper = cut.filter(|&length| length > lower).unwrap_or(lower + load);
            self.list.push((worker, lower, upper));
            lower = upper + 1;
        }
        self.list.push((last, lower, u64::MAX));
    }
}

impl Bucket {
    fn lay_out(&mut self, members: &[InstanceId]) {
        // The source divides 4,096 once and the largest integer from then on.
        let length = match self.params.rejoin {
            Rejoin::AsCoded if !self.ranges.list.is_empty() => u64::MAX,
            _ => self.params.initial_length,
        };
        self.ranges = Ranges::even(members, length, self.ranges.load);
        let highest = members.last().expect("there is a member");
        self.sent.clear();
        self.sent.resize(highest.index() + 1, 0);
        self.stale = false;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the source compares in single precision")]
    fn imbalanced(&self, members: &[InstanceId]) -> bool {
        let sums = || members.iter().map(|&i| self.sent[i.index()]);
        let (max, min) = (sums().max().unwrap_or(0), sums().min().unwrap_or(0));
        max - min > self.params.balance_abs_threshold
            && max as f32 > self.params.balance_rel_threshold as f32 * min as f32
    }

    /// Counts a request, and only then forgets the old ones: decisions see sums as old as the request before.
    fn record(&mut self, now: SimTime, chosen: InstanceId, length: u64) {
        self.sent[chosen.index()] += length;
        while let Some(&(at, worker, old)) = self.recent.front() {
            if now.saturating_since(at) <= self.window {
                break;
            }
            self.recent.pop_front();
            if let Some(sent) = self.sent.get_mut(worker.index()) {
                *sent = sent.saturating_sub(old);
            }
        }
        self.recent.push_back((now, chosen, length));
    }
}

impl Scheduler for Bucket {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        if self.stale {
            self.lay_out(members);
        }
        if self.adjust.due(view.now()) && !self.recent.is_empty() {
            let mut lengths: Vec<u64> = self.recent.iter().map(|&(_, _, length)| length).collect();
            lengths.sort_unstable();
            self.ranges.fit(members, &lengths);
        }
        let length = characters(arrival.prompt.tokens, self.params.chars_per_token);
        let chosen = if self.imbalanced(members) {
            actions.reason("imbalanced: fewest characters");
            self.ties.least(members.iter().copied(), |i| self.sent[i.index()])
        } else {
            actions.reason("length range");
            self.ranges.owner(length).or_else(|| self.ties.any(members))
        };
        let chosen = chosen.expect("a scheduler is asked only while there is a member");
        self.record(view.now(), chosen, length);
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        if matches!(hook, Hook::Joined { .. } | Hook::Left { .. }) {
            self.stale = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ranges: &Ranges) -> Vec<u64> {
        ranges.list.iter().map(|&(_, _, last)| last).collect()
    }

    /// The vectors of the source's own tests, and what its loop gives for lengths that are all equal or too few.
    #[test]
    fn ranges_are_fitted_to_equal_loads() {
        let members: Vec<InstanceId> = (0..3).map(InstanceId).collect();
        let start = Ranges::even(&members, 4096, 0);
        assert_eq!(ends(&start), [1364, 2729, u64::MAX]);
        for (lengths, expected) in [
            (&[33, 34, 34][..], [33, 67]),
            (&[5, 10, 15, 20, 24, 26], [20, 26]),
            (&[30, 30, 30, 30, 30, 30], [30, 91]),
            (&[90], [90, 121]),
        ] {
            let mut ranges = Ranges::even(&members, 4096, 0);
            ranges.fit(&members, lengths);
            assert_eq!(ends(&ranges), [expected[0], expected[1], u64::MAX], "{lengths:?}");
            let fitted = ends(&ranges);
            // As long as the share stays within a factor of two nothing moves.
            ranges.fit(&members, &lengths.iter().map(|l| l * 3 / 2).collect::<Vec<_>>());
            assert_eq!(ends(&ranges), fitted);
            ranges.fit(&members, &lengths.iter().map(|l| l * 5).collect::<Vec<_>>());
            assert_ne!(ends(&ranges), fitted);
        }
        let owners = [0, 1364, 1365, 2729, 2730, 1 << 40].map(|length| start.owner(length).unwrap().0);
        assert_eq!(owners, [0, 0, 1, 1, 2, 2]);
    }
}
