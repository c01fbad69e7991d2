//! What a figure shows, without how it is drawn.

use trimtab_table::{Column, Table};

use crate::axis::{Axis, Scale};
use crate::estimate::Estimate;

/// A figure: panels side by side or one above the other, with one legend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// File name without extension.
    pub name: String,
    /// Shown on slides and in the document's metadata, not on paper: there the caption says it.
    pub title: String,
    /// At least one.
    pub panels: Vec<Panel>,
    /// What its intervals are, when they are not over seeds.
    pub spread: Option<&'static str>,
    /// What shades mean, in a figure of tiles.
    pub shade: Option<&'static str>,
    /// The value of the darkest shade, where it is not the largest of these panels.
    pub darkest: Option<f64>,
}

/// Two axes and what is between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What tells it from the other panels.
    pub heading: Option<String>,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Lines that the data are held against.
    pub references: Vec<Reference>,
}

/// The points of one scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The scheduler's label: the key to its colour, marker and dashes.
    pub label: String,
    /// How the points are drawn.
    pub marks: Marks,
    /// In drawing order.
    pub points: Vec<Point>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// A marker each, joined by a line, intervals of y as a band.
    Line,
    /// A line without markers.
    Curve,
    /// A marker each, intervals of both as bars; joined thinly when there are several.
    Dots,
    /// A small marker each, all by themselves: for hundreds of points.
    Cloud,
    /// A bar from zero to x at place y, the interval of x as a whisker.
    Bars,
    /// A marker at x on place y, the interval of x as a whisker.
    Whiskers,
    /// A level line over the interval of x of each point, joined upright where intervals touch.
    Steps,
    /// Thin translucent steps without a place in the legend: one of many of a kind.
    Strand,
    /// A rectangle over the interval of x and one place of y, shaded by the point's value.
    Tiles,
    /// A thin grey line without markers and without a place in the legend.
    Guide,
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Across.
    pub x: Estimate,
    /// Up.
    pub y: Estimate,
    /// Written beside a bar; of other points, in the table alone.
    pub note: Option<String>,
    /// What a tile is shaded by.
    pub value: Option<f64>,
}

/// A straight line across a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Where, and which way it runs.
    pub at: At,
    /// What it is.
    pub label: String,
}

/// A place on one of the axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At {
    /// A vertical line.
    X(f64),
    /// A horizontal line.
    Y(f64),
}

impl Point {
    /// A point of which nothing else is to be said.
    pub fn new(x: Estimate, y: Estimate) -> Self {
        Self { x, y, note: None, value: None }
    }

    /// A value over a span of x.
    pub fn over(from: f64, to: f64, y: Estimate) -> Self {
        Self::new(Estimate { interval: Some((from, to)), ..Estimate::exact(from) }, y)
    }
}

impl Series {
    /// Whether any of its points has an interval that is drawn as one. Where a step begins and ends is none.
    fn spreads(&self) -> bool {
        let steps = matches!(self.marks, Marks::Steps | Marks::Strand);
        self.points.iter().any(|point| point.y.interval.is_some() || !steps && point.x.interval.is_some())
    }
}

impl Figure {
    /// The labels of all series that have a place in the legend, each once, in order of appearance.
    pub fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        let named = |series: &&Series| !matches!(series.marks, Marks::Guide | Marks::Strand);
        for series in self.panels.iter().flat_map(|panel| &panel.series).filter(named) {
            if !labels.contains(&series.label.as_str()) {
                labels.push(&series.label);
            }
        }
        labels
    }

    /// The labels of all reference lines that have one, each once, in order of appearance.
    pub fn references(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for reference in self.panels.iter().flat_map(|panel| &panel.references) {
            if !reference.label.is_empty() && !labels.contains(&reference.label.as_str()) {
                labels.push(&reference.label);
            }
        }
        labels
    }

    /// The value of the darkest shade.
    pub(crate) fn darkest(&self) -> f64 {
        let series = self.panels.iter().flat_map(|panel| &panel.series);
        let largest = series.flat_map(|series| &series.points).filter_map(|point| point.value).fold(0.0, f64::max);
        self.darkest.unwrap_or(largest)
    }

    /// What the spread in the figure is, for captions.
    pub fn spread(&self) -> String {
        if let Some(stated) = self.spread {
            return stated.to_owned();
        }
        let series = || self.panels.iter().flat_map(|panel| &panel.series).filter(|s| s.marks != Marks::Guide);
        let seeds = || series().flat_map(|series| &series.points).map(|point| point.x.n.max(point.y.n));
        let (Some(least), Some(most)) = (seeds().min(), seeds().max()) else { return "no data".to_owned() };
        let seeds = if least == most { format!("{most} seeds") } else { format!("{least} to {most} seeds") };
        match most {
            0 | 1 => "one run per point".to_owned(),
            _ if series().any(Series::spreads) => format!("mean and 95 % t interval over {seeds}"),
            _ => format!("mean over {seeds}, without intervals"),
        }
    }

    /// Exactly the points drawn: one row per point, in drawing order.
    pub fn table(&self) -> Table {
        type Row<'a> = (&'a Panel, &'a Series, &'a Point);
        let mut rows: Vec<Row<'_>> = Vec::new();
        for panel in &self.panels {
            rows.extend(
                panel.series.iter().flat_map(|series| series.points.iter().map(move |point| (panel, series, point))),
            );
        }
        let mut table = Table::new();
        let mut add =
            |name: &str, column| table.push(name, column).expect("equal lengths, distinct names, finite values");
        let text = |value: &dyn Fn(&Row<'_>) -> Option<String>| Column::Text(rows.iter().map(value).collect());
        let real = |value: &dyn Fn(&Point) -> Option<f64>| Column::Real(rows.iter().map(|row| value(row.2)).collect());
        add("panel", text(&|row| row.0.heading.clone()));
        add("series", text(&|row| Some(row.1.label.clone())));
        add("x_quantity", text(&|row| Some(row.0.x.label.clone()).filter(|label| !label.is_empty())));
        add("x", real(&|point| Some(point.x.mean)));
        add("x_lo", real(&|point| point.x.interval.map(|interval| interval.0)));
        add("x_hi", real(&|point| point.x.interval.map(|interval| interval.1)));
        add("y_quantity", text(&|row| Some(row.0.y.label.clone()).filter(|label| !label.is_empty())));
        add("y", real(&|point| Some(point.y.mean)));
        add("y_name", text(&|row| place_name(&row.0.y.scale, row.2.y.mean)));
        add("y_lo", real(&|point| point.y.interval.map(|interval| interval.0)));
        add("y_hi", real(&|point| point.y.interval.map(|interval| interval.1)));
        add("n", Column::count(rows.iter().map(|row| row.2.x.n.max(row.2.y.n) as u64)));
        if self.shade.is_some() {
            add("value", real(&|point| point.value));
        }
        add("note", text(&|row| row.2.note.clone()));
        table
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places are small whole numbers")]
fn place_name(scale: &Scale, place: f64) -> Option<String> {
    match scale {
        // Points of several series in one place stand a little apart.
        Scale::Names(names) => names.get(libm::round(place) as usize).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_say_how_many_seeds_and_whether_there_are_intervals() {
        let one = Estimate::exact(1.0);
        let mean = |n| Estimate { n, ..one };
        let spread = |n| Estimate { interval: Some((0.5, 1.5)), ..mean(n) };
        for (marks, points, expected) in [
            (Marks::Line, vec![], "no data"),
            (Marks::Line, vec![Point::new(one, one)], "one run per point"),
            (Marks::Line, vec![Point::new(one, spread(5))], "mean and 95 % t interval over 5 seeds"),
            (Marks::Bars, vec![Point::new(spread(5), one)], "mean and 95 % t interval over 5 seeds"),
            (Marks::Steps, vec![Point::over(0.0, 9.0, mean(5))], "mean over 5 seeds, without intervals"),
            (Marks::Steps, vec![Point::over(0.0, 9.0, one)], "one run per point"),
            (
                Marks::Steps,
                vec![Point::over(0.0, 9.0, mean(5)), Point::over(9.0, 10.0, mean(2))],
                "mean over 2 to 5 seeds, without intervals",
            ),
        ] {
            let axis = || Axis::new("", Scale::Linear);
            let front = Series { label: String::new(), marks: Marks::Guide, points: vec![Point::new(one, one)] };
            let series = vec![Series { label: String::new(), marks, points }, front];
            let panel = Panel { heading: None, x: axis(), y: axis(), series, references: Vec::new() };
            let figure = Figure { panels: vec![panel], ..Figure::default() };
            assert_eq!(figure.spread(), expected);
            let seeds = figure.panels[0].series[0].points.iter().map(|point| point.y.n.max(point.x.n) as f64);
            let table = figure.table();
            let n = table.get("n").expect("a column");
            assert!(seeds.enumerate().all(|(row, seeds)| n.number(row).is_some_and(|n| n.total_cmp(&seeds).is_eq())));
        }
    }
}
