//! The load of every instance over time: how far apart a scheduler lets them drift.

use super::{Axis, Figure, FigureDef, Marks, Panel, Point, Results, Scale, Series, Unavailable, drawn};
use crate::estimate::Estimate;
use crate::results::{LoadWindow, WINDOW_S};

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
    let at = |from: f64, load: f64| Point::over(from, from + WINDOW_S, Estimate::exact(load));
    let series = |marks, points| Series { label: label.to_owned(), marks, points };
    let one = |instance: usize| {
        let own = run.iter().filter(|window| window.instance == instance && window.serving > 0.0);
        let named = |window: &LoadWindow| Point {
            note: Some(format!("instance {instance}")),
            ..at(window.from_s, window.pending_tokens)
        };
        series(Marks::Strand, own.map(named).collect())
    };
    let mean = run.chunk_by(|a, b| a.from_s.total_cmp(&b.from_s).is_eq()).filter_map(|together| {
        let sum: f64 = together.iter().map(|window| window.pending_tokens).sum();
        let serving: f64 = together.iter().map(|window| window.serving).sum();
        let point = || Point { note: Some("mean".to_owned()), ..at(together[0].from_s, sum / serving) };
        (serving > 0.0).then(point)
    });
    let mean = series(Marks::Steps, mean.collect());
    Panel {
        heading: Some(label.to_owned()),
        x: Axis::new("Time (s)", Scale::FromZero),
        y: Axis::new("Pending tokens", Scale::FromZero),
        series: (0..instances).map(one).chain([mean]).collect(),
        references: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_serve_has_no_line_and_no_part_in_the_mean() {
        let window = |n: u32, instance, load, serving| LoadWindow {
            from_s: 10.0 * f64::from(n),
            instance,
            pending_tokens: load,
            serving,
            ..LoadWindow::default()
        };
        // The second instance is away in the second window and for half of the third, both are in the fourth.
        let served = [[1.0, 1.0], [1.0, 0.0], [1.0, 0.5], [0.0, 0.0], [1.0, 1.0]];
        let loads = [[4.0, 8.0], [6.0, 0.0], [6.0, 3.0], [0.0, 0.0], [2.0, 6.0]];
        let run: Vec<LoadWindow> = (0..5_u32)
            .flat_map(|n| [0, 1].map(|i| window(n, i, loads[n as usize][i], served[n as usize][i])))
            .collect();
        let panel = panel("x", &run);
        let steps = |series: &Series| -> Vec<(f64, f64, f64)> {
            series.points.iter().map(|p| (p.x.extent().0, p.x.extent().1, p.y.mean)).collect()
        };
        assert_eq!(steps(&panel.series[1]), [(0.0, 10.0, 8.0), (20.0, 30.0, 3.0), (40.0, 50.0, 6.0)]);
        let mean = [(0.0, 10.0, 6.0), (10.0, 20.0, 6.0), (20.0, 30.0, 6.0), (40.0, 50.0, 4.0)];
        assert_eq!(steps(&panel.series[2]), mean);
        let marks = panel.series.iter().map(|series| series.marks);
        assert_eq!(marks.collect::<Vec<_>>(), [Marks::Strand, Marks::Strand, Marks::Steps]);
    }
}
