//! What a cluster that changes does over time.

use super::{At, Axis, Figure, FigureDef, Marks, Panel, Reference, Results, Scale, Series, Unavailable, drawn};
use crate::estimate::Estimate;
use crate::figure::Point;
use crate::results::FleetWindow;

pub(super) const DEF: FigureDef = FigureDef {
    name: "over-time",
    summary: "SLO attainment, hit ratio and instances over time, by 10 s of arrival (for clusters that change)",
    needs: "a cluster that changes (`event`, `dynamics`, `autoscaler` or `clients`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut runs: Vec<(String, Vec<Vec<FleetWindow>>)> = Vec::new();
        for label in slice.labels() {
            runs.push((label.clone(), slice.windows(&label)?));
        }
        let target = slice.objectives().attain.unwrap_or(0.9) * 100.0;
        let target = vec![Reference { at: At::Y(target), label: format!("target {target} %") }];
        let panels = vec![
            panel("SLO attainment (%)", Scale::Percent, &runs, target, |w| w.attainment.map(|share| share * 100.0)),
            panel("Hit ratio (%)", Scale::Percent, &runs, Vec::new(), |w| w.hit_ratio.map(|share| share * 100.0)),
            panel("Instances", Scale::FromZero, &runs, Vec::new(), |w| Some(f64::from(w.members))),
        ];
        figures.push(Figure {
            name: slice.name(DEF.name),
            title: slice.title("Over time"),
            panels,
            spread: Some("mean over seeds"),
            ..Figure::default()
        });
    }
    drawn(figures, &DEF)
}

fn panel(
    name: &str,
    scale: Scale,
    runs: &[(String, Vec<Vec<FleetWindow>>)],
    references: Vec<Reference>,
    value: fn(&FleetWindow) -> Option<f64>,
) -> Panel {
    let series = runs.iter().map(|(label, seeds)| Series {
        label: label.clone(),
        marks: Marks::Curve,
        points: curve(seeds, value),
    });
    Panel {
        heading: None,
        x: Axis::new("Arrival (s)", Scale::FromZero),
        y: Axis::new(name, scale),
        series: series.filter(|series| !series.points.is_empty()).collect(),
        references,
    }
}

/// The mean over seeds at each time.
fn curve(seeds: &[Vec<FleetWindow>], value: fn(&FleetWindow) -> Option<f64>) -> Vec<Point> {
    let mut times: Vec<f64> = seeds.iter().flatten().map(|window| window.from_s).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let at = |time: f64| {
        let there = seeds.iter().flatten().filter(|window| window.from_s.total_cmp(&time).is_eq());
        let values: Vec<f64> = there.filter_map(value).collect();
        let mean = Estimate::exact(values.iter().sum::<f64>() / values.len() as f64);
        (!values.is_empty()).then(|| Point::new(Estimate::exact(time), mean))
    };
    times.into_iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_means_over_the_seeds_that_have_a_value() {
        let window = |from_s, attainment| FleetWindow { from_s, attainment, hit_ratio: None, members: 1 };
        let seeds = [vec![window(0.0, Some(1.0)), window(10.0, None)], vec![window(0.0, Some(0.5))]];
        let points = curve(&seeds, |window| window.attainment);
        let pairs: Vec<(f64, f64)> = points.iter().map(|point| (point.x.mean, point.y.mean)).collect();
        assert_eq!(pairs, [(0.0, 0.75)]);
    }
}
