//! How requests arrive.

use serde::Serialize;
use trimtab_core::{PS_PER_S, Request};

/// Gaps and bursts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Arrivals {
    /// From the first arrival to the last.
    pub span_s: f64,
    /// Different arrival times.
    pub distinct_times: u64,
    /// Coefficient of variation of the gaps between consecutive requests. An artefact when many share a time.
    pub gap_cv: Option<f64>,
    /// The longest gap.
    pub longest_gap_s: f64,
    /// Variance over mean of the requests per distinct time; 1 for a Poisson process seen through a coarse clock.
    pub tick_dispersion: Option<f64>,
    /// Requests per window of fixed length.
    pub windows: Vec<Burstiness>,
}

/// Requests per window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Burstiness {
    /// Length of the windows.
    pub window_s: u64,
    /// Most requests in one.
    pub peak: u64,
    /// Mean, over windows that lie wholly in the span.
    pub mean: f64,
    /// Variance over mean, likewise; 1 for a Poisson process.
    pub dispersion: f64,
}

/// A second, a minute, five minutes.
const WINDOWS_S: [u64; 3] = [1, 60, 300];

impl Arrivals {
    pub(super) fn of(requests: &[Request]) -> Self {
        let (Some(first), Some(last)) = (requests.first(), requests.last()) else { return Self::default() };
        let gaps: Vec<f64> = requests.windows(2).map(|w| (w[1].arrival - w[0].arrival).as_secs_f64()).collect();
        let mut ticks = vec![1.0];
        for pair in requests.windows(2) {
            match ticks.last_mut() {
                Some(count) if pair[0].arrival == pair[1].arrival => *count += 1.0,
                _ => ticks.push(1.0),
            }
        }
        let spread = |values: &[f64]| moments(values).filter(|&(mean, _)| mean > 0.0);
        Self {
            span_s: (last.arrival - first.arrival).as_secs_f64(),
            distinct_times: ticks.len() as u64,
            gap_cv: spread(&gaps).map(|(mean, variance)| libm::sqrt(variance) / mean),
            longest_gap_s: gaps.iter().copied().fold(0.0, f64::max),
            tick_dispersion: spread(&ticks).map(|(mean, variance)| variance / mean),
            windows: WINDOWS_S.iter().filter_map(|&window_s| Burstiness::of(requests, window_s)).collect(),
        }
    }
}

impl Burstiness {
    fn of(requests: &[Request], window_s: u64) -> Option<Self> {
        let start = requests.first()?.arrival.0;
        let window = window_s * PS_PER_S;
        let end = requests.last()?.arrival.0 - start;
        let mut counts = vec![0.0; usize::try_from(end / window).ok()? + 1];
        for request in requests {
            counts[usize::try_from((request.arrival.0 - start) / window).expect("within the span")] += 1.0;
        }
        let peak = counts.iter().copied().fold(0.0, f64::max);
        // The last window is cut off by the end of the trace.
        counts.pop();
        let (mean, variance) = moments(&counts)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Some(Self { window_s, peak: peak as u64, mean, dispersion: variance / mean })
    }
}

/// Mean and population variance.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (!values.is_empty()).then_some((mean, variance))
}
