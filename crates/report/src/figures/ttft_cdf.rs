//! The distribution of the time to first token over requests.

use super::times::TTFT;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "ttft-cdf",
    summary: "distribution of the time to first token over requests, all seeds together",
    needs: "per-request rows (`[output] requests = true`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    TTFT.distributed(results, &DEF)
}
