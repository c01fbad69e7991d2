//! Figures that would be higher than a page, as several.

use crate::draw;
use crate::figure::Figure;
use crate::theme::Theme;

/// The height of a page without its margins, in points: 9 in.
pub(crate) const PAGE: f64 = 648.0;

/// The panels of a figure on as few pages as hold them, about as many on each. The first keeps the name of the figure,
/// the others are numbered.
pub(crate) fn pages(figure: Figure, theme: &Theme) -> Vec<Figure> {
    let panels = figure.panels.len();
    if draw::height(&figure, theme) <= PAGE {
        return vec![figure];
    }
    let fits = |parts: &Vec<Figure>| parts.iter().all(|part| draw::height(part, theme) <= PAGE);
    // At worst a page for each panel, however high that is.
    let found = (2..panels).map(|pages| parts(&figure, pages)).find(fits);
    found.unwrap_or_else(|| parts(&figure, panels.max(1)))
}

fn parts(figure: &Figure, pages: usize) -> Vec<Figure> {
    let shares: Vec<_> = figure.panels.chunks(figure.panels.len().div_ceil(pages).max(1)).collect();
    let part = |(number, panels): (usize, &&[_])| Figure {
        name: if number == 0 { figure.name.clone() } else { format!("{}--{}", figure.name, number + 1) },
        title: if shares.len() == 1 {
            figure.title.clone()
        } else {
            format!("{}, {} of {}", figure.title, number + 1, shares.len())
        },
        panels: panels.to_vec(),
        // A shade means the same on all pages.
        darkest: Some(figure.darkest()),
        ..figure.clone()
    };
    shares.iter().enumerate().map(part).collect()
}
