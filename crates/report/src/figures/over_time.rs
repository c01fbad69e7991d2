//! What a cluster that changes does over time.

use super::{Axis, Figure, FigureDef, Marks, Panel, Reference, Results, Scale, Series, Unavailable, drawn, target};
use crate::estimate::Estimate;
use crate::figure::Point;
use crate::results::{Attainment, FleetWindow, WINDOW_S};

pub(super) const DEF: FigureDef = FigureDef {
    name: "over-time",
    summary: "share in the TTFT SLO and hit ratio by 10 s of arrival, instances after each 10 s (for clusters that change)",
    needs: "a cluster that changes (`event`, `dynamics`, `autoscaler` or `clients`)",
    build,
};

/// The windows of each run of a scheduler.
type Runs = (String, Vec<Vec<FleetWindow>>);

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let mut figures = Vec::new();
    for slice in results.slices(&[]) {
        let mut runs: Vec<Runs> = Vec::new();
        for label in slice.labels() {
            runs.push((label.clone(), slice.windows(&label)?));
        }
        // Windows know the time to first token alone; a target over other objectives is none for it.
        let alone = results.attainment() == Attainment::Ttft;
        let target = alone.then(|| target(&slice)).into_iter().collect();
        let percent = |share: Option<f64>| share.map(|share| share * 100.0);
        let panels = [
            panel("In TTFT SLO (%)", Scale::Percent, &runs, target, |seeds| means(seeds, |w| percent(w.attainment))),
            panel("Hit ratio (%)", Scale::Percent, &runs, Vec::new(), |seeds| means(seeds, |w| percent(w.hit_ratio))),
            panel("Instances", Scale::FromZero, &runs, Vec::new(), members),
        ];
        figures.push(Figure {
            name: slice.name(DEF.name),
            title: slice.title("Over time"),
            panels: panels.into_iter().flatten().collect(),
            ..Figure::default()
        });
    }
    drawn(figures, &DEF)
}

/// A curve for each scheduler; nothing where none has a point, such as an attainment without an objective.
fn panel(
    name: &str,
    scale: Scale,
    runs: &[Runs],
    references: Vec<Reference>,
    curve: impl Fn(&[Vec<FleetWindow>]) -> Vec<Point>,
) -> Option<Panel> {
    let series =
        runs.iter().map(|(label, seeds)| Series { label: label.clone(), marks: Marks::Steps, points: curve(seeds) });
    let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
    (!series.is_empty()).then(|| Panel {
        heading: None,
        x: Axis::new("Arrival (s)", Scale::FromZero),
        y: Axis::new(name, scale),
        series,
        references,
    })
}

/// The mean of each window over the seeds that have a value there, over the length of the window. Intervals of every
/// window by itself would hide the curves.
fn means(seeds: &[Vec<FleetWindow>], value: impl Fn(&FleetWindow) -> Option<f64>) -> Vec<Point> {
    let mut times: Vec<f64> = seeds.iter().flatten().map(|window| window.from_s).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let at = |time: f64| {
        let there = seeds.iter().flatten().filter(|window| window.from_s.total_cmp(&time).is_eq());
        let values: Vec<f64> = there.filter_map(&value).collect();
        Some(Point::over(time, time + WINDOW_S, Estimate::of(&values)?.bare()))
    };
    times.into_iter().filter_map(at).collect()
}

/// Instances as they were counted, at the ends of windows. A count stands until the next one of its seed: a line never
/// moves before what it shows, and the last count is a moment.
fn members(seeds: &[Vec<FleetWindow>]) -> Vec<Point> {
    let mut ends: Vec<f64> = seeds.iter().flatten().map(|window| window.from_s + WINDOW_S).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let standing = |end: f64| {
        let last = |seed: &Vec<FleetWindow>| {
            seed.iter().rfind(|window| window.from_s + WINDOW_S <= end).map(|window| f64::from(window.members))
        };
        Estimate::of(&seeds.iter().filter_map(last).collect::<Vec<_>>())
    };
    let until = |at: usize| ends.get(at + 1).copied().unwrap_or(ends[at]);
    let point = |(at, &end): (usize, &f64)| Some(Point::over(end, until(at), standing(end)?.bare()));
    ends.iter().enumerate().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from_s: f64, attainment: Option<f64>, members: u32) -> FleetWindow {
        FleetWindow { from_s, attainment, hit_ratio: None, members }
    }

    /// From, to, height and number of seeds.
    fn steps(points: &[Point]) -> Vec<(f64, f64, f64, usize)> {
        points.iter().map(|point| (point.x.extent().0, point.x.extent().1, point.y.mean, point.y.n)).collect()
    }

    #[test]
    fn curves_are_means_over_the_seeds_that_have_a_value() {
        let first = vec![window(0.0, Some(1.0), 1), window(10.0, None, 1), window(20.0, Some(0.25), 1)];
        let seeds = [first, vec![window(0.0, Some(0.5), 1)]];
        let points = means(&seeds, |window| window.attainment);
        assert_eq!(steps(&points), [(0.0, 10.0, 0.75, 2), (20.0, 30.0, 0.25, 1)]);
    }

    #[test]
    fn counts_stand_from_the_end_of_their_window_to_the_next_count() {
        let seeds = [vec![window(0.0, None, 4), window(10.0, None, 3), window(40.0, None, 4)]];
        assert_eq!(steps(&members(&seeds)), [(10.0, 20.0, 4.0, 1), (20.0, 50.0, 3.0, 1), (50.0, 50.0, 4.0, 1)]);
        assert_eq!(steps(&members(&[vec![window(0.0, None, 4)]])), [(10.0, 10.0, 4.0, 1)]);
        // Seeds whose windows alternate: each count stands on.
        let seeds = [vec![window(0.0, None, 4), window(20.0, None, 6)], vec![window(10.0, None, 10)]];
        assert_eq!(steps(&members(&seeds)), [(10.0, 20.0, 4.0, 1), (20.0, 30.0, 7.0, 2), (30.0, 30.0, 8.0, 2)]);
    }
}
