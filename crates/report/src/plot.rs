//! From a results folder to picture files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use trimtab_core::nearest_name;
use trimtab_table::{TableError, write_whole};

use crate::draw;
use crate::export::{self, ExportError};
use crate::figure::Figure;
use crate::figures::{FIGURES, FigureDef, Unavailable};
use crate::look::{Look, in_order, looks};
use crate::pages::pages;
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

impl PictureFormat {
    /// The name of a file tells its format.
    pub fn of(path: &Path) -> Result<Self, PlotError> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        extension.to_lowercase().parse()
    }

    /// A drawing in this format.
    fn bytes(self, svg: &str, dpi: f64) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Svg => Ok(svg.as_bytes().to_vec()),
            Self::Pdf => export::pdf(svg),
            Self::Png => export::png(svg, dpi),
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Png => "png",
        }
    }
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
    #[error("nothing in `{0}` can be drawn:\n  {reasons}", reasons = .1.join("\n  "))]
    Nothing(PathBuf, Vec<String>),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// All kinds of figures, with their names and summaries.
pub fn figures() -> &'static [FigureDef] {
    FIGURES
}

/// A kind of figure: the names of those that results allow, or why there are none.
pub type Available = (&'static str, Result<Vec<String>, String>);

/// What results allow of every kind of figure.
pub fn available(results: &Path) -> Result<Vec<Available>, PlotError> {
    let stored = Results::open(results)?;
    let mut kinds = Vec::new();
    for kind in FIGURES {
        let found = match (kind.build)(&stored) {
            Ok(figures) => Ok(figures.into_iter().map(|figure| figure.name).collect()),
            Err(Unavailable::NoData(reason)) => Err(reason),
            Err(broken) => return Err(broken.into()),
        };
        kinds.push((kind.name, found));
    }
    Ok(kinds)
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
            return Err(PlotError::Nothing(results.to_owned(), reasons));
        }
        drawn
    };
    let looks = looks(&stored.labels(), &theme.series);
    fs::create_dir_all(out).map_err(|source| PlotError::Io { path: out.to_owned(), source })?;
    let mut files = Vec::new();
    for figure in drawn.into_iter().flat_map(|figure| pages(figure, theme)) {
        let svg = draw::svg(&figure, &looks, theme);
        for format in formats {
            let path = out.join(format!("{}.{}", figure.name, format.extension()));
            write(&path, &format.bytes(&svg, theme.dpi)?)?;
            files.push(path);
        }
        let path = out.join(format!("{}.csv", figure.name));
        points(&figure, &path)?;
        files.push(path);
    }
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

/// Draws one figure into a file, whose format its name tells, and the points drawn as CSV beside it. Returns both.
pub fn picture(figure: &Figure, theme: &Theme, path: &Path) -> Result<[PathBuf; 2], PlotError> {
    let format = PictureFormat::of(path)?;
    let labels: Vec<String> = figure.labels().into_iter().map(str::to_owned).collect();
    let mut looks = looks(&labels, &theme.series);
    if let (1, Some(look)) = (labels.len(), looks.values_mut().next()) {
        *look = if theme.series.contains_key(&labels[0]) { look.clone() } else { Look::single() };
    }
    let svg = draw::svg(figure, &looks, theme);
    write(path, &format.bytes(&svg, theme.dpi)?)?;
    let csv = path.with_extension("csv");
    points(figure, &csv)?;
    Ok([path.to_owned(), csv])
}

/// Draws one figure that is not about schedulers into a file, in the format that its name says.
pub fn save(figure: &Figure, theme: &Theme, path: &Path) -> Result<(), PlotError> {
    let format = PictureFormat::of(path)?;
    let svg = draw::svg(figure, &in_order(&figure.labels(), &theme.series), theme);
    write(path, &format.bytes(&svg, theme.dpi)?)
}

/// Writes the points drawn.
fn points(figure: &Figure, path: &Path) -> Result<(), PlotError> {
    figure.table().write(path).map_err(|error| match error {
        TableError::Io { path, source } => PlotError::Io { path, source },
        other => other.into(),
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PlotError> {
    write_whole(path, bytes).map_err(|source| PlotError::Io { path: path.to_owned(), source })
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
