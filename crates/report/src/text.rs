//! The bundled font: how wide text is, and where usvg finds it.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb::Database;
use ttf_parser::Face;

/// Inter Regular, reduced to Latin, Greek and signs; `assets/README.md` says how.
const INTER: &[u8] = include_bytes!("../assets/Inter-Regular-subset.ttf");

/// The font of all text. An SVG viewer that does not have Inter uses the next; PDF and PNG always have it.
pub(crate) const FAMILY: &str = "Inter, Helvetica, Arial, sans-serif";

/// Inter is the only font there is, so that pictures cannot depend on the machine.
pub(crate) fn fonts() -> Arc<Database> {
    static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
        let mut fonts = Database::new();
        fonts.load_font_data(INTER.to_vec());
        fonts.set_sans_serif_family("Inter");
        fonts.set_serif_family("Inter");
        fonts.set_monospace_family("Inter");
        Arc::new(fonts)
    });
    Arc::clone(&FONTS)
}

/// The width of text in units of the font size, without kerning.
pub(crate) fn width(text: &str) -> f64 {
    static FACE: LazyLock<Face<'static>> = LazyLock::new(|| Face::parse(INTER, 0).expect("the bundled font is a font"));
    let advance = |letter| FACE.glyph_index(letter).and_then(|glyph| FACE.glyph_hor_advance(glyph));
    // A letter that Inter does not have is drawn by another font, about this wide.
    let units: f64 =
        text.chars().map(|letter| advance(letter).map_or(0.6 * f64::from(FACE.units_per_em()), f64::from)).sum();
    units / f64::from(FACE.units_per_em())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_letters_and_name_that_figures_use() {
        assert!(fonts().faces().any(|face| face.families.iter().any(|(name, _)| name == "Inter")));
        let face = Face::parse(INTER, 0).unwrap();
        for letter in "AZaz09 %()=.,–−≥≤±×·βµéß".chars() {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
        assert!(width("WWW") > 2.0 * width("iii") && (width("00") - 2.0 * width("0")).abs() < 1e-9);
    }
}
