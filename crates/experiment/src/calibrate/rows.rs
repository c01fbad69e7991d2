//! Reads measured step times from CSV, strictly: a doubtful cell is an error that names it.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use trimtab_engine::cost::{Deployment, StepShape, Tuning};

use crate::catalog::{self, CatalogError, Overrides};

/// What a measured step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Prefill chunks only.
    Prefill,
    /// Decodes only.
    Decode,
    /// One prefill chunk and some decodes.
    Mixed,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Prefill, Self::Decode, Self::Mixed];

    /// As written in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Mixed => "mixed",
        }
    }
}

/// One measured step.
///
/// - prefill: `batch` sequences of `new_tokens` each, after `context_tokens` cached ones each;
/// - decode: `batch` sequences at a mean context of `context_tokens`;
/// - mixed: one chunk of `new_tokens` after `history` cached tokens, and `batch` decodes at `context_tokens`.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line in the file.
    pub line: u64,
    /// Hardware, as the catalogue calls it.
    pub hardware: String,
    /// Model, as the catalogue calls it.
    pub model: String,
    /// Tensor-parallel degree.
    pub tp: u32,
    /// Serving engine, or the harness that measured.
    pub engine: String,
    /// What the step did.
    pub kind: Kind,
    /// Sequences.
    pub batch: u32,
    /// New prompt tokens of each prefilling sequence.
    pub new_tokens: u32,
    /// Mean context.
    pub context_tokens: f64,
    /// Cached tokens before a mixed step's chunk.
    pub history: u32,
    /// Measured time, in seconds.
    pub seconds: f64,
    /// Whether the time includes all-reduces between GPUs.
    pub all_reduce: bool,
}

impl Row {
    /// The step's content.
    pub fn shape(&self) -> StepShape {
        let whole = |x: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when read")]
            let n = libm::round(x) as u64;
            n
        };
        let context = whole(f64::from(self.batch) * self.context_tokens);
        let mut shape = match self.kind {
            Kind::Prefill => StepShape::default(),
            Kind::Decode | Kind::Mixed => StepShape::decode(self.batch, context),
        };
        match self.kind {
            Kind::Prefill => {
                let cached = u32::try_from(whole(self.context_tokens)).unwrap_or(u32::MAX);
                for _ in 0..self.batch {
                    shape.add_chunk(self.new_tokens, cached);
                }
            }
            Kind::Mixed => shape.add_chunk(self.new_tokens, self.history),
            Kind::Decode => {}
        }
        shape
    }

    /// Name of the (hardware, model, tp) group that is left out as a whole in cross-validation.
    pub fn group(&self) -> (&str, &str, u32) {
        (&self.hardware, &self.model, self.tp)
    }

    /// The order of a fit: independent of the order in the file.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let key = |r: &Self| (r.kind, r.batch, r.new_tokens, r.history, r.all_reduce);
        (&self.hardware, &self.engine, &self.model, self.tp)
            .cmp(&(&other.hardware, &other.engine, &other.model, other.tp))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.context_tokens.total_cmp(&other.context_tokens))
            .then_with(|| self.seconds.total_cmp(&other.seconds))
    }
}

/// What a person says about rows that do not say it themselves; for columns that exist, which rows to keep.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Hardware name or file.
    pub hardware: Option<String>,
    /// Model name or file.
    pub model: Option<String>,
    /// Tensor-parallel degree.
    pub tp: Option<u32>,
    /// Engine name.
    pub engine: Option<String>,
}

/// Why rows could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The header lacks something.
    #[error("{}: {detail}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is missing, and the remedy.
        detail: String,
    },
    /// A cell is wrong.
    #[error("{}:{line}: {detail}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// Column, value and what is expected.
        detail: String,
    },
    /// A hardware or model name is unknown.
    #[error("{}:{line}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The line.
        line: u64,
        /// The catalogue's answer.
        source: Box<CatalogError>,
    },
    /// Nothing is left.
    #[error("{}: {detail}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

/// Column positions of one file.
struct Columns {
    hw: Option<usize>,
    model: Option<usize>,
    tp: Option<usize>,
    engine: Option<usize>,
    kind: usize,
    batch: usize,
    new_tokens: usize,
    context: usize,
    history: Option<usize>,
    all_reduce: Option<usize>,
    source: Option<usize>,
    time: usize,
    /// Units in a second.
    per_second: f64,
}

impl Columns {
    fn find(header: &csv::StringRecord, selection: &Selection) -> Result<Self, String> {
        let at = |name: &str| header.iter().position(|h| h.trim() == name);
        let need = |name: &str| at(name).ok_or_else(|| format!("column `{name}` is missing"));
        let or_flag = |name: &str, flag: &str, given: bool| match at(name) {
            None if !given => Err(format!("column `{name}` is missing; add it or give {flag}")),
            found => Ok(found),
        };
        let (time, per_second) = [("time_ms", 1e3), ("time_us", 1e6), ("time_s", 1.0)]
            .into_iter()
            .find_map(|(name, scale)| Some((at(name)?, scale)))
            .ok_or_else(|| match header.iter().find(|h| h.contains("time") || h.contains("latency")) {
                Some(other) => {
                    format!("column `{other}` has an unknown unit; name it `time_ms`, `time_us` or `time_s`")
                }
                None => "column `time_ms` (or `time_us`, `time_s`) is missing".to_owned(),
            })?;
        Ok(Self {
            hw: or_flag("hw", "--hardware", selection.hardware.is_some())?,
            model: or_flag("model", "--model", selection.model.is_some())?,
            tp: or_flag("tp", "--tp", selection.tp.is_some())?,
            engine: at("engine"),
            kind: need("kind")?,
            batch: need("batch")?,
            new_tokens: need("new_tokens")?,
            context: need("context_tokens")?,
            history: at("kv_prefill"),
            all_reduce: at("all_reduce"),
            source: at("source"),
            time,
            per_second,
        })
    }
}

/// Reads every row of `path` that `selection` keeps.
pub fn read_rows(path: &Path, selection: &Selection) -> Result<Vec<Row>, RowsError> {
    let text = std::fs::read_to_string(path).map_err(|source| RowsError::Read { path: path.into(), source })?;
    parse_rows(path, &text, selection)
}

/// Reads rows from a file's text; `path` is for messages.
pub fn parse_rows(path: &Path, text: &str, selection: &Selection) -> Result<Vec<Row>, RowsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = |detail: String| RowsError::Header { path: path.into(), detail };
    let columns = reader.headers().map_err(|e| header(e.to_string()))?.clone();
    let columns = Columns::find(&columns, selection).map_err(header)?;
    let mut names = Names::default();
    let wanted = Selection {
        hardware: selection.hardware.as_deref().map(|n| names.hardware(n)).transpose().map_err(|s| at_flag(path, s))?,
        model: selection.model.as_deref().map(|n| names.model(n)).transpose().map_err(|s| at_flag(path, s))?,
        ..selection.clone()
    };
    let mut rows = Vec::new();
    let mut read = 0_usize;
    for record in reader.records() {
        let record = record.map_err(|e| {
            let line = e.position().map_or(0, csv::Position::line);
            RowsError::Cell { path: path.into(), line, detail: e.to_string() }
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        read += 1;
        let row = parse_row(&record, line, &columns, &wanted, &mut names).map_err(|fault| match fault {
            Fault::Cell(detail) => RowsError::Cell { path: path.into(), line, detail },
            Fault::Name(source) => RowsError::Name { path: path.into(), line, source: Box::new(source) },
        })?;
        let keep = |flag: &Option<String>, value: &str| flag.as_ref().is_none_or(|f| f == value);
        if keep(&wanted.hardware, &row.hardware)
            && keep(&wanted.model, &row.model)
            && keep(&wanted.engine, &row.engine)
            && wanted.tp.is_none_or(|tp| tp == row.tp)
        {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        let detail = if read == 0 { "no rows below the header".into() } else { format!("none of {read} rows match") };
        return Err(RowsError::Empty { path: path.into(), detail });
    }
    Ok(rows)
}

fn at_flag(path: &Path, source: CatalogError) -> RowsError {
    RowsError::Name { path: path.into(), line: 1, source: Box::new(source) }
}

enum Fault {
    Cell(String),
    Name(CatalogError),
}

/// Names of the files met so far, as the catalogue calls them.
#[derive(Default)]
struct Names {
    hardware: Vec<(String, String)>,
    model: Vec<(String, String)>,
}

impl Names {
    fn hardware(&mut self, raw: &str) -> Result<String, CatalogError> {
        remember(&mut self.hardware, raw, |raw| Ok(catalog::hardware(raw)?.name))
    }

    fn model(&mut self, raw: &str) -> Result<String, CatalogError> {
        remember(&mut self.model, raw, |raw| Ok(catalog::model(raw)?.name))
    }
}

/// A file's name stays as it is (it is how the catalogue finds it again); other names become the catalogue's own.
fn remember(
    known: &mut Vec<(String, String)>,
    raw: &str,
    look_up: impl FnOnce(&str) -> Result<String, CatalogError>,
) -> Result<String, CatalogError> {
    if let Some((_, name)) = known.iter().find(|(from, _)| from == raw) {
        return Ok(name.clone());
    }
    let found = look_up(raw)?;
    let name = if catalog::is_path(raw) { raw.to_owned() } else { found };
    known.push((raw.to_owned(), name.clone()));
    Ok(name)
}

fn parse_row(
    record: &csv::StringRecord,
    line: u64,
    columns: &Columns,
    wanted: &Selection,
    names: &mut Names,
) -> Result<Row, Fault> {
    let cell = |at: usize| record.get(at).unwrap_or("");
    let bad =
        |name: &str, at: usize, expected: &str| Fault::Cell(format!("`{name}` is `{}`; expected {expected}", cell(at)));
    let whole = |name: &str, at: usize, least: u32| {
        let value: Option<u32> = cell(at).parse().ok();
        value.filter(|v| *v >= least).ok_or_else(|| bad(name, at, &format!("a whole number of at least {least}")))
    };
    let kind = match cell(columns.kind) {
        "prefill" => Kind::Prefill,
        "decode" => Kind::Decode,
        "mixed" => Kind::Mixed,
        _ => return Err(bad("kind", columns.kind, "prefill, decode or mixed")),
    };
    let time: f64 = cell(columns.time).parse().unwrap_or(f64::NAN);
    if !(time.is_finite() && time > 0.0) {
        return Err(bad("time", columns.time, "a finite time above 0"));
    }
    let context_tokens: f64 = cell(columns.context).parse().unwrap_or(f64::NAN);
    if !(0.0..1e9).contains(&context_tokens) {
        return Err(bad("context_tokens", columns.context, "a number of tokens from 0 to 1e9"));
    }
    let history = match columns.history {
        Some(at) if !cell(at).is_empty() => whole("kv_prefill", at, 0)?,
        _ => history_in(columns.source.map_or("", cell)).map_err(Fault::Cell)?,
    };
    let engine = match columns.engine.map_or("", cell) {
        "" => wanted.engine.clone().unwrap_or_else(|| "unnamed".to_owned()),
        name => name.to_owned(),
    };
    let all_reduce = match columns.all_reduce.map_or("", cell) {
        "yes" => true,
        "no" => false,
        // By convention these are sums over kernels that were profiled on one GPU.
        "" => !engine.ends_with("-kernelsum"),
        _ => return Err(bad("all_reduce", columns.all_reduce.unwrap_or(0), "yes or no")),
    };
    Ok(Row {
        line,
        hardware: match columns.hw {
            Some(at) => names.hardware(cell(at)).map_err(Fault::Name)?,
            None => wanted.hardware.clone().unwrap_or_default(),
        },
        model: match columns.model {
            Some(at) => names.model(cell(at)).map_err(Fault::Name)?,
            None => wanted.model.clone().unwrap_or_default(),
        },
        tp: match columns.tp {
            Some(at) => whole("tp", at, 1)?,
            None => wanted.tp.unwrap_or(1),
        },
        engine,
        kind,
        batch: whole("batch", columns.batch, 1)?,
        new_tokens: whole("new_tokens", columns.new_tokens, u32::from(kind != Kind::Decode))?,
        context_tokens,
        history,
        seconds: time / columns.per_second,
        all_reduce,
    })
}

/// The history of a mixed step's chunk, from a source like `file|kv_prefill=4096`.
fn history_in(source: &str) -> Result<u32, String> {
    let Some((_, value)) = source.split_once("|kv_prefill=") else { return Ok(0) };
    let digits = value.split('|').next().unwrap_or("");
    digits.parse().map_err(|_| format!("`source` says kv_prefill={digits}; expected a whole number"))
}

/// The deployments of a set of rows, each resolved once.
#[derive(Default)]
pub struct Deployments(Vec<(String, String, u32, Deployment)>);

impl Deployments {
    /// The deployment of `row`.
    pub fn of(&mut self, row: &Row) -> Result<&Deployment, CatalogError> {
        let same = |(h, m, tp, _): &(String, String, u32, Deployment)| (h.as_str(), m.as_str(), *tp) == row.group();
        let at = if let Some(at) = self.0.iter().position(same) {
            at
        } else {
            let overrides = Overrides { tuning: Some(Tuning::default()), ..Overrides::default() };
            let deployment = catalog::resolve(&row.model, &row.hardware, row.tp, overrides)?;
            self.0.push((row.hardware.clone(), row.model.clone(), row.tp, deployment));
            self.0.len() - 1
        };
        Ok(&self.0[at].3)
    }
}
