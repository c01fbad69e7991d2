//! Values over spans of x: each is drawn over its own span, and nothing where none is known.

use crate::canvas::{Layer, Page};
use crate::draw::{DrawnPanel, dash_attribute};
use crate::figure::{Point, Series};
use crate::look::Look;
use crate::theme::Theme;

/// Spans that are this close touch.
const NEAR: f64 = 1e-6;

/// Steps that touch, one group for each unbroken stretch.
fn stretches(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.chunk_by(|a, b| (b.x.extent().0 - a.x.extent().1).abs() <= NEAR)
}

/// Both ends of every step.
fn corners(steps: &[Point]) -> Vec<(f64, f64)> {
    steps.iter().flat_map(|step| <[f64; 2]>::from(step.x.extent()).map(|across| (across, step.y.mean))).collect()
}

/// The same on the page.
fn line(steps: &[Point], panel: &DrawnPanel<'_>) -> Vec<(i32, i32)> {
    corners(steps).into_iter().map(|(across, up)| panel.pixel(across, up)).collect()
}

/// A curve of steps. A stretch without any width is a moment, which would not be seen, and has a marker.
pub(crate) fn draw(page: &mut Page, series: &Series, look: &Look, panel: &DrawnPanel<'_>, theme: &Theme) {
    let class = |part: &str| vec![("class", part.to_owned()), ("data-series", series.label.clone())];
    let mut stroke = class("line");
    stroke.extend(dash_attribute(look, theme.line));
    let moment = |steps: &&[Point]| steps.iter().all(|step| step.x.extent().1 - step.x.extent().0 <= NEAR);
    page.layer(&stroke, Some(&series.label), |layer| {
        for steps in stretches(&series.points).filter(|steps| !moment(steps)) {
            layer.line(&line(steps, panel), &look.colour, theme.line);
        }
    });
    page.layer(&class("markers"), Some(&series.label), |layer| {
        for steps in stretches(&series.points).filter(moment) {
            let at = panel.pixel(steps[0].x.mean, steps[0].y.mean);
            layer.marker(look.marker, at, theme.marker, &look.colour, &theme.background);
        }
    });
}

/// One of many of a kind: thin and translucent.
pub(crate) fn faint(layer: &Layer<'_>, series: &Series, look: &Look, panel: &DrawnPanel<'_>, theme: &Theme) {
    for steps in stretches(&series.points) {
        layer.faint_line(&line(steps, panel), &look.colour, 0.45 * theme.line, 0.55);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Estimate;

    #[test]
    fn lines_break_where_a_span_is_missing() {
        let step = |(from, to, y): (f64, f64, f64)| Point::over(from, to, Estimate::exact(y));
        let points = [(0.0, 10.0, 1.0), (10.0, 20.0, 3.0), (40.0, 50.0, 2.0)].map(step);
        let lines: Vec<_> = stretches(&points).map(corners).collect();
        assert_eq!(lines, [vec![(0.0, 1.0), (10.0, 1.0), (10.0, 3.0), (20.0, 3.0)], vec![(40.0, 2.0), (50.0, 2.0)]]);
    }
}
