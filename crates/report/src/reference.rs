//! Lines that the data are held against. Where there is a legend they are named in it.

use crate::canvas::{Align, Frame, Page, pixels};
use crate::draw::{BAR, DrawnPanel};
use crate::figure::{At, Marks, Reference, Series};
use crate::text;
use crate::theme::Theme;

/// The two ends of the line on the page; nothing when its value is off the axis.
fn ends(reference: &Reference, panel: &DrawnPanel<'_>) -> Option<[(i32, i32); 2]> {
    let inner = panel.plane.frame;
    match reference.at {
        At::Y(value) => {
            let place = panel.y.place(value).filter(|at| (panel.y.from..=panel.y.to).contains(at))?;
            let (_, height) = panel.plane.pixel(panel.x.from, place);
            Some([(inner.left, height), (inner.right, height)])
        }
        At::X(value) => {
            let place = panel.x.place(value).filter(|at| (panel.x.from..=panel.x.to).contains(at))?;
            let (across, _) = panel.plane.pixel(place, panel.y.from);
            Some([(across, inner.bottom), (across, inner.top)])
        }
    }
}

/// Draws the line, below the data.
pub(crate) fn line(page: &mut Page, reference: &Reference, panel: &DrawnPanel<'_>, theme: &Theme) {
    if let Some(line) = ends(reference, panel) {
        stroke(page, &line, theme);
    }
}

/// A thin dashed line.
pub(crate) fn stroke(page: &mut Page, line: &[(i32, i32); 2], theme: &Theme) {
    let dashes = ("stroke-dasharray", format!("{} {}", pixels(0.4 * theme.font), pixels(0.3 * theme.font)));
    let class = ("class", "reference".to_owned());
    page.layer(&[class, dashes], None, |layer| layer.line(line, &theme.ink, 0.1 * theme.font));
}

/// Writes the label where it covers the least, above the data.
pub(crate) fn label(page: &mut Page, reference: &Reference, panel: &DrawnPanel<'_>, series: &[Series], theme: &Theme) {
    let Some([from, to]) = ends(reference, panel).filter(|_| !reference.label.is_empty()) else { return };
    let size = 0.9 * theme.font;
    let (width, height) = (pixels(text::width(&reference.label) * size), pixels(1.04 * size));
    let gap = pixels(0.22 * theme.font);
    let boxed = |left: i32, top: i32| Frame { left, top, right: left + width, bottom: top + height };
    let along = |low: i32, high: i32| (0..=8).map(move |eighth| low + (high - low) * eighth / 8);
    let inner = panel.plane.frame;
    let candidates: Vec<Frame> = match reference.at {
        At::Y(_) => [from.1 - height - gap / 2, from.1 + gap]
            .into_iter()
            .flat_map(|top| along(inner.left + gap, inner.right - width - gap).map(move |left| boxed(left, top)))
            .collect(),
        At::X(_) => [to.0 + gap, to.0 - width - gap]
            .into_iter()
            .flat_map(|left| along(inner.top, inner.bottom - height - gap).map(move |top| boxed(left, top)))
            .collect(),
    };
    let inside = |frame: &Frame| {
        frame.left >= inner.left && frame.right <= inner.right && frame.top >= inner.top && frame.bottom <= inner.bottom
    };
    let covered = obstacles(series, panel, theme);
    let margin = pixels(0.5 * theme.marker);
    let hidden = |frame: &Frame| covered.iter().filter(|&&point| holds(frame, point, margin)).count();
    let Some(place) = candidates.into_iter().filter(inside).min_by_key(hidden) else { return };
    page.layer(&[("class", "reference".to_owned())], None, |layer| {
        layer.rectangle(place, &theme.background, 0.8);
        layer.text(
            &reference.label,
            (place.left, i32::midpoint(place.top, place.bottom)),
            size,
            &theme.ink,
            Align::Start,
        );
    });
}

fn holds(frame: &Frame, (x, y): (i32, i32), margin: i32) -> bool {
    (frame.left - margin..=frame.right + margin).contains(&x)
        && (frame.top - margin..=frame.bottom + margin).contains(&y)
}

/// Points all along the lines and bars of the data, and along what is written beside the bars.
fn obstacles(series: &[Series], panel: &DrawnPanel<'_>, theme: &Theme) -> Vec<(i32, i32)> {
    const STEPS: i32 = 30;
    let mut points = Vec::new();
    let mut follow = |from: (i32, i32), to: (i32, i32)| {
        points.extend(
            (0..=STEPS).map(|step| (from.0 + (to.0 - from.0) * step / STEPS, from.1 + (to.1 - from.1) * step / STEPS)),
        );
    };
    for series in series {
        if series.marks == Marks::Bars {
            for point in &series.points {
                let note = point.note.as_deref().map_or(0.0, |note| text::width(note) + 0.6);
                for edge in [-BAR / 2.0, 0.0, BAR / 2.0] {
                    let (end, height) = panel.pixel(point.x.extent().1, point.y.mean + edge);
                    follow(panel.pixel(0.0, point.y.mean + edge), (end + pixels(note * theme.font), height));
                }
            }
            continue;
        }
        let places: Vec<(i32, i32)> =
            series.points.iter().map(|point| panel.pixel(point.x.mean, point.y.mean)).collect();
        places.windows(2).for_each(|pair| follow(pair[0], pair[1]));
    }
    points
}
