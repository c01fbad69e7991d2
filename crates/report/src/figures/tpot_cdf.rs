//! The distribution of the time per output token over requests that have one.

use super::times::TPOT;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "tpot-cdf",
    summary: "distribution of the time per output token over requests with at least two tokens",
    needs: "per-request rows (`[output] requests = true`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    TPOT.distributed(results, &DEF)
}
