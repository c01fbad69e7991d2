//! The load of every instance over time: how far apart a scheduler lets them drift.

use super::{Axis, Figure, FigureDef, Marks, Panel, Point, Results, Scale, Series, Unavailable, drawn};
use crate::estimate::Estimate;
use crate::results::LoadWindow;

pub(super) const DEF: FigureDef = FigureDef {
    name: "load-over-time",
    summary: "pending prefill tokens of every instance by 10 s, a panel for each scheduler, and their mean",
    needs: "load rows (`[output] load = true`)",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut panels = Vec::new();
        for label in slice.labels() {
            if let Some(run) = slice.loads(&label)?.first().filter(|run| !run.is_empty()) {
                panels.push(panel(&label, run));
            }
        }
        // One scale for all, so that panels can be compared.
        let points = panels.iter().flat_map(|panel: &Panel| &panel.series).flat_map(|series| &series.points);
        let most = points.map(|point| point.y.mean).fold(1.0, f64::max) * 1.04;
        for panel in &mut panels {
            panel.y.scale = Scale::Within(0.0, most);
        }
        figures.push(Figure {
            name: slice.name(DEF.name),
            title: slice.title("Load of instances"),
            panels,
            spread: Some("thin: one instance each, thick: the mean of those that serve; the first seed"),
            ..Figure::default()
        });
    }
    drawn(figures, &DEF)
}

fn panel(label: &str, run: &[LoadWindow]) -> Panel {
    let instances = run.iter().map(|window| window.instance).max().unwrap_or(0) + 1;
    let at = |window: &LoadWindow, load: f64| Point::new(Estimate::exact(window.from_s), Estimate::exact(load));
    let series = |marks, points| Series { label: label.to_owned(), marks, points };
    let one = |instance: usize| {
        let own = run.iter().filter(|window| window.instance == instance && window.serving > 0.0);
        let named = |window: &LoadWindow| Point {
            note: Some(format!("instance {instance}")),
            ..at(window, window.pending_tokens)
        };
        series(Marks::Strand, own.map(named).collect())
    };
    let mean = run.chunk_by(|a, b| a.from_s.total_cmp(&b.from_s).is_eq()).map(|together| {
        let sum: f64 = together.iter().map(|window| window.pending_tokens).sum();
        let serving: f64 = together.iter().map(|window| window.serving).sum();
        Point { note: Some("mean".to_owned()), ..at(&together[0], sum / serving.max(1e-9)) }
    });
    let mean = series(Marks::Curve, mean.collect());
    Panel {
        heading: Some(label.to_owned()),
        x: Axis::new("Time (s)", Scale::FromZero),
        y: Axis::new("Pending tokens", Scale::FromZero),
        series: (0..instances).map(one).chain([mean]).collect(),
        references: Vec::new(),
    }
}
