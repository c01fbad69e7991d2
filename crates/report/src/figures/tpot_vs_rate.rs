//! Quantiles of the time per output token against the arrival rate.

use super::times::TPOT;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "tpot-vs-rate",
    summary: "P50, P90 and P99 of the mean time per output token against the arrival rate",
    needs: "at least two arrival rates",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    TPOT.against_rate(results, &DEF)
}
