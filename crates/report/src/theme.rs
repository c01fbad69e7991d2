//! Sizes and colours of a figure.

use std::collections::BTreeMap;

use serde::Deserialize;
use trimtab_core::nearest_name;

use crate::look::LookOverride;
use crate::theme_error::ThemeError;

/// Sizes in points (1/72 inch) at the printed size, colours as `#rrggbb`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is what its name says, in points")]
pub struct Theme {
    pub width: f64,
    /// Of one panel, its axis labels included.
    pub panel_height: f64,
    pub font: f64,
    pub line: f64,
    pub marker: f64,
    /// Panels side by side at most; more stand below.
    pub columns: usize,
    /// Whether title and spread are written into the figure.
    pub title: bool,
    /// Pixels per inch of PNG files.
    pub dpi: f64,
    pub ink: String,
    pub grid: String,
    pub background: String,
    /// Looks by scheduler label.
    pub series: BTreeMap<String, LookOverride>,
}

/// The names that [`Theme::parse`] knows.
pub const THEMES: [(&str, &str); 3] = [
    ("paper", "one column of a paper: 3.35 in wide, 8 pt type, no title"),
    ("paper-wide", "two columns: 7 in wide, 8 pt type, no title"),
    ("slide", "10 in wide, 18 pt type, with title and spread"),
];

/// A theme file: a named theme and what is different.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    #[serde(default = "paper")]
    base: String,
    width_pt: Option<f64>,
    panel_height_pt: Option<f64>,
    font_pt: Option<f64>,
    line_pt: Option<f64>,
    marker_pt: Option<f64>,
    columns: Option<usize>,
    title: Option<bool>,
    dpi: Option<f64>,
    ink: Option<crate::look::Colour>,
    grid: Option<crate::look::Colour>,
    background: Option<crate::look::Colour>,
    #[serde(default)]
    series: BTreeMap<String, LookOverride>,
}

fn paper() -> String {
    "paper".to_owned()
}

impl Default for Theme {
    fn default() -> Self {
        Self {
            width: 241.2,
            panel_height: 150.0,
            font: 8.0,
            line: 1.1,
            marker: 4.0,
            columns: 1,
            title: false,
            dpi: 300.0,
            ink: "#222222".to_owned(),
            grid: "#E4E4E4".to_owned(),
            background: "#FFFFFF".to_owned(),
            series: BTreeMap::new(),
        }
    }
}

impl Theme {
    /// A theme by name.
    pub fn named(name: &str) -> Result<Self, ThemeError> {
        let paper = Self::default();
        match name {
            "paper" => Ok(paper),
            "paper-wide" => Ok(Self { width: 504.0, panel_height: 170.0, columns: 3, ..paper }),
            "slide" => Ok(Self {
                width: 720.0,
                panel_height: 380.0,
                font: 18.0,
                line: 2.5,
                marker: 9.0,
                columns: 3,
                title: true,
                dpi: 192.0,
                ..paper
            }),
            _ => {
                let names = THEMES.map(|(name, _)| name);
                let hint =
                    nearest_name(name, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                Err(ThemeError::new(format!("no theme `{name}`{hint} (there are {})", names.join(", "))))
            }
        }
    }

    /// A theme from the text of a TOML file: `base`, and any of the sizes (`_pt`), colours and `[series."label"]`.
    pub fn parse(text: &str) -> Result<Self, ThemeError> {
        let file: ThemeFile = toml::from_str(text).map_err(|error| ThemeError::at(text, &error))?;
        let base = Self::named(&file.base)?;
        let colour = |stated: Option<crate::look::Colour>, base: String| {
            stated.map_or(base, |colour| colour.as_str().to_owned())
        };
        let theme = Self {
            width: file.width_pt.unwrap_or(base.width),
            panel_height: file.panel_height_pt.unwrap_or(base.panel_height),
            font: file.font_pt.unwrap_or(base.font),
            line: file.line_pt.unwrap_or(base.line),
            marker: file.marker_pt.unwrap_or(base.marker),
            columns: file.columns.unwrap_or(base.columns).max(1),
            title: file.title.unwrap_or(base.title),
            dpi: file.dpi.unwrap_or(base.dpi),
            ink: colour(file.ink, base.ink),
            grid: colour(file.grid, base.grid),
            background: colour(file.background, base.background),
            series: file.series,
        };
        let sizes = [
            ("width_pt", theme.width),
            ("panel_height_pt", theme.panel_height),
            ("font_pt", theme.font),
            ("dpi", theme.dpi),
        ];
        match sizes.into_iter().find(|(_, size)| !(1.0..=5000.0).contains(size)) {
            Some((name, size)) => Err(ThemeError::new(format!("{name} = {size} is not between 1 and 5000"))),
            None => Ok(theme),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn theme_files_change_what_they_name() {
        let theme = Theme::parse("base = 'slide'\nfont_pt = 20\n[series.\"my policy\"]\ncolour = '#FF0000'").unwrap();
        assert_eq!((theme.width, theme.font, theme.series.len()), (720.0, 20.0, 1));
        assert_eq!(Theme::parse("").unwrap(), Theme::named("paper").unwrap());
        for (text, complaint) in [
            ("base = 'papper'", "did you mean `paper`?"),
            ("fontsize = 3", "unknown key `fontsize`"),
            ("dpi = 0", "dpi = 0 is not between"),
            ("ink = 'black'", "`black` is not a colour"),
        ] {
            let message = Theme::parse(text).unwrap_err().to_string();
            assert!(message.contains(complaint), "{text}: {message}");
        }
    }
}
