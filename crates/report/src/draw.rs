//! From a figure to SVG: where everything goes.

use std::collections::BTreeMap;

use crate::axis::{Axis, Ruler, Scale, short};
use crate::canvas::{Align, Frame, Layer, Page, Plane, UNIT, pixels};
use crate::estimate::Estimate;
use crate::figure::{At, Figure, Marks, Panel, Point, Series};
use crate::legend::{self, Legend};
use crate::look::Look;
use crate::pages::PAGE;
use crate::reference;
use crate::shade;
use crate::steps;
use crate::text;
use crate::theme::Theme;

/// Room for the name of an axis across, in units of the font size.
const X_NAME: f64 = 1.4;

/// The least width of a panel of rows without their names, in units of the font size.
const ROW_WIDTH: f64 = 12.0;

/// The height of a row, the least one where there are too many for a page, and what is above and below all rows, in
/// units of the font size.
const ROW: f64 = 1.75;
const LEAST_ROW: f64 = 1.15;
const ROWS_FRAME: f64 = 5.6;

/// Height of a bar as a share of its place.
pub(crate) const BAR: f64 = 0.64;

/// Draws a figure. `looks` has every label of the figure.
pub fn svg(figure: &Figure, looks: &BTreeMap<String, Look>, theme: &Theme) -> String {
    let sketch = Sketch { figure, looks, theme };
    let legend = sketch.legend();
    let columns = sketch.columns();
    let panel_height = sketch.panel_height(columns);
    let (tops, height) = sketch.rows(columns);
    let named = |row: usize| sketch.named(row, columns);
    let mut page = Page::new(theme.width, height);
    page.layer(&[], None, |layer| {
        layer.rectangle(
            Frame { left: 0, top: 0, right: pixels(theme.width), bottom: pixels(height) },
            &theme.background,
            1.0,
        );
    });
    if theme.title {
        page.layer(&[("class", "title".to_owned())], None, |layer| {
            let at = (pixels(0.6 * theme.font), pixels(theme.font));
            layer.text(&figure.title, at, 1.1 * theme.font, &theme.ink, Align::Start);
            let at = (pixels(0.6 * theme.font), pixels(height - 0.8 * theme.font));
            layer.text(&figure.spread(), at, 0.7 * theme.font, &theme.ink, Align::Start);
        });
    }
    legend.draw(&mut page, looks, theme, sketch.head());
    let ends = if matches!(legend, Legend::Ends) { sketch.ends_width() } else { 0.0 };
    // Rows are named once, on the left.
    let names = if columns > 1 { figure.panels.first().map_or(0.0, names_width) * theme.font } else { 0.0 };
    let cell = (theme.width - ends - names) / columns as f64;
    for (number, panel) in figure.panels.iter().enumerate() {
        let (column, row) = (number % columns, number / columns);
        let x_name = sketch.names_x(number, columns);
        let below = tops[row] + panel_height - if named(row) { 0.0 } else { X_NAME * theme.font };
        let outer = Frame {
            left: pixels(if column == 0 { 0.0 } else { names + column as f64 * cell }),
            top: pixels(tops[row]),
            right: pixels(names + (column + 1) as f64 * cell),
            bottom: pixels(below - if named(row) && !x_name { X_NAME * theme.font } else { 0.0 }),
        };
        let same_left = column > 0 && figure.panels[number - 1].y == panel.y;
        sketch.panel(&mut page, panel, outer, (x_name, !same_left), &legend);
    }
    page.finish(&figure.title, &figure.spread())
}

/// How high a figure is drawn, in points.
pub(crate) fn height(figure: &Figure, theme: &Theme) -> f64 {
    let sketch = Sketch { figure, looks: &BTreeMap::new(), theme };
    sketch.rows(sketch.columns()).1
}

/// A panel with its axes laid out.
pub(crate) struct DrawnPanel<'a> {
    pub(crate) plane: &'a Plane,
    pub(crate) x: &'a Ruler,
    pub(crate) y: &'a Ruler,
}

impl DrawnPanel<'_> {
    /// Where a point of the data stands on the page.
    pub(crate) fn pixel(&self, across: f64, up: f64) -> (i32, i32) {
        self.plane.pixel(self.x.clamp(across), self.y.clamp(up))
    }
}

/// The width of the names of a panel's rows, in units of the font size; none where it has no rows.
fn names_width(panel: &Panel) -> f64 {
    let Scale::Names(names) = &panel.y.scale else { return 0.0 };
    names.iter().map(|name| text::width(name)).fold(0.0, f64::max)
}

/// What all drawing needs.
struct Sketch<'a> {
    figure: &'a Figure,
    looks: &'a BTreeMap<String, Look>,
    theme: &'a Theme,
}

impl Sketch<'_> {
    /// Room for the title above and for the spread below.
    fn head(&self) -> f64 {
        if self.theme.title { 1.9 * self.theme.font } else { 0.0 }
    }

    fn foot(&self) -> f64 {
        if self.theme.title { 1.6 * self.theme.font } else { 0.0 }
    }

    /// What a page leaves for the panels.
    fn room(&self) -> f64 {
        PAGE - self.head() - self.legend().height(self.theme) - self.foot()
    }

    /// Where each row of panels begins, and how high all is.
    fn rows(&self, columns: usize) -> (Vec<f64>, f64) {
        let (top, panel_height) = (self.head() + self.legend().height(self.theme), self.panel_height(columns));
        // The data of all panels are equally high: a row whose axes are named below it needs room for that.
        let next = |at: &mut f64, row: usize| {
            let top = *at;
            *at += panel_height - if self.named(row, columns) { 0.0 } else { X_NAME * self.theme.font };
            Some(top)
        };
        let tops: Vec<f64> = (0..self.figure.panels.len().div_ceil(columns)).scan(top, next).collect();
        let height = tops.last().map_or(top, |last| last + panel_height) + self.foot();
        (tops, height)
    }

    /// Whether any panel of a row names its axis across.
    fn named(&self, row: usize, columns: usize) -> bool {
        (0..columns).any(|column| self.names_x(row * columns + column, columns))
    }

    /// Whether a panel names its axis across: the panel below, if there is one, names the same.
    fn names_x(&self, number: usize, columns: usize) -> bool {
        let panels = &self.figure.panels;
        let Some(panel) = panels.get(number) else { return false };
        panels.get(number + columns).is_none_or(|below| below.x.label != panel.x.label)
    }

    /// Panels side by side: where there are many, small ones.
    fn columns(&self) -> usize {
        let panels = self.figure.panels.len();
        let most = if panels > 3 { self.theme.columns.max(2) } else { self.theme.columns };
        // Four panels in a square rather than three and one.
        let wanted = if panels == 4 && most == 3 { 2 } else { panels.clamp(1, most) };
        let names = self.figure.panels.first().map_or(0.0, names_width);
        let room = self.theme.width / self.theme.font - names;
        (1..=wanted).rev().find(|&columns| names == 0.0 || room / columns as f64 >= ROW_WIDTH).unwrap_or(1)
    }

    /// Lower than usual where panels are narrower than in the theme, and as high as their rows need where there are
    /// rows.
    fn panel_height(&self, columns: usize) -> f64 {
        let Theme { font, panel_height, .. } = self.theme;
        let rows = |panel: &Panel| match &panel.y.scale {
            Scale::Names(names) => Some(names.len() as f64),
            _ => None,
        };
        let rows = self.figure.panels.iter().map(rows).collect::<Option<Vec<f64>>>();
        if let Some(most) = rows.and_then(|rows| rows.into_iter().max_by(f64::total_cmp)) {
            let room = self.room() / font - ROWS_FRAME;
            return ((room / most).clamp(LEAST_ROW, ROW) * most + ROWS_FRAME) * font;
        }
        let rows = self.figure.panels.len().div_ceil(columns) as f64;
        // Several rows are lower, so that they fit a page or a slide as far as they can be read.
        let fitting = (2.2 * panel_height).min(self.room()).max(11.0 * font * rows) / rows;
        let wanted = if columns > self.theme.columns { 0.75 * panel_height } else { *panel_height };
        if rows > 3.0 || self.theme.title { wanted.min(fitting) } else { wanted }
    }

    /// Names at the ends of the lines where there are few, short ones; else rows above the panels. Bars are named by
    /// their axis.
    fn legend(&self) -> Legend {
        let labels = self.figure.labels();
        let marks = |wanted: &[Marks]| {
            let mut series = self.figure.panels.iter().flat_map(|panel| &panel.series);
            series.all(|series| series.marks == Marks::Guide || wanted.contains(&series.marks))
        };
        if let Some(shade) = self.figure.shade {
            return Legend::Shades(shade, self.figure.darkest());
        }
        let headed = |panel: &Panel| panel.series.iter().all(|series| panel.heading.as_ref() == Some(&series.label));
        if labels.is_empty() || marks(&[Marks::Bars, Marks::Whiskers]) || self.figure.panels.iter().all(headed) {
            return Legend::None;
        }
        let short = self.ends_width() <= 0.27 * self.theme.width;
        if self.figure.panels.len() == 1 && labels.len() <= 4 && short && marks(&[Marks::Line]) {
            return Legend::Ends;
        }
        Legend::rows(self.figure, self.theme)
    }

    /// The room for names at the ends of lines.
    fn ends_width(&self) -> f64 {
        let widest = self.figure.labels().into_iter().map(text::width).fold(0.0, f64::max);
        (widest + 1.2) * self.theme.font
    }

    fn panel(&self, page: &mut Page, panel: &Panel, outer: Frame, (x_label, y_label): (bool, bool), legend: &Legend) {
        let theme = self.theme;
        let inner = self.inner(panel, outer, x_label, y_label);
        let values = Extents::of(panel);
        let x_room = f64::from(inner.width()) / f64::from(pixels(theme.font));
        let y_room = f64::from(inner.height()) / f64::from(pixels(theme.font));
        let x = Ruler::across(&panel.x, &values.x, x_room);
        let y = Ruler::up(&panel.y, &values.y, y_room);
        let plane = Plane::new(&x, &y, inner);
        self.frame(page, panel, &plane, (&x, &y), outer, x_label, y_label);
        let drawn = DrawnPanel { plane: &plane, x: &x, y: &y };
        for reference in &panel.references {
            reference::line(page, reference, &drawn, theme);
        }
        for series in &panel.series {
            self.series(page, series, panel, &drawn);
        }
        for reference in panel.references.iter().filter(|_| !matches!(legend, Legend::Rows(_))) {
            reference::label(page, reference, &drawn, &panel.series, theme);
        }
        if matches!(legend, Legend::Ends) {
            legend::ends(page, panel, &plane, &y, self.looks, theme);
        }
    }

    /// The frame of the data inside a panel's part of the page.
    fn inner(&self, panel: &Panel, outer: Frame, x_label: bool, y_label: bool) -> Frame {
        let font = self.theme.font;
        let panels = || self.figure.panels.iter();
        let y_ticks = match &panel.y.scale {
            Scale::Names(_) if y_label => names_width(panel),
            Scale::Names(_) => 0.0,
            // The same for panels above each other, so that one place across is one place on the page.
            Scale::Percent if self.columns() > 1 || panels().all(|panel| panel.y.scale == Scale::Percent) => {
                text::width("100")
            }
            _ => text::width("0.000"),
        };
        let barred = panel.series.iter().filter(|series| series.marks == Marks::Bars);
        let notes = barred.flat_map(|series| &series.points).filter_map(|point| point.note.as_deref());
        let note = notes.map(text::width).fold(0.0, f64::max);
        let y_title = if y_label && !panel.y.label.is_empty() { 1.5 } else { 0.0 };
        let bars = matches!(panel.y.scale, Scale::Names(_));
        let right = if bars { note + 0.9 } else { 0.9 };
        Frame {
            left: outer.left + pixels((y_title + y_ticks + 0.8) * font),
            top: outer.top + pixels(if panel.heading.is_some() { 1.7 * font } else { 0.6 * font }),
            right: outer.right - pixels(right * font),
            bottom: outer.bottom - pixels((if x_label { 1.7 + X_NAME } else { 1.7 }) * font),
        }
    }

    /// Grid, ticks and the names of the axes.
    #[expect(clippy::too_many_arguments, reason = "one call, all of it layout")]
    fn frame(
        &self,
        page: &mut Page,
        panel: &Panel,
        plane: &Plane,
        (x, y): (&Ruler, &Ruler),
        outer: Frame,
        x_label: bool,
        y_label: bool,
    ) {
        let Theme { font, ink, grid, .. } = self.theme;
        let inner = plane.frame;
        let bars = matches!(panel.y.scale, Scale::Names(_));
        page.layer(&[("class", "axes".to_owned())], None, |layer| {
            for tick in &x.ticks {
                let (at, _) = plane.pixel(tick.at, y.from);
                layer.line(&[(at, inner.top), (at, inner.bottom)], grid, 0.05 * font);
                layer.text(&tick.label, (at, inner.bottom + pixels(0.85 * font)), *font, ink, Align::Middle);
            }
            for tick in &y.ticks {
                let (_, at) = plane.pixel(x.from, tick.at);
                if !bars {
                    layer.line(&[(inner.left, at), (inner.right, at)], grid, 0.05 * font);
                }
                if !bars || y_label {
                    layer.text(&tick.label, (inner.left - pixels(0.45 * font), at), *font, ink, Align::End);
                }
            }
            let corner = (inner.left, inner.bottom);
            if !bars {
                layer.line(&[corner, (inner.right, inner.bottom)], ink, 0.08 * font);
            }
            layer.line(&[(inner.left, inner.top), corner], ink, 0.08 * font);
            if x_label {
                let middle = i32::midpoint(inner.left, inner.right);
                layer.text(&panel.x.label, (middle, outer.bottom - pixels(0.95 * font)), *font, ink, Align::Middle);
            }
            if y_label && !panel.y.label.is_empty() {
                let middle = i32::midpoint(inner.top, inner.bottom);
                layer.upward_text(&panel.y.label, (outer.left + pixels(0.85 * font), middle), *font, ink);
            }
            if let Some(heading) = &panel.heading {
                let above = inner.top - pixels(0.85 * font);
                // A long one begins further left, or is smaller.
                let room = f64::from(outer.right - outer.left) / UNIT - 0.6 * font;
                let size = font.min(room / text::width(heading));
                let last = outer.right - pixels(text::width(heading) * size + 0.3 * font);
                layer.text(heading, (inner.left.min(last), above), size, ink, Align::Start);
            }
        });
    }

    fn series(&self, page: &mut Page, series: &Series, axes: &Panel, panel: &DrawnPanel<'_>) {
        let theme = self.theme;
        let class = |part: &str| vec![("class", part.to_owned()), ("data-series", series.label.clone())];
        let grey = Look { colour: "#999999".to_owned(), marker: crate::look::Marker::Circle, dashes: Vec::new() };
        let look = self.looks.get(&series.label).unwrap_or(&grey);
        let pixel = |across: f64, up: f64| panel.pixel(across, up);
        let line: Vec<(i32, i32)> = series.points.iter().map(|point| pixel(point.x.mean, point.y.mean)).collect();
        let mut stroke = class("line");
        stroke.extend(dash_attribute(look, theme.line));
        let title = Some(series.label.as_str());
        match series.marks {
            Marks::Guide => {
                page.layer(&class("guide"), None, |layer| layer.line(&line, &grey.colour, 0.6 * theme.line));
            }
            Marks::Strand => {
                page.layer(&class("strand"), None, |layer| steps::faint(layer, series, look, panel, theme));
            }
            Marks::Steps => steps::draw(page, series, look, panel, theme),
            Marks::Tiles => page.layer(&class("tiles"), None, |layer| self.tiles(layer, series, panel)),
            Marks::Whiskers => {
                page.layer(&class("whiskers"), title, |layer| {
                    for point in &series.points {
                        self.whisker(layer, point, &look.colour, panel);
                    }
                });
                page.titled(&class("markers"), &titles(series, axes), |layer| self.markers(layer, look, &line));
            }
            Marks::Curve => page.layer(&stroke, title, |layer| layer.line(&line, &look.colour, theme.line)),
            Marks::Line => {
                page.layer(&class("band"), None, |layer| {
                    let spread = |point: &Point| point.y.interval.map(|(lo, hi)| (point.x.mean, lo, hi));
                    let band: Vec<(f64, f64, f64)> = series.points.iter().filter_map(spread).collect();
                    let mut outline: Vec<_> = band.iter().map(|&(across, _, hi)| pixel(across, hi)).collect();
                    outline.extend(band.iter().rev().map(|&(across, lo, _)| pixel(across, lo)));
                    if band.len() > 1 {
                        layer.area(&outline, &look.colour, 0.16);
                    }
                });
                page.layer(&stroke, title, |layer| layer.line(&line, &look.colour, theme.line));
                page.titled(&class("markers"), &titles(series, axes), |layer| self.markers(layer, look, &line));
            }
            Marks::Dots => {
                page.layer(&class("spread"), None, |layer| {
                    if line.len() > 1 {
                        layer.line(&line, &look.colour, 0.5 * theme.line);
                    }
                    for point in &series.points {
                        if let Some((lo, hi)) = point.x.interval {
                            layer.line(
                                &[pixel(lo, point.y.mean), pixel(hi, point.y.mean)],
                                &look.colour,
                                0.7 * theme.line,
                            );
                        }
                        if let Some((lo, hi)) = point.y.interval {
                            layer.line(
                                &[pixel(point.x.mean, lo), pixel(point.x.mean, hi)],
                                &look.colour,
                                0.7 * theme.line,
                            );
                        }
                    }
                });
                page.titled(&class("markers"), &titles(series, axes), |layer| self.markers(layer, look, &line));
            }
            Marks::Cloud => page.layer(&class("cloud"), title, |layer| {
                for at in line {
                    layer.speck(look.marker, at, 0.55 * theme.marker, &look.colour, 0.45);
                }
            }),
            Marks::Bars => page.layer(&class("bars"), title, |layer| self.bars(layer, series, look, panel)),
        }
    }

    fn markers(&self, layer: &Layer<'_>, look: &Look, at: &[(i32, i32)]) {
        for &at in at {
            layer.marker(look.marker, at, self.theme.marker, &look.colour, &self.theme.background);
        }
    }

    /// The interval of x, with its ends.
    fn whisker(&self, layer: &Layer<'_>, point: &Point, colour: &str, panel: &DrawnPanel<'_>) {
        let Some((lo, hi)) = point.x.interval else { return };
        let Theme { font, line, .. } = self.theme;
        let ((from, middle), (to, _)) = (panel.pixel(lo, point.y.mean), panel.pixel(hi, point.y.mean));
        let cap = pixels(0.28 * font);
        // Seen on a bar of the same colour, too.
        layer.line(&[(from, middle), (to, middle)], &self.theme.background, 2.0 * line);
        layer.line(&[(from, middle), (to, middle)], colour, 0.8 * line);
        layer.line(&[(from, middle - cap), (from, middle + cap)], colour, 0.8 * line);
        layer.line(&[(to, middle - cap), (to, middle + cap)], colour, 0.8 * line);
    }

    /// Tiles of one row whose shades look the same are drawn as one; those of nothing not at all, those without a value in
    /// grey.
    fn tiles(&self, layer: &Layer<'_>, series: &Series, panel: &DrawnPanel<'_>) {
        let darkest = self.figure.darkest();
        let level = |point: &Point| point.value.map(|value| shade::level(value, darkest));
        let one = |a: &Point, b: &Point| level(a) == level(b) && a.y.mean.total_cmp(&b.y.mean).is_eq();
        for tiles in series.points.chunk_by(one).filter(|tiles| level(&tiles[0]) != Some(0)) {
            let (from, to) = (tiles[0].x.extent().0, tiles[tiles.len() - 1].x.extent().1);
            let (left, top) = panel.pixel(from, tiles[0].y.mean + 0.5);
            let (right, bottom) = panel.pixel(to, tiles[0].y.mean - 0.5);
            let colour = level(&tiles[0])
                .map_or_else(|| self.theme.grid.clone(), |level| shade::colour(level, &self.theme.background));
            layer.rectangle(Frame { left, top, right, bottom }, &colour, 1.0);
        }
    }

    fn bars(&self, layer: &Layer<'_>, series: &Series, look: &Look, panel: &DrawnPanel<'_>) {
        let Theme { font, ink, .. } = self.theme;
        for point in &series.points {
            let (right, middle) = panel.pixel(point.x.mean, point.y.mean);
            let (_, top) = panel.pixel(0.0, point.y.mean + BAR / 2.0);
            let (left, bottom) = panel.pixel(0.0, point.y.mean - BAR / 2.0);
            layer.rectangle(Frame { left, top, right, bottom }, &look.colour, 1.0);
            let mut end = right;
            if let Some((_, hi)) = point.x.interval {
                self.whisker(layer, point, ink, panel);
                end = end.max(panel.pixel(hi, 0.0).0);
            }
            if let Some(note) = &point.note {
                let (left, half) = (end + pixels(0.4 * font), pixels(0.5 * font));
                let right = left + pixels(text::width(note) * font);
                let behind = Frame { left, top: middle - half, right, bottom: middle + half };
                layer.rectangle(behind, &self.theme.background, 0.8);
                layer.text(note, (left, middle), *font, ink, Align::Start);
            }
        }
    }
}

/// What browsers say of each point: its series, and its values with their axes.
fn titles(series: &Series, axes: &Panel) -> Vec<String> {
    let value = |axis: &Axis, value: Estimate| {
        let spread = value.interval.map(|(lo, hi)| format!(" ({} to {})", short(lo), short(hi)));
        format!("\n{}: {}{}", axis.label, short(value.mean), spread.unwrap_or_default())
    };
    let title = |point: &Point| {
        let up = if matches!(axes.y.scale, Scale::Names(_)) { String::new() } else { value(&axes.y, point.y) };
        format!("{}{}{up}", series.label, value(&axes.x, point.x))
    };
    series.points.iter().map(title).collect()
}

/// The dashes of a look as an attribute of a group.
pub(crate) fn dash_attribute(look: &Look, line: f64) -> Option<(&'static str, String)> {
    let lengths: Vec<String> = look.dashes.iter().map(|&length| pixels(f64::from(length) * line).to_string()).collect();
    (!lengths.is_empty()).then(|| ("stroke-dasharray", lengths.join(" ")))
}

/// All values that the axes of a panel have to show.
struct Extents {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Extents {
    fn of(panel: &Panel) -> Self {
        let points = || panel.series.iter().flat_map(|series| &series.points);
        let mut x: Vec<f64> = points().flat_map(|point| <[f64; 2]>::from(point.x.extent())).collect();
        let mut y: Vec<f64> = points().flat_map(|point| <[f64; 2]>::from(point.y.extent())).collect();
        for reference in &panel.references {
            match reference.at {
                At::X(value) => include(&mut x, &panel.x, value),
                At::Y(value) => include(&mut y, &panel.y, value),
            }
        }
        Self { x, y }
    }
}

/// Adds the value of a reference line, unless the data would then fill less than a third of the axis.
fn include(values: &mut Vec<f64>, axis: &Axis, value: f64) {
    let high = values.iter().copied().fold(0.0, f64::max);
    let reach = if axis.scale == Scale::Log { 10.0 } else { 3.0 };
    if value <= high * reach {
        values.push(value);
    }
}
