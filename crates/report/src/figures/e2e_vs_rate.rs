//! Quantiles of the time from arrival to end against the arrival rate.

use super::times::E2E;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "e2e-vs-rate",
    summary: "P50, P90 and P99 of the time from arrival to end against the arrival rate",
    needs: "at least two arrival rates",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    E2E.against_rate(results, &DEF)
}
