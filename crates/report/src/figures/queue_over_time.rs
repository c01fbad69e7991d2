//! Queues and migrations over time.

use super::{Axis, Figure, FigureDef, Marks, Panel, Point, Results, Scale, Series, Unavailable, drawn};
use crate::estimate::Estimate;
use crate::results::{LoadWindow, WINDOW_S};

pub(super) const DEF: FigureDef = FigureDef {
    name: "queue-over-time",
    summary: "requests waiting at all instances together (not those that the router keeps), and requests moved between queues, by 10 s",
    needs: "load rows (`[output] load = true`)",
    build,
};

/// The windows of each run of a scheduler.
type Runs = (String, Vec<Vec<LoadWindow>>);

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut all: Vec<Runs> = Vec::new();
        for label in slice.labels() {
            all.push((label.clone(), slice.loads(&label)?));
        }
        let mut panels = vec![panel("Waiting at instances", &all, |window| window.waiting)];
        let moved = panel("Moved in 10 s", &all, |window| window.moved);
        let moves = moved.series.iter().flat_map(|series| &series.points).any(|point| point.y.mean > 0.0);
        panels.extend(moves.then_some(moved));
        figures.push(Figure { name: slice.name(DEF.name), title: slice.title("Queues"), panels, ..Figure::default() });
    }
    drawn(figures, &DEF)
}

fn panel(name: &str, all: &[Runs], value: fn(&LoadWindow) -> f64) -> Panel {
    let series = all.iter().map(|(label, runs)| Series {
        label: label.clone(),
        marks: Marks::Steps,
        points: curve(runs, value),
    });
    Panel {
        heading: None,
        x: Axis::new("Time (s)", Scale::FromZero),
        y: Axis::new(name, Scale::FromZero),
        series: series.filter(|series| !series.points.is_empty()).collect(),
        references: Vec::new(),
    }
}

/// The sum over instances in each window, and its mean over runs; those that are over by then count as empty. Intervals
/// of every window by itself would hide the curves.
fn curve(runs: &[Vec<LoadWindow>], value: fn(&LoadWindow) -> f64) -> Vec<Point> {
    let mut times: Vec<f64> = runs.iter().flatten().map(|window| window.from_s).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let sums = |run: &Vec<LoadWindow>| -> Vec<(f64, f64)> {
        let together = run.chunk_by(|a, b| a.from_s.total_cmp(&b.from_s).is_eq());
        together.map(|windows| (windows[0].from_s, windows.iter().map(value).sum())).collect()
    };
    let sums: Vec<Vec<(f64, f64)>> = runs.iter().map(sums).collect();
    let at = |time: f64| {
        let of =
            |run: &Vec<(f64, f64)>| run.binary_search_by(|(from, _)| from.total_cmp(&time)).map_or(0.0, |at| run[at].1);
        let values: Vec<f64> = sums.iter().map(of).collect();
        Some(Point::over(time, time + WINDOW_S, Estimate::of(&values)?.bare()))
    };
    times.into_iter().filter_map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_add_up_over_instances_and_average_over_runs() {
        let window = |from_s, instance, waiting| LoadWindow { from_s, instance, waiting, ..LoadWindow::default() };
        let runs = [vec![window(0.0, 0, 3.0), window(0.0, 1, 5.0)], vec![window(0.0, 0, 2.0), window(10.0, 0, 4.0)]];
        let points = curve(&runs, |window| window.waiting);
        let steps: Vec<_> = points.iter().map(|point| (point.x.interval, point.y.mean, point.y.n)).collect();
        assert_eq!(steps, [(Some((0.0, 10.0)), 5.0, 2), (Some((10.0, 20.0)), 2.0, 2)]);
    }
}
