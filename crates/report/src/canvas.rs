//! The only module that knows plotters: layers of an SVG document, each drawn by plotters and wrapped in a group.
//!
//! plotters writes whole pixels, so a pixel is a tenth of a point. It has no dashes and no groups; a group's attributes
//! are inherited by what it draws, which gives both.

use std::fmt::Write;

use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::axis::Ruler;
use crate::look::Marker;
use crate::text;

/// Pixels to a point.
pub(crate) const UNIT: f64 = 10.0;

/// A rectangle of the page in pixels, y downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
}

impl Frame {
    pub(crate) fn width(&self) -> i32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> i32 {
        self.bottom - self.top
    }
}

/// The inside of a panel: from values to pixels.
pub(crate) struct Plane {
    x: RangedCoordf64,
    y: RangedCoordf64,
    pub(crate) frame: Frame,
}

impl Plane {
    pub(crate) fn new(x: &Ruler, y: &Ruler, frame: Frame) -> Self {
        Self { x: (x.from..x.to).into(), y: (y.from..y.to).into(), frame }
    }

    /// The pixel of a place on the rulers.
    pub(crate) fn pixel(&self, x: f64, y: f64) -> (i32, i32) {
        (self.x.map(&x, (self.frame.left, self.frame.right)), self.y.map(&y, (self.frame.bottom, self.frame.top)))
    }
}

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Middle,
    End,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// What plotters draws into a string cannot fail.
const DRAWN: &str = "drawing into memory";

/// One group of the document while it is drawn.
pub(crate) struct Layer<'a> {
    area: Area<'a>,
}

impl Layer<'_> {
    pub(crate) fn line(&self, points: &[(i32, i32)], colour: &str, width: f64) {
        let style = rgb(colour).stroke_width(pixels(width).unsigned_abs().max(1));
        self.area.draw(&PathElement::new(points.to_vec(), style)).expect(DRAWN);
    }

    pub(crate) fn faint_line(&self, points: &[(i32, i32)], colour: &str, width: f64, opacity: f64) {
        let style = rgb(colour).mix(opacity).stroke_width(pixels(width).unsigned_abs().max(1));
        self.area.draw(&PathElement::new(points.to_vec(), style)).expect(DRAWN);
    }

    pub(crate) fn area(&self, outline: &[(i32, i32)], colour: &str, opacity: f64) {
        self.area.draw(&Polygon::new(outline.to_vec(), rgb(colour).mix(opacity))).expect(DRAWN);
    }

    pub(crate) fn rectangle(&self, frame: Frame, colour: &str, opacity: f64) {
        let corners = [(frame.left, frame.top), (frame.right, frame.bottom)];
        self.area.draw(&Rectangle::new(corners, rgb(colour).mix(opacity).filled())).expect(DRAWN);
    }

    /// Text whose middle line is at the point's height; `size` in points.
    pub(crate) fn text(&self, text: &str, at: (i32, i32), size: f64, colour: &str, align: Align) {
        self.write(text, at, size, colour, align, FontTransform::None);
    }

    /// Text that runs upwards, centred on the point.
    pub(crate) fn upward_text(&self, text: &str, at: (i32, i32), size: f64, colour: &str) {
        self.write(text, at, size, colour, Align::Middle, FontTransform::Rotate270);
    }

    fn write(&self, text: &str, at: (i32, i32), size: f64, colour: &str, align: Align, turn: FontTransform) {
        let across = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        // plotters divides the size by 1.24 on its way to SVG.
        let font = FontDesc::new(FontFamily::Name(text::FAMILY), size * UNIT * 1.24, FontStyle::Normal).transform(turn);
        let colour = rgb(colour);
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(across, VPos::Center));
        self.area.draw_text(text, &style, at).expect(DRAWN);
    }

    /// A translucent marker without a rim, so that many on one another show as density.
    pub(crate) fn speck(&self, marker: Marker, at: (i32, i32), size: f64, colour: &str, opacity: f64) {
        let style = rgb(colour).mix(opacity);
        if marker == Marker::Circle {
            self.area.draw(&Circle::new(at, pixels(size / 2.0), style.filled())).expect(DRAWN);
        } else {
            self.area.draw(&Polygon::new(outline(marker, at, size * UNIT / 2.0), style)).expect(DRAWN);
        }
    }

    /// A marker with a thin rim that keeps it apart from lines below; `size` is its diameter in points.
    pub(crate) fn marker(&self, marker: Marker, at: (i32, i32), size: f64, colour: &str, rim: &str) {
        let radius = size * UNIT / 2.0;
        if marker == Marker::Circle {
            self.area.draw(&Circle::new(at, pixels(size / 2.0 + 0.4), rgb(rim).filled())).expect(DRAWN);
            self.area.draw(&Circle::new(at, pixels(size / 2.0), rgb(colour).filled())).expect(DRAWN);
            return;
        }
        self.area.draw(&Polygon::new(outline(marker, at, radius + 0.6 * UNIT), rgb(rim))).expect(DRAWN);
        self.area.draw(&Polygon::new(outline(marker, at, radius), rgb(colour))).expect(DRAWN);
    }
}

/// Corners in units of the radius; all shapes of about the same area.
fn outline(marker: Marker, (x, y): (i32, i32), radius: f64) -> Vec<(i32, i32)> {
    const ARM: f64 = 0.36;
    const PLUS: [(f64, f64); 12] = [
        (-ARM, -1.1),
        (ARM, -1.1),
        (ARM, -ARM),
        (1.1, -ARM),
        (1.1, ARM),
        (ARM, ARM),
        (ARM, 1.1),
        (-ARM, 1.1),
        (-ARM, ARM),
        (-1.1, ARM),
        (-1.1, -ARM),
        (-ARM, -ARM),
    ];
    const HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
    let corners: Vec<(f64, f64)> = match marker {
        Marker::Circle | Marker::Square => vec![(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
        Marker::Triangle => vec![(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)],
        Marker::Down => vec![(0.0, 1.25), (1.15, -0.8), (-1.15, -0.8)],
        Marker::Diamond => vec![(0.0, -1.3), (1.05, 0.0), (0.0, 1.3), (-1.05, 0.0)],
        Marker::Plus => PLUS.to_vec(),
        Marker::Cross => PLUS.iter().map(|(dx, dy)| ((dx - dy) * HALF, (dx + dy) * HALF)).collect(),
        // Four long points and four short corners between them.
        Marker::Star => vec![
            (0.0, -1.4),
            (0.38, -0.38),
            (1.4, 0.0),
            (0.38, 0.38),
            (0.0, 1.4),
            (-0.38, 0.38),
            (-1.4, 0.0),
            (-0.38, -0.38),
        ],
    };
    let scaled = |offset: f64| round(offset * radius);
    corners.into_iter().map(|(dx, dy)| (x + scaled(dx), y + scaled(dy))).collect()
}

/// An SVG document in the making.
pub(crate) struct Page {
    size: (u32, u32),
    body: String,
}

impl Page {
    /// An empty page; sizes in points.
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self { size: (pixels(width).unsigned_abs(), pixels(height).unsigned_abs()), body: String::new() }
    }

    /// Draws one group: its attributes, a title that browsers show as a tooltip, and its content.
    pub(crate) fn layer(&mut self, attributes: &[(&str, String)], title: Option<&str>, draw: impl FnOnce(&Layer<'_>)) {
        let drawn = self.drawn(draw);
        let content = inside(&drawn);
        self.group(attributes, title, content);
    }

    /// Draws one group of equal shapes, each with a title of its own.
    pub(crate) fn titled(&mut self, attributes: &[(&str, String)], titles: &[String], draw: impl FnOnce(&Layer<'_>)) {
        let drawn = self.drawn(draw);
        let elements: Vec<&str> = inside(&drawn).split_terminator("/>").map(str::trim_start).collect();
        let mut content = String::new();
        for (number, element) in elements.iter().enumerate() {
            let title = escaped(&titles[number * titles.len() / elements.len()]);
            let tag = element.trim_start_matches('<').split(' ').next().unwrap_or_default();
            let _ = writeln!(content, "{element}><title>{title}</title></{tag}>");
        }
        self.group(attributes, None, content.trim_end());
    }

    fn drawn(&self, draw: impl FnOnce(&Layer<'_>)) -> String {
        let mut drawn = String::new();
        let area = SVGBackend::with_string(&mut drawn, self.size).into_drawing_area();
        draw(&Layer { area });
        drawn
    }

    fn group(&mut self, attributes: &[(&str, String)], title: Option<&str>, content: &str) {
        if content.is_empty() {
            return;
        }
        self.body.push_str("<g");
        for (name, value) in attributes {
            let _ = write!(self.body, " {name}=\"{}\"", escaped(value));
        }
        self.body.push_str(">\n");
        if let Some(title) = title {
            let _ = writeln!(self.body, "<title>{}</title>", escaped(title));
        }
        self.body.push_str(content);
        self.body.push_str("\n</g>\n");
    }

    /// The document.
    pub(crate) fn finish(self, title: &str, description: &str) -> String {
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}pt\" height=\"{}pt\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" stroke-linejoin=\"round\">\n<title>{}</title>\n<desc>{}</desc>\n{}</svg>\n",
            width / UNIT,
            height / UNIT,
            escaped(title),
            escaped(description),
            self.body,
        )
    }
}

/// What is inside the document that plotters made.
fn inside(drawn: &str) -> &str {
    drawn.split_once('>').map_or("", |(_, rest)| rest).trim().trim_end_matches("</svg>").trim_end()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Points to pixels.
pub(crate) fn pixels(points: f64) -> i32 {
    round(points * UNIT)
}

#[expect(clippy::cast_possible_truncation, reason = "pages are small; a cast saturates")]
fn round(value: f64) -> i32 {
    libm::round(value) as i32
}

/// The colour of a `#rrggbb`, which themes have checked.
fn rgb(colour: &str) -> RGBColor {
    let part = |at: usize| colour.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    RGBColor(part(1), part(3), part(5))
}
