//! Named, typed columns of equal length, and the two file formats that hold them.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{csv_format, parquet_format, write_whole};

/// The cells of one column. `None` is a missing cell, never zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text. Empty text is a missing cell in both formats, because CSV cannot tell them apart.
    Text(Vec<Option<String>>),
    /// Whole numbers.
    Count(Vec<Option<u64>>),
    /// Finite real numbers.
    Real(Vec<Option<f64>>),
    /// Lists of whole numbers. CSV has none: there they become text, numbers with spaces between.
    Counts(Vec<Option<Vec<u64>>>),
}

impl Column {
    /// A text column without missing cells.
    pub fn text<S: Into<String>>(cells: impl IntoIterator<Item = S>) -> Self {
        Self::Text(cells.into_iter().map(|cell| Some(cell.into())).collect())
    }

    /// A column of whole numbers without missing cells.
    pub fn count(cells: impl IntoIterator<Item = u64>) -> Self {
        Self::Count(cells.into_iter().map(Some).collect())
    }

    /// A column of real numbers without missing cells.
    pub fn real(cells: impl IntoIterator<Item = f64>) -> Self {
        Self::Real(cells.into_iter().map(Some).collect())
    }

    /// The number of cells.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Count(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Counts(cells) => cells.len(),
        }
    }

    /// Whether it has no cells.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A cell as it is written in CSV; empty when missing.
    pub fn show(&self, row: usize) -> String {
        match self {
            Self::Text(cells) => cells[row].clone().unwrap_or_default(),
            Self::Count(cells) => cells[row].map(|n| n.to_string()).unwrap_or_default(),
            // `Debug` keeps the point of a whole number, so that the column reads back as real.
            Self::Real(cells) => cells[row].map(|x| format!("{x:?}")).unwrap_or_default(),
            Self::Counts(cells) => {
                let numbers = cells[row].iter().flatten().map(ToString::to_string);
                numbers.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// A cell as a number; nothing for text, lists and missing cells.
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Text(_) | Self::Counts(_) => None,
            Self::Count(cells) => cells[row].map(|n| n as f64),
            Self::Real(cells) => cells[row],
        }
    }

    /// The given rows, in the given order.
    fn take(&self, rows: &[usize]) -> Self {
        match self {
            Self::Text(cells) => Self::Text(rows.iter().map(|&row| cells[row].clone()).collect()),
            Self::Count(cells) => Self::Count(rows.iter().map(|&row| cells[row]).collect()),
            Self::Real(cells) => Self::Real(rows.iter().map(|&row| cells[row]).collect()),
            Self::Counts(cells) => Self::Counts(rows.iter().map(|&row| cells[row].clone()).collect()),
        }
    }

    /// How two rows compare; missing cells come first.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        match self {
            Self::Text(cells) => cells[a].cmp(&cells[b]),
            Self::Count(cells) => cells[a].cmp(&cells[b]),
            Self::Counts(cells) => cells[a].cmp(&cells[b]),
            Self::Real(cells) => match (cells[a], cells[b]) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                (x, y) => x.is_some().cmp(&y.is_some()),
            },
        }
    }
}

/// What can go wrong with a table or its file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TableError {
    #[error("column `{column}` has {found} rows, the table has {expected}")]
    Length { column: String, found: usize, expected: usize },
    #[error("column `{0}` is there twice")]
    Duplicate(String),
    #[error("no column `{name}`; the columns are {known}")]
    NoColumn { name: String, known: String },
    #[error("column `{column}`, row {row}: {value} is not a finite number")]
    NotFinite { column: String, row: usize, value: f64 },
    #[error("`{0}`: the file name must end in .csv or .parquet")]
    Extension(PathBuf),
    #[error("`{path}`: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("CSV: {0}")]
    Csv(#[from] csv::Error),
    #[error("Parquet: {0}")]
    Parquet(String),
}

/// A file format for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated text with one header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that a file's extension names.
    pub fn of(path: &Path) -> Result<Self, TableError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(TableError::Extension(path.to_owned())),
        }
    }
}

/// Named columns of equal length, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
}

impl Table {
    /// No columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column on the right.
    pub fn push(&mut self, name: impl Into<String>, column: Column) -> Result<(), TableError> {
        let name = name.into();
        if self.columns.iter().any(|(known, _)| *known == name) {
            return Err(TableError::Duplicate(name));
        }
        if !self.columns.is_empty() && column.len() != self.rows() {
            return Err(TableError::Length { column: name, found: column.len(), expected: self.rows() });
        }
        if let Column::Real(cells) = &column {
            let bad =
                cells.iter().enumerate().find_map(|(row, cell)| cell.filter(|x| !x.is_finite()).map(|x| (row, x)));
            if let Some((row, value)) = bad {
                return Err(TableError::NotFinite { column: name, row, value });
            }
        }
        self.columns.push((name, column));
        Ok(())
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// The names of the columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The columns with their names, in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// A column by name.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column)
    }

    /// A column by name, or an error that lists the names there are.
    pub fn column(&self, name: &str) -> Result<&Column, TableError> {
        self.get(name).ok_or_else(|| TableError::NoColumn {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The given rows, in the given order.
    pub fn take(&self, rows: &[usize]) -> Self {
        Self { columns: self.columns.iter().map(|(name, column)| (name.clone(), column.take(rows))).collect() }
    }

    /// Rows ordered by some columns, earlier ones first; equal rows keep their order.
    pub fn sorted_by(&self, keys: &[&str]) -> Result<Self, TableError> {
        Ok(self.take(&self.order(keys)?))
    }

    /// The row numbers in the order of some columns.
    pub(crate) fn order(&self, keys: &[&str]) -> Result<Vec<usize>, TableError> {
        let keys = self.key_columns(keys)?;
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.sort_by(|&a, &b| compare(&keys, a, b));
        Ok(order)
    }

    /// Rows that agree in some columns, groups in the order of these columns, rows of a group in the order of the table.
    pub fn groups(&self, keys: &[&str]) -> Result<Vec<Vec<usize>>, TableError> {
        let columns = self.key_columns(keys)?;
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for row in self.order(keys)? {
            match groups.last_mut() {
                Some(group) if compare(&columns, group[0], row).is_eq() => group.push(row),
                _ => groups.push(vec![row]),
            }
        }
        Ok(groups)
    }

    fn key_columns(&self, keys: &[&str]) -> Result<Vec<&Column>, TableError> {
        keys.iter().map(|key| self.column(key)).collect()
    }

    /// The bytes of the file.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>, TableError> {
        match format {
            Format::Csv => csv_format::encode(self),
            Format::Parquet => parquet_format::encode(self),
        }
    }

    /// A table from the bytes of a file.
    pub fn decode(bytes: &[u8], format: Format) -> Result<Self, TableError> {
        match format {
            Format::Csv => csv_format::decode(bytes),
            Format::Parquet => parquet_format::decode(bytes),
        }
    }

    /// Writes a file in the format of its extension, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), TableError> {
        let bytes = self.encode(Format::of(path)?)?;
        write_whole(path, &bytes).map_err(|source| TableError::Io { path: path.to_owned(), source })
    }

    /// Reads a file in the format of its extension.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let format = Format::of(path)?;
        let bytes = fs::read(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        Self::decode(&bytes, format)
    }
}

fn compare(keys: &[&Column], a: usize, b: usize) -> Ordering {
    keys.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
