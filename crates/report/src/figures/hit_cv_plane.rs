//! Cache affinity against load balance: the two things a scheduler trades.

use super::{Axis, Figure, FigureDef, Marks, Panel, RATE, Results, Scale, Series, Unavailable, drawn, series};
use crate::estimate::Estimate;
use crate::figure::Point;

pub(super) const DEF: FigureDef = FigureDef {
    name: "hit-cv-plane",
    summary: "hit ratio against load imbalance; several arrival rates are joined, one has its Pareto front",
    needs: "a run that served requests",
    build,
};

fn build(results: &Results) -> Result<Vec<Figure>, Unavailable> {
    let figures = results.slices(&[RATE]).into_iter().map(|slice| {
        let percent = |point: Point| Point { x: point.x.within(0.0, f64::INFINITY), y: point.y.map(|y| y * 100.0).within(0.0, 100.0), ..point };
        let points = |label: &str| slice.plane(label, RATE, "load_cv", "hit_ratio_tokens").into_iter().map(percent).collect();
        let mut series = series(&slice, Marks::Dots, points);
        if series.iter().all(|series| series.points.len() == 1) {
            series.insert(0, pareto(&series));
        }
        let panel = Panel {
            heading: None,
            x: Axis::new("Load CV (pending prefill tokens)", Scale::Linear),
            y: Axis::new("Prompt tokens hit (%)", Scale::Linear),
            series,
            references: Vec::new(),
        };
        Figure { name: slice.name(DEF.name), title: slice.title("Hit ratio and load balance"), panels: vec![panel], ..Figure::default() }
    });
    drawn(figures.collect(), &DEF)
}

/// The schedulers that no other beats in both, as a staircase.
fn pareto(series: &[Series]) -> Series {
    let mut places: Vec<(f64, f64)> = series.iter().flat_map(|series| &series.points).map(|point| (point.x.mean, point.y.mean)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (cv, hit) in places {
        match corners.last() {
            Some(&(_, best)) if hit <= best => {}
            Some(&(_, best)) => corners.extend([(cv, best), (cv, hit)]),
            None => corners.push((cv, hit)),
        }
    }
    let points = corners.into_iter().map(|(cv, hit)| Point::new(Estimate::exact(cv), Estimate::exact(hit))).collect();
    Series { label: "Pareto front".to_owned(), marks: Marks::Guide, points }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_steps_over_what_is_beaten() {
        let dot = |cv: f64, hit: f64| Series {
            label: format!("{cv} {hit}"),
            marks: Marks::Dots,
            points: vec![Point::new(Estimate::exact(cv), Estimate::exact(hit))],
        };
        let front = pareto(&[dot(1.0, 60.0), dot(0.5, 40.0), dot(0.7, 30.0), dot(0.5, 35.0)]);
        let corners: Vec<(f64, f64)> = front.points.iter().map(|point| (point.x.mean, point.y.mean)).collect();
        assert_eq!(corners, [(0.5, 40.0), (1.0, 40.0), (1.0, 60.0)]);
    }
}
