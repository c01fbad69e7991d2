//! The distribution of the time to first token over requests.

use super::{At, Axis, Figure, FigureDef, Marks, Panel, Results, Scale, Series, Unavailable, drawn, ttft_objective};
use crate::estimate::Estimate;
use crate::figure::Point;

pub(super) const DEF: FigureDef = FigureDef {
    name: "ttft-cdf",
    summary: "distribution of the time to first token over requests, all seeds together (needs per-request rows)",
    build,
};

/// Points of a curve: more cannot be seen.
const POINTS: usize = 300;

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut series = Vec::new();
        for label in slice.labels() {
            series.push(Series { points: distribution(&slice.ttfts(&label)?), label, marks: Marks::Curve });
        }
        series.retain(|series| !series.points.is_empty());
        let panel = Panel {
            heading: None,
            x: Axis::new("TTFT (s)", Scale::Log),
            y: Axis::new("Requests (%)", Scale::Percent),
            series,
            references: ttft_objective(&slice, At::X),
        };
        figures.push(Figure { name: slice.name(DEF.name), title: slice.title("Time to first token"), panels: vec![panel], spread: None });
    }
    drawn(figures, DEF.name, "per-request rows (cells/<cell>/requests.parquet)")
}

/// The share of all requests at or below each time, thinned out evenly. Requests without a first token never count as
/// below: a curve with some does not reach 100 %.
pub(crate) fn distribution(samples: &[Option<f64>]) -> Vec<Point> {
    let mut times: Vec<f64> = samples.iter().copied().flatten().filter(|&time| time > 0.0).collect();
    times.sort_by(f64::total_cmp);
    let instant = samples.iter().flatten().count() - times.len();
    let every = times.len().div_ceil(POINTS).max(1);
    let share = |rank: usize| (instant + rank + 1) as f64 / samples.len() as f64 * 100.0;
    let last = times.len().saturating_sub(1);
    let ranks = (0..times.len()).filter(|rank| rank % every == 0 || *rank == last);
    ranks.map(|rank| Point::new(Estimate::exact(times[rank]), Estimate::exact(share(rank)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_requests_keep_the_curve_below_the_top() {
        let points = distribution(&[Some(2.0), None, Some(1.0), Some(0.0)]);
        let pairs: Vec<(f64, f64)> = points.iter().map(|point| (point.x.mean, point.y.mean)).collect();
        assert_eq!(pairs, [(1.0, 50.0), (2.0, 75.0)]);
        let many: Vec<Option<f64>> = (1..=10_000).map(|n| Some(f64::from(n))).collect();
        let thinned = distribution(&many);
        assert!(thinned.len() <= POINTS + 1);
        assert_eq!(thinned.last().map(|point| (point.x.mean, point.y.mean)), Some((10_000.0, 100.0)));
    }
}
