//! The three times of a request, each drawn in the same ways: quantiles against the arrival rate, and distributions.

use super::{
    At, Axis, Figure, FigureDef, Marks, Panel, Point, Reference, Results, Scale, Series, Slice, Unavailable, by_rate,
    drawn, lines, rate_axis,
};
use crate::axis::wide;
use crate::estimate::Estimate;
use crate::results::Objectives;

/// A time that requests take.
pub(crate) struct Time {
    /// Its short name.
    name: &'static str,
    /// Its long name.
    title: &'static str,
    /// How its columns begin.
    column: &'static str,
    unit: &'static str,
    /// Units in a second.
    factor: f64,
    objective: fn(&Objectives) -> Option<f64>,
    /// Whether requests without it count as later than any.
    lost_count: bool,
}

pub(super) const TTFT: Time = Time {
    name: "TTFT",
    title: "Time to first token",
    column: "ttft",
    unit: "s",
    factor: 1.0,
    objective: |objectives| objectives.ttft_s,
    lost_count: true,
};

pub(super) const TPOT: Time = Time {
    name: "TPOT",
    title: "Time per output token",
    column: "tpot",
    unit: "ms",
    factor: 1e3,
    objective: |objectives| objectives.tpot_s,
    lost_count: false,
};

pub(super) const E2E: Time = Time {
    name: "E2E",
    title: "Time from end to end",
    column: "e2e",
    unit: "s",
    factor: 1.0,
    objective: |objectives| objectives.e2e_s,
    lost_count: true,
};

/// Points of a curve: more cannot be seen.
const POINTS: usize = 300;

impl Time {
    fn axis(&self, scale: Scale) -> Axis {
        Axis::new(format!("{} ({})", self.name, self.unit), scale)
    }

    /// Its objective as a line, if it has one.
    pub(super) fn objective(&self, slice: &Slice<'_>, at: fn(f64) -> At) -> Vec<Reference> {
        let value = (self.objective)(&slice.objectives()).map(|seconds| seconds * self.factor);
        value
            .map(|value| Reference { at: at(value), label: format!("SLO {value} {}", self.unit) })
            .into_iter()
            .collect()
    }

    /// P50, P90 and P99 against the arrival rate, a panel each.
    pub(super) fn against_rate(&self, results: &Results, def: &FigureDef) -> Result<Vec<Figure>, Unavailable> {
        let figures = by_rate(results, def)?.into_iter().map(|slice| {
            let panel = |quantile: u32| Panel {
                heading: Some(format!("P{quantile}")),
                x: rate_axis(),
                y: self.axis(Scale::LogIfWide),
                series: lines(&slice, &format!("{}_p{quantile}_s", self.column), self.factor, f64::INFINITY),
                references: self.objective(&slice, At::Y),
            };
            Figure {
                name: slice.name(def.name),
                title: slice.title(self.title),
                panels: one_scale([50, 90, 99].map(panel).into()),
                ..Figure::default()
            }
        });
        drawn(figures.collect(), def)
    }

    /// The distribution over requests, of all seeds together.
    pub(super) fn distributed(&self, results: &Results, def: &FigureDef) -> Result<Vec<Figure>, Unavailable> {
        let mut figures = Vec::new();
        for slice in results.slices(&[]) {
            let mut series = Vec::new();
            for label in slice.labels() {
                let mut samples = slice.samples(&label, &format!("{}_s", self.column))?;
                samples.retain(|sample| sample.is_some() || self.lost_count);
                let points = distribution(&samples);
                let scaled = |point: Point| Point { x: point.x.map(|x| x * self.factor), ..point };
                let points: Vec<Point> = points.into_iter().map(scaled).collect();
                series.push(Series { points, label, marks: Marks::Curve });
            }
            series.retain(|series| !series.points.is_empty());
            let panel = Panel {
                heading: None,
                x: self.axis(Scale::Log),
                y: Axis::new("Requests (%)", Scale::Percent),
                series,
                references: self.objective(&slice, At::X),
            };
            figures.push(Figure {
                name: slice.name(def.name),
                title: slice.title(self.title),
                panels: vec![panel],
                spread: Some("all requests of all seeds"),
                ..Figure::default()
            });
        }
        drawn(figures, def)
    }
}

/// Panels of one quantity with one scale for all: by ratio where one of them needs it. Beside each other, panels with
/// different scales would seem to have different shapes.
fn one_scale(mut panels: Vec<Panel>) -> Vec<Panel> {
    let heights = |panel: &Panel| -> Vec<f64> {
        let points = panel.series.iter().flat_map(|series| &series.points);
        points.flat_map(|point| <[f64; 2]>::from(point.y.extent())).collect()
    };
    let by_ratio = panels.iter().any(|panel| wide(&heights(panel)));
    for panel in &mut panels {
        panel.y.scale = if by_ratio { Scale::Log } else { Scale::FromZero };
    }
    panels
}

/// The share of all requests at or below each time, thinned out evenly. Requests without one never count as below: a
/// curve with some does not reach 100 %.
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

    #[test]
    fn panels_of_one_figure_have_one_scale() {
        let panel = |low: f64, high: f64| Panel {
            heading: None,
            x: rate_axis(),
            y: TTFT.axis(Scale::LogIfWide),
            series: vec![Series {
                label: String::new(),
                marks: Marks::Line,
                points: [low, high].map(|y| Point::new(Estimate::exact(1.0), Estimate::exact(y))).into(),
            }],
            references: Vec::new(),
        };
        let scales = |panels: Vec<Panel>| one_scale(panels).into_iter().map(|panel| panel.y.scale).collect::<Vec<_>>();
        assert_eq!(scales(vec![panel(0.1, 9.0), panel(1.0, 9.0)]), [Scale::Log, Scale::Log]);
        assert_eq!(scales(vec![panel(0.1, 0.9), panel(10.0, 90.0)]), [Scale::FromZero, Scale::FromZero]);
        assert_eq!(scales(vec![panel(0.0, 0.0)]), [Scale::FromZero]);
    }
}
