//! Whether a run was long enough after its warm-up, and whether its cluster kept up.

use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, SimTime};
use trimtab_engine::Row;

use crate::stats::mser;

/// What a run says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Requests that wait for their first token: time mean over the last two thirds of the measured arrivals.
    pub waiting: Option<f64>,
    /// How fast that number grows, in requests per second: last third against the middle one.
    pub drift_rps: Option<f64>,
    /// Measured arrivals per second.
    pub arrival_rps: Option<f64>,
    /// Requests that the warm-up should leave out, by MSER-5 on times to first token; absent when no cut makes the rest
    /// look steady.
    pub steady_after: Option<u64>,
}

impl Diagnosis {
    /// Growth of the queue as a share of arrivals: near 0 when the cluster keeps up, `1 - 1/load` when it is overloaded.
    pub fn drift_share(&self) -> Option<f64> {
        Some(self.drift_rps? / self.arrival_rps.filter(|&rate| rate > 0.0)?)
    }
}

/// Looks at a finished run. The first `warmup` rows are its warm-up.
pub fn diagnose(rows: &[Row], warmup: usize) -> Diagnosis {
    let times: Vec<f64> = rows.iter().filter_map(Row::ttft).map(SimTime::as_secs_f64).collect();
    let steady_after = mser(&times).map(|cut| cut as u64);
    let empty = Diagnosis { steady_after, ..Diagnosis::default() };
    let measured = &rows[warmup..];
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else { return empty };
    let span = (last.arrival - first.arrival).0;
    if span < 3 {
        return empty;
    }
    let cut = |third: u64| first.arrival.0 + span / 3 * third;
    let (middle, end) = (waiting(rows, cut(1), cut(2)), waiting(rows, cut(2), cut(3)));
    let third_s = (span / 3) as f64 / PS_PER_S as f64;
    Diagnosis {
        waiting: Some(f64::midpoint(middle, end)),
        drift_rps: Some((end - middle) / third_s),
        arrival_rps: Some((measured.len() - 1) as f64 / (span as f64 / PS_PER_S as f64)),
        steady_after,
    }
}

/// Time mean of the requests that have arrived and have neither a first token nor an end.
fn waiting(rows: &[Row], from: u64, to: u64) -> f64 {
    let total: u128 = rows
        .iter()
        .map(|row| {
            let end = row.first_token.min(row.finish).0.min(to);
            u128::from(end.saturating_sub(row.arrival.0.max(from)))
        })
        .sum();
    total as f64 / (to - from) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::{InstanceId, TenantId};
    use trimtab_engine::Outcome;

    /// Arrivals one second apart, each waiting as told (in seconds).
    fn rows(waits: impl Iterator<Item = f64>) -> Vec<Row> {
        let at = |s: f64| SimTime::from_secs_f64(s).unwrap();
        let row = |(i, wait): (usize, f64)| Row {
            arrival: at(i as f64),
            routed: at(i as f64),
            admitted: at(i as f64),
            first_token: at(i as f64 + wait),
            finish: at(i as f64 + wait),
            instance: InstanceId(0),
            prompt_tokens: 1,
            hit_tokens: 0,
            hit_blocks: 0,
            believed_tokens: 0,
            cached_tokens: 0,
            loaded_tokens: 0,
            recomputed_tokens: 0,
            output_tokens: 1,
            preemptions: 0,
            migrations: 0,
            tenant: TenantId(0),
            priority: 0,
            retries: 0,
            lost: 0,
            hung_up: 0,
            outcome: Outcome::Completed,
        };
        waits.enumerate().map(row).collect()
    }

    fn near(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() - expected).abs() < 0.02, "{found:?} is not {expected}");
    }

    #[test]
    fn queues_that_stand_and_queues_that_grow() {
        // Waits of 4 s at one arrival per second: 4 waiting, by Little's law.
        let steady = diagnose(&rows((0..900).map(|_| 4.0)), 0);
        near(steady.waiting, 4.0);
        near(steady.drift_share(), 0.0);
        // Request i is served at 1.25 i: the queue grows by 1 - 1/1.25 = 0.2 of arrivals.
        let growing = diagnose(&rows((0..900).map(|i| 0.25 * f64::from(i))), 0);
        near(growing.drift_share(), 0.2);
        assert_eq!(growing.steady_after, None);
        assert_eq!(diagnose(&rows((0..1).map(|_| 1.0)), 0), Diagnosis::default());
        assert_eq!(diagnose(&[], 0), Diagnosis::default());
    }
}
