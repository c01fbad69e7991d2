//! Error figures of predicted against measured times.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Kind;

/// Relative errors `|predicted / measured - 1|` over some rows, as fractions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// Mean.
    pub mape: f64,
    /// Median.
    pub median_ape: f64,
    /// 90th percentile (nearest rank).
    pub p90_ape: f64,
    /// Rows.
    pub n: usize,
}

impl Accuracy {
    /// Of absolute relative errors in any order.
    pub fn of(errors: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = errors.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        if n == 0 {
            return Self::default();
        }
        let rank = |per_cent: usize| sorted[(n * per_cent).div_ceil(100).max(1) - 1];
        Self { mape: sorted.iter().sum::<f64>() / n as f64, median_ape: rank(50), p90_ape: rank(90), n }
    }
}

/// Errors over all rows and by kind of step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ErrorTable {
    /// All rows.
    pub overall: Accuracy,
    /// By kind; kinds without rows are absent.
    pub by_kind: BTreeMap<&'static str, Accuracy>,
}

impl ErrorTable {
    /// Of each row's kind and absolute relative error.
    pub fn of(errors: &[(Kind, f64)]) -> Self {
        let by_kind = Kind::ALL
            .into_iter()
            .filter(|kind| errors.iter().any(|(k, _)| k == kind))
            .map(|kind| (kind.name(), Accuracy::of(errors.iter().filter(|(k, _)| *k == kind).map(|(_, e)| *e))))
            .collect();
        Self { overall: Accuracy::of(errors.iter().map(|(_, e)| *e)), by_kind }
    }
}
