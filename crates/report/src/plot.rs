//! From a results folder to picture files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use trimtab_core::nearest_name;
use trimtab_table::TableError;

use crate::draw;
use crate::export::{self, ExportError};
use crate::figure::Figure;
use crate::figures::{FIGURES, FigureDef, Unavailable};
use crate::look::looks;
use crate::results::{Results, ResultsError};
use crate::theme::Theme;

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after themselves")]
pub enum PictureFormat {
    Svg,
    Pdf,
    Png,
}

impl FromStr for PictureFormat {
    type Err = PlotError;

    fn from_str(name: &str) -> Result<Self, PlotError> {
        match name {
            "svg" => Ok(Self::Svg),
            "pdf" => Ok(Self::Pdf),
            "png" => Ok(Self::Png),
            _ => Err(PlotError::Format(name.to_owned())),
        }
    }
}

/// Why figures could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PlotError {
    #[error("no picture format `{0}` (there are svg, pdf and png)")]
    Format(String),
    #[error("no figure `{name}`{hint}")]
    NoFigure { name: String, hint: String },
    #[error("nothing in `{0}` can be drawn: {1}")]
    Nothing(PathBuf, String),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// All kinds of figures, with their names and summaries.
pub fn figures() -> &'static [FigureDef] {
    FIGURES
}

/// Draws one kind of figure, or with no name every kind that the results allow, into `out`. Returns the files written:
/// for each figure the pictures and a CSV of the points drawn.
pub fn plot(
    results: &Path,
    figure: Option<&str>,
    formats: &[PictureFormat],
    theme: &Theme,
    out: &Path,
) -> Result<Vec<PathBuf>, PlotError> {
    let stored = Results::open(results)?;
    let drawn = if let Some(name) = figure {
        (definition(name)?.build)(&stored)?
    } else {
        let (drawn, reasons) = drawable(&stored)?;
        if drawn.is_empty() {
            return Err(PlotError::Nothing(results.to_owned(), reasons.join("; ")));
        }
        drawn
    };
    let mut files = Vec::new();
    for figure in drawn {
        files.extend(write_figure(&figure, &stored.labels(), formats, theme, out)?);
    }
    Ok(files)
}

/// Draws one figure into `out`: the pictures and a CSV of the points drawn. `labels` are those of all figures that are
/// to look alike.
pub fn write_figure(
    figure: &Figure,
    labels: &[String],
    formats: &[PictureFormat],
    theme: &Theme,
    out: &Path,
) -> Result<Vec<PathBuf>, PlotError> {
    fs::create_dir_all(out).map_err(|source| PlotError::Io { path: out.to_owned(), source })?;
    let svg = draw::svg(figure, &looks(labels, &theme.series), theme);
    let mut files = Vec::new();
    for format in formats {
        let (extension, bytes) = match format {
            PictureFormat::Svg => ("svg", svg.clone().into_bytes()),
            PictureFormat::Pdf => ("pdf", export::pdf(&svg)?),
            PictureFormat::Png => ("png", export::png(&svg, theme.dpi)?),
        };
        let path = out.join(format!("{}.{extension}", figure.name));
        fs::write(&path, bytes).map_err(|source| PlotError::Io { path: path.clone(), source })?;
        files.push(path);
    }
    let path = out.join(format!("{}.csv", figure.name));
    figure.table().write(&path)?;
    files.push(path);
    Ok(files)
}

/// Every figure that the results allow, and why there are no others.
pub(crate) fn drawable(results: &Results) -> Result<(Vec<Figure>, Vec<String>), PlotError> {
    let (mut drawn, mut reasons) = (Vec::new(), Vec::new());
    for kind in FIGURES {
        match (kind.build)(results) {
            Ok(figures) => drawn.extend(figures),
            Err(Unavailable::NoData(reason)) => reasons.push(reason),
            Err(broken) => return Err(broken.into()),
        }
    }
    Ok((drawn, reasons))
}

fn definition(name: &str) -> Result<&'static FigureDef, PlotError> {
    let names = || FIGURES.iter().map(|figure| figure.name);
    FIGURES.iter().find(|figure| figure.name == name).ok_or_else(|| PlotError::NoFigure {
        name: name.to_owned(),
        hint: nearest_name(name, names()).map_or_else(
            || format!(" (there are {})", names().collect::<Vec<_>>().join(", ")),
            |near| format!("; did you mean `{near}`?"),
        ),
    })
}
