//! Remarks on results that may mislead whoever reads them.

use std::collections::BTreeMap;

use crate::results::CellResult;
use crate::stats::t_interval;

/// An overloaded cluster's queue grows by more than this share of the arrivals.
pub(crate) const DRIFT: f64 = 0.01;
/// Arrivals that are slower than their rate by more than this share are not those of that rate.
const SLOWER: f64 = 0.1;
/// More rejected requests than this share make the times of the others look good.
const REJECTED: f64 = 0.01;
/// So many groups with the same remark are named one by one; of more, the first.
const NAMED: usize = 3;

/// A remark on the runs of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// The same words for all groups.
    kind: &'static str,
    /// What it means, with the figures of this group.
    detail: String,
}

/// What should be said about the runs of one group.
pub(crate) fn remarks(results: &[&CellResult]) -> Vec<Remark> {
    if results.is_empty() {
        return Vec::new();
    }
    if results.iter().all(|r| r.metrics.measured == 0) {
        let came = results.iter().any(|r| r.metrics.requests > 0);
        let detail = if came { "the warm-up leaves none of the requests that came" } else { "no request came" };
        return vec![Remark { kind: "nothing is measured", detail: detail.to_owned() }];
    }
    let all = [
        ("saturated", saturated(results)),
        ("requests are rejected", rejected(results)),
        ("arrivals are slower than their rate", slower(results)),
        ("the warm-up is too short", cold(results)),
        ("few requests are measured", few(results)),
        ("all seeds give the same numbers", same(results)),
    ];
    all.into_iter().filter_map(|(kind, detail)| Some(Remark { kind, detail: detail? })).collect()
}

fn saturated(results: &[&CellResult]) -> Option<String> {
    let n = results.len();
    let growing = results.iter().filter(|r| r.diagnosis.drift_share().is_some_and(|share| share > DRIFT)).count();
    (growing * 2 > n).then(|| {
        format!("the queue grows to the end in {growing} of {n} runs, so that times depend on the length of the run")
    })
}

fn of_all(results: &[&CellResult], of: fn(&CellResult) -> u64) -> f64 {
    results.iter().map(|r| of(r)).sum::<u64>() as f64
}

fn rejected(results: &[&CellResult]) -> Option<String> {
    let share = of_all(results, |r| r.metrics.rejected) / of_all(results, |r| r.metrics.requests);
    (share > REJECTED).then(|| format!("{:.0} % miss every objective, and times are of the others", 100.0 * share))
}

fn slower(results: &[&CellResult]) -> Option<String> {
    let shares: Vec<f64> = results.iter().filter_map(|r| arrivals_over_rate(r)).collect();
    let share = t_interval(&shares)?.mean;
    // Of n arrivals chance takes a share of the order of a root of n.
    let by_chance = 3.0 / libm::sqrt(of_all(results, |r| r.metrics.measured));
    (share < 1.0 - by_chance.max(SLOWER)).then(|| {
        format!(
            "{:.0} % of it; `arrival_rps` in summary.csv is what was reached. Where sessions only begin, longer runs and \
             warm-ups reach more; where turns wait for answers, a cluster that keeps up does",
            100.0 * share
        )
    })
}

fn cold(results: &[&CellResult]) -> Option<String> {
    let n = results.len();
    let warm = |r: &&&CellResult| {
        let left_out = r.metrics.requests - r.metrics.measured;
        r.diagnosis.steady_after.is_some_and(|steady| steady > left_out)
    };
    let late = results.iter().filter(warm).count();
    let most = results.iter().filter_map(|r| r.diagnosis.steady_after).max().unwrap_or(0);
    (late * 2 > n)
        .then(|| format!("in {late} of {n} runs; by MSER-5, leave out the first {most} requests (`warmup_requests`)"))
}

fn few(results: &[&CellResult]) -> Option<String> {
    let least = results.iter().map(|r| r.metrics.measured).min()?;
    (least < 100).then(|| format!("only {least}, so that their 99th percentile is their maximum"))
}

fn same(results: &[&CellResult]) -> Option<String> {
    let trace = results[0].scenario.workload.kind.is_none();
    (results.len() > 1 && results.iter().all(|r| r.metrics == results[0].metrics)).then(|| {
        let why = ": a trace is replayed as it is unless `workload.jitter_s` or `workload.keep_sessions` is set";
        format!("so the intervals say nothing{}", if trace { why } else { "" })
    })
}

/// Measured arrivals over the rate that was asked for, of generators: a trace is rescaled to it exactly.
fn arrivals_over_rate(result: &CellResult) -> Option<f64> {
    let workload = &result.scenario.workload;
    let rate = workload.rate.filter(|_| workload.kind.is_some())?;
    Some(result.diagnosis.arrival_rps? / rate)
}

/// One line for each remark, the groups of a frequent one counted. `all` is how many groups were run: rows of the table.
pub(crate) fn lines(said: &[(String, Remark)], all: usize) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, remark) in said {
        *counts.entry(remark.kind).or_default() += 1;
    }
    let line = |(whose, Remark { kind, detail }): &(String, Remark)| match counts.get_mut(kind).map(std::mem::take)? {
        // Told already.
        0 => None,
        count if count > NAMED => {
            Some(format!("{kind} in {count} of {all} rows (manifest.json names them), the first: {whose}: {detail}"))
        }
        count => {
            counts.insert(kind, count);
            Some(format!("{whose}: {kind}: {detail}"))
        }
    };
    said.iter().filter_map(line).collect()
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_remarks_are_counted() {
        let said: Vec<(String, Remark)> = (0..7)
            .map(|i| {
                let kind = if i < 5 { "saturated" } else { "few requests are measured" };
                (format!("p{i}"), Remark { kind, detail: format!("d{i}") })
            })
            .collect();
        let expected = [
            "saturated in 5 of 9 rows (manifest.json names them), the first: p0: d0",
            "p5: few requests are measured: d5",
            "p6: few requests are measured: d6",
        ];
        assert_eq!(lines(&said, 9), expected);
    }
}
