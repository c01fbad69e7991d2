//! Quantiles of the time to first token against the arrival rate.

use super::times::TTFT;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "ttft-vs-rate",
    summary: "P50, P90 and P99 of the time to first token against the arrival rate",
    needs: "at least two arrival rates",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    TTFT.against_rate(results, &DEF)
}
