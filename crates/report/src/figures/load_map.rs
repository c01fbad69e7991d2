//! The load of every instance over time as shades.

use super::{Axis, Figure, FigureDef, Marks, Panel, Point, Results, Scale, Series, Unavailable, drawn};
use crate::estimate::Estimate;
use crate::results::LoadWindow;

pub(super) const DEF: FigureDef = FigureDef {
    name: "load-map",
    summary: "pending prefill tokens of every instance as shades, a row for each, a panel for each scheduler",
    needs: "load rows (`[output] load = true`)",
    build,
};

/// Columns of a panel at most: windows beyond are put together.
const COLUMNS: usize = 120;

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut panels = Vec::new();
        for label in slice.labels() {
            if let Some(run) = slice.loads(&label)?.first().filter(|run| !run.is_empty()) {
                panels.push(panel(&label, run));
            }
        }
        figures.push(Figure {
            name: slice.name(DEF.name),
            title: slice.title("Load of instances"),
            panels,
            spread: Some("time means; grey where an instance does not serve; the first seed"),
            shade: Some("pending tokens"),
            ..Figure::default()
        });
    }
    drawn(figures, &DEF)
}

fn panel(label: &str, run: &[LoadWindow]) -> Panel {
    let instances = run.iter().map(|window| window.instance).max().unwrap_or(0) + 1;
    let rows = (0..instances).flat_map(|instance| tiles(run, instance));
    let y = if instances <= 8 {
        Scale::Names((0..instances).map(|instance| instance.to_string()).collect())
    } else {
        Scale::Within(-0.5, instances as f64 - 0.5)
    };
    let end = run.last().map_or(0.0, |window| window.from_s + width(run));
    Panel {
        heading: Some(label.to_owned()),
        x: Axis::new("Time (s)", Scale::Within(0.0, end)),
        y: Axis::new("Instance", y),
        series: vec![Series { label: label.to_owned(), marks: Marks::Tiles, points: rows.collect() }],
        references: Vec::new(),
    }
}

fn tiles(run: &[LoadWindow], instance: usize) -> Vec<Point> {
    let own: Vec<&LoadWindow> = run.iter().filter(|window| window.instance == instance).collect();
    let every = own.len().div_ceil(COLUMNS).max(1);
    let width = width(run);
    let tile = |together: &[&LoadWindow]| {
        let from = together[0].from_s;
        let to = from + width * together.len() as f64;
        let load: f64 = together.iter().map(|window| window.pending_tokens).sum();
        let x = Estimate { mean: from, interval: Some((from, to)), n: 1 };
        let there = together.iter().any(|window| window.serving > 0.0);
        Point { value: there.then(|| load / together.len() as f64), ..Point::new(x, Estimate::exact(instance as f64)) }
    };
    own.chunks(every).map(tile).collect()
}

/// How long a window is.
fn width(run: &[LoadWindow]) -> f64 {
    run.iter().map(|window| window.from_s).find(|&from| from > 0.0).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_have_wider_tiles() {
        let window = |n: u32| LoadWindow {
            from_s: 10.0 * f64::from(n),
            pending_tokens: f64::from(n),
            serving: 1.0,
            ..LoadWindow::default()
        };
        let run: Vec<LoadWindow> = (0..240).map(window).collect();
        let tiles = tiles(&run, 0);
        assert_eq!(tiles.len(), 120);
        assert_eq!((tiles[1].x.interval, tiles[1].value), (Some((20.0, 40.0)), Some(2.5)));
    }
}
