//! Which series is which: rows above the panels, or names at the ends of the lines.

use std::collections::BTreeMap;

use crate::axis::{Ruler, short};
use crate::canvas::{Align, Frame, Layer, Page, Plane, pixels};
use crate::draw::dash_attribute;
use crate::figure::{Figure, Marks, Panel};
use crate::look::Look;
use crate::reference;
use crate::shade;
use crate::text;
use crate::theme::Theme;

/// Length of a line's sample and the gap after an entry, in units of the font size.
const SAMPLE: f64 = 2.4;
const GAP: f64 = 1.2;

/// How a figure names its series.
pub(crate) enum Legend {
    /// Not at all: one series, or bars with names.
    None,
    /// At the right ends of the lines.
    Ends,
    /// In rows above the panels.
    Rows(Vec<Vec<Entry>>),
    /// Shades instead of series: what they mean, and the value of the darkest.
    Shades(&'static str, f64),
}

/// One name in a row.
pub(crate) struct Entry {
    label: String,
    /// Left edge, in units of the font size.
    left: f64,
    kind: Kind,
}

/// What a name belongs to.
#[derive(Clone, Copy)]
enum Kind {
    Series { marked: bool, lined: bool },
    Reference,
}

impl Legend {
    /// Entries in rows as wide as the page: all series, then the lines that they are held against.
    pub(crate) fn rows(figure: &Figure, theme: &Theme) -> Self {
        let room = theme.width / theme.font - 1.2;
        let mut rows: Vec<Vec<Entry>> = vec![Vec::new()];
        let all = || figure.panels.iter().flat_map(|panel| &panel.series);
        let series = figure.labels().into_iter().map(|label| {
            let other_than = |marks: &[Marks]| all().any(|s| s.label == label && !marks.contains(&s.marks));
            let marked = other_than(&[Marks::Curve, Marks::Steps, Marks::Strand]);
            (label, Kind::Series { marked, lined: other_than(&[Marks::Cloud]) })
        });
        let references = figure.references().into_iter().map(|label| (label, Kind::Reference));
        let mut left = 0.6;
        for (label, kind) in series.chain(references) {
            let width = SAMPLE + 0.5 + text::width(label);
            let last = rows.last_mut().expect("at least one row");
            if !last.is_empty() && left + width > room + 0.6 {
                left = 0.6;
                rows.push(Vec::new());
            }
            rows.last_mut().expect("at least one row").push(Entry { label: label.to_owned(), left, kind });
            left += width + GAP;
        }
        Self::Rows(rows)
    }

    /// In points.
    pub(crate) fn height(&self, theme: &Theme) -> f64 {
        match self {
            Self::None | Self::Ends => 0.0,
            Self::Shades(..) => 2.0 * theme.font,
            Self::Rows(rows) => (1.45 * rows.len() as f64 + 0.4) * theme.font,
        }
    }

    /// Draws the rows below `top` (points).
    pub(crate) fn draw(&self, page: &mut Page, looks: &BTreeMap<String, Look>, theme: &Theme, top: f64) {
        let rows = match self {
            Self::Rows(rows) => rows,
            Self::Shades(what, darkest) => return shades(page, theme, top, what, *darkest),
            Self::None | Self::Ends => return,
        };
        let Theme { font, line, marker, ink, background, .. } = theme;
        for (number, row) in rows.iter().enumerate() {
            let middle = pixels(top + (1.45 * number as f64 + 0.95) * font);
            for Entry { label, left, kind } in row {
                let (from, to) = (pixels(left * font), pixels((left + SAMPLE) * font));
                let name = |layer: &Layer<'_>| {
                    layer.text(label, (to + pixels(0.4 * font), middle), *font, ink, Align::Start);
                };
                let sample = [(from, middle), (to, middle)];
                let (marked, lined) = match kind {
                    Kind::Series { marked, lined } => (*marked, *lined),
                    Kind::Reference => {
                        reference::stroke(page, &sample, theme);
                        page.layer(&[("class", "reference".to_owned())], None, name);
                        continue;
                    }
                };
                let Some(look) = looks.get(label) else { continue };
                let key = || vec![("class", "key".to_owned()), ("data-series", label.clone())];
                let mut dashed = key();
                dashed.extend(dash_attribute(look, *line));
                if lined {
                    page.layer(&dashed, None, |layer| layer.line(&sample, &look.colour, *line));
                }
                page.layer(&key(), None, |layer| {
                    if marked {
                        layer.marker(look.marker, (i32::midpoint(from, to), middle), *marker, &look.colour, background);
                    }
                    name(layer);
                });
            }
        }
    }
}

/// A strip of all shades between the values at its ends.
fn shades(page: &mut Page, theme: &Theme, top: f64, what: &str, darkest: f64) {
    let Theme { font, ink, background, .. } = theme;
    let middle = pixels(top + 0.95 * font);
    page.layer(&[("class", "shades".to_owned())], None, |layer| {
        let mut at = 0.6 * font;
        let end = format!("{} {what}", short(darkest));
        layer.text("0", (pixels(at), middle), *font, ink, Align::Start);
        at += 1.0 * font;
        let step = 7.0 * font / f64::from(shade::LEVELS);
        for level in 1..=shade::LEVELS {
            let (left, right) = (pixels(at), pixels(at + step));
            let strip = Frame { left, top: middle - pixels(0.45 * font), right, bottom: middle + pixels(0.45 * font) };
            layer.rectangle(strip, &shade::colour(level, background), 1.0);
            at += step;
        }
        layer.text(&end, (pixels(at + 0.4 * font), middle), *font, ink, Align::Start);
    });
}

/// Writes each series' name beside its last point, moved up or down where names would touch.
pub(crate) fn ends(
    page: &mut Page,
    panel: &Panel,
    plane: &Plane,
    y: &Ruler,
    looks: &BTreeMap<String, Look>,
    theme: &Theme,
) {
    let Theme { font, line, ink, .. } = theme;
    let mut names: Vec<(i32, &str)> = panel
        .series
        .iter()
        .filter_map(|series| series.points.last().map(|last| (series, last)))
        .map(|(series, last)| (plane.pixel(0.0, y.clamp(last.y.mean)).1, series.label.as_str()))
        .collect();
    names.sort_by_key(|&(height, _)| height);
    let wanted: Vec<i32> = names.iter().map(|&(height, _)| height).collect();
    let heights = spread_out(&wanted, pixels(1.2 * font), plane.frame.top, plane.frame.bottom);
    for ((height, label), placed) in names.into_iter().zip(heights) {
        let Some(look) = looks.get(label) else { continue };
        let key = [("class", "key".to_owned()), ("data-series", label.to_owned())];
        page.layer(&key, None, |layer| {
            let (from, to) = (plane.frame.right + pixels(0.15 * font), plane.frame.right + pixels(0.8 * font));
            layer.line(&[(from, height), (to, placed)], &look.colour, 0.6 * line);
            layer.text(label, (to + pixels(0.2 * font), placed), *font, ink, Align::Start);
        });
    }
}

/// Sorted heights moved as little as needed to be a step apart and inside the frame.
fn spread_out(wanted: &[i32], step: i32, top: i32, bottom: i32) -> Vec<i32> {
    let mut placed: Vec<i32> = Vec::with_capacity(wanted.len());
    for &height in wanted {
        placed.push(placed.last().map_or(height.max(top), |&above| height.max(above + step)));
    }
    let mut limit = bottom;
    for height in placed.iter_mut().rev() {
        *height = (*height).min(limit);
        limit = *height - step;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance() {
        for (wanted, expected) in [
            (&[10, 50, 90][..], vec![10, 50, 90]),
            (&[50, 50, 52], vec![50, 60, 70]),
            (&[95, 99, 100], vec![80, 90, 100]),
            (&[-5, 200], vec![0, 100]),
        ] {
            assert_eq!(spread_out(wanted, 10, 0, 100), expected);
        }
    }
}
