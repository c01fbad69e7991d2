//! The highest arrival rate that meets the objective, by scheduler.

use super::{Axis, Figure, FigureDef, Results, Scale, Slice, Unavailable, bars, drawn, lacks};
use crate::axis::short;
use crate::estimate::Estimate;

pub(super) const DEF: FigureDef = FigureDef {
    name: "capacity-bars",
    summary: "highest arrival rate that meets the objective, by scheduler, from the last rate that passed to the first that failed",
    needs: "`capacity.csv`, which `trimtab capacity` and sweeps over rates write",
    build,
};

/// What the whiskers are.
const BRACKET: &str = "from the highest rate below which all probes passed to the lowest that failed";

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = results.capacities().ok_or_else(|| lacks(&DEF))?.into_iter().map(|slice| {
        let axis = Axis::new("Capacity (requests/s)", Scale::FromZero);
        let panel = bars(&slice.labels(), None, axis, |label| capacity(&slice, label));
        Figure {
            name: slice.name(DEF.name),
            title: slice.title("Capacity"),
            panels: panel.into_iter().collect(),
            spread: Some(BRACKET),
            ..Figure::default()
        }
    });
    drawn(figures.collect(), &DEF)
}

/// The middle of the bracket with the bracket as its interval. A search that hit its upper bound has no upper end: the
/// bar then stops at what is known, and says so.
fn capacity(slice: &Slice<'_>, label: &str) -> Option<(Estimate, String)> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seeds")]
    let n = slice.value(label, "seeds").unwrap_or(1.0) as usize;
    match (slice.value(label, "capacity_lo_rps"), slice.value(label, "capacity_hi_rps")) {
        (Some(lo), Some(hi)) => {
            let mean = f64::midpoint(lo, hi);
            Some((Estimate { mean, interval: Some((lo, hi)), n }, short(mean)))
        }
        (Some(lo), None) => Some((Estimate { mean: lo, interval: None, n }, format!("≥ {}", short(lo)))),
        (None, Some(hi)) => Some((Estimate { mean: hi, interval: None, n }, format!("< {}", short(hi)))),
        (None, None) => None,
    }
}
