//! Remarks on results that may mislead whoever reads them.

use crate::results::CellResult;

/// An overloaded cluster's queue grows by more than this share of the arrivals.
pub(crate) const DRIFT: f64 = 0.01;

/// What should be said about the runs of one group.
pub(crate) fn remarks(results: &[&CellResult]) -> Vec<String> {
    let mut remarks = Vec::new();
    let n = results.len();
    if n == 0 {
        return remarks;
    }
    let growing = results.iter().filter(|r| r.diagnosis.drift_share().is_some_and(|share| share > DRIFT)).count();
    if growing * 2 > n {
        remarks.push(format!(
            "saturated: the queue grows to the end in {growing} of {n} runs, so that times depend on the length of the run"
        ));
    }
    let warm = |r: &&&CellResult| {
        let left_out = r.metrics.requests - r.metrics.measured;
        r.diagnosis.steady_after.is_some_and(|steady| steady > left_out)
    };
    let late = results.iter().filter(warm).count();
    if late * 2 > n {
        let most = results.iter().filter_map(|r| r.diagnosis.steady_after).max().unwrap_or(0);
        remarks.push(format!(
            "the warm-up is too short in {late} of {n} runs: by MSER-5, leave out the first {most} requests (`warmup_requests`)"
        ));
    }
    let slim = results.iter().map(|r| r.metrics.measured).min().unwrap_or(0);
    if slim < 100 {
        remarks.push(format!("only {slim} requests are measured: their 99th percentile is their maximum"));
    }
    if n > 1 && results.iter().all(|r| r.metrics == results[0].metrics) {
        remarks.push(
            "all seeds give the same numbers, so the intervals say nothing: a trace is replayed as it is unless \
             `workload.jitter_s` or `workload.keep_sessions` is set"
                .to_owned(),
        );
    }
    remarks
}
