//! From SVG to the other formats.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, Tree};
use svg2pdf::{ConversionOptions, PageOptions};

use crate::text;

/// usvg's own unit: 96 to an inch. With any other the PDF would not have the size that the SVG states.
const DPI: f32 = 96.0;

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot convert the figure: {0}")]
pub struct ExportError(String);

fn tree(svg: &str) -> Result<Tree, ExportError> {
    let options =
        usvg::Options { fontdb: text::fonts(), font_family: "Inter".to_owned(), dpi: DPI, ..usvg::Options::default() };
    Tree::from_str(svg, &options).map_err(|error| ExportError(error.to_string()))
}

/// A PDF of the size that the SVG states, text as text.
pub fn pdf(svg: &str) -> Result<Vec<u8>, ExportError> {
    let page = PageOptions { dpi: DPI };
    let pdf = svg2pdf::to_pdf(&tree(svg)?, ConversionOptions::default(), page);
    pdf.map(|pdf| in_order(&pdf)).map_err(|error| ExportError(error.to_string()))
}

/// The same PDF with the entries of its resource dictionaries sorted. svg2pdf writes them in the order of a randomly
/// seeded hash map, one to a line, so that each run would give other bytes; entries may stand in any order, and sorting
/// whole lines within a dictionary moves nothing outside it. Streams are left alone.
fn in_order(pdf: &[u8]) -> Vec<u8> {
    let mut sorted = Vec::with_capacity(pdf.len());
    let mut entries: Vec<&[u8]> = Vec::new();
    let mut in_stream = false;
    for line in pdf.split_inclusive(|&byte| byte == b'\n') {
        if !in_stream && is_resource(line) {
            entries.push(line);
            continue;
        }
        entries.sort_unstable();
        sorted.extend(entries.drain(..).flatten());
        sorted.extend(line);
        in_stream = line == b"stream\n" || in_stream && !line.ends_with(b"endstream\n");
    }
    sorted.extend(entries.into_iter().flatten());
    sorted
}

/// A line such as `/xo3 14 0 R`.
fn is_resource(line: &[u8]) -> bool {
    let Some(entry) = line.trim_ascii().strip_prefix(b"/").and_then(|entry| entry.strip_suffix(b" 0 R")) else {
        return false;
    };
    let mut parts = entry.split(|&byte| byte == b' ');
    let name = parts.next().unwrap_or_default();
    let numbered =
        name.len() > 2 && name[..2].iter().all(u8::is_ascii_lowercase) && name[2..].iter().all(u8::is_ascii_digit);
    numbered && parts.all(|part| part.iter().all(u8::is_ascii_digit))
}

/// A PNG with so many pixels per inch of the size that the SVG states.
pub fn png(svg: &str, dpi: f64) -> Result<Vec<u8>, ExportError> {
    let tree = tree(svg)?;
    #[expect(clippy::cast_possible_truncation, reason = "a scale needs few digits")]
    let scale = (dpi / f64::from(DPI)) as f32;
    let size = tree.size().to_int_size().scale_by(scale).ok_or_else(|| ExportError("no pixels".to_owned()))?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).ok_or_else(|| ExportError("too many pixels".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| ExportError(error.to_string()))
}
