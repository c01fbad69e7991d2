//! The distribution of the time from arrival to end over requests.

use super::times::E2E;
use super::{Figure, FigureDef, Results, Unavailable};

pub(super) const DEF: FigureDef = FigureDef {
    name: "e2e-cdf",
    summary: "distribution of the time from arrival to end over requests, all seeds together",
    needs: "per-request rows (`[output] requests = true`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    E2E.distributed(results, &DEF)
}
