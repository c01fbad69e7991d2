//! Trace files, Parquet included.
//!
//! In Parquet, a row is a line of a JSON format and a column is one of its keys. We write the canonical form, its header as
//! the text of the first row of the column `trimtab_trace`. We read any format that is JSON lines: rows become lines again,
//! which the reader of the format checks as it checks text, so that messages name the row as a line.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use serde::Deserialize;
use trimtab_table::{Column, Format, Table, TableError};
use trimtab_workload::{ReadError, ReadOptions, Trace, write_canonical};

use crate::simulate::RunError;

/// The first bytes of a Parquet file.
const MAGIC: &[u8] = b"PAR1";
/// The column whose first row is the header of the canonical form.
const HEADER: &str = "trimtab_trace";

/// Reads a trace from a file of any format and compression.
pub fn read(path: &Path, options: &ReadOptions) -> Result<Trace, RunError> {
    let io = |source| RunError::Read(ReadError::Io { path: path.into(), source });
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(io)?;
    if bytes != MAGIC {
        return Ok(trimtab_workload::read_file(path, options)?);
    }
    file.read_to_end(&mut bytes).map_err(io)?;
    let text =
        Table::decode(&bytes, Format::Parquet).map(|table| lines(&table)).map_err(|source| table(path, source))?;
    Ok(trimtab_workload::read(Cursor::new(text), &path.to_string_lossy(), options)?)
}

/// Writes a trace in the canonical form: as Parquet if the name ends in `.parquet`, else as JSON lines, compressed if it
/// ends in `.zst` or `.gz`.
pub fn write(trace: &Trace, path: &Path) -> Result<(), RunError> {
    let io = |source| RunError::Write { path: path.into(), source };
    if is_parquet(path) {
        return columns(trace).write(path).map_err(|error| match error {
            TableError::Io { source, .. } => io(source),
            other => table(path, other),
        });
    }
    trimtab_workload::write_file(trace, path).map_err(io)
}

/// Whether a file of this name is written as Parquet.
pub fn is_parquet(path: &Path) -> bool {
    matches!(Format::of(path), Ok(Format::Parquet))
}

fn table(path: &Path, source: TableError) -> RunError {
    RunError::Table { path: path.into(), source }
}

/// Rows as lines of JSON. Missing cells are left out.
fn lines(table: &Table) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(Column::Text(cells)) = table.get(HEADER) {
        out.extend(cells.iter().take(1).flatten().flat_map(|header| [header.as_bytes(), b"\n"].concat()));
    }
    for row in 0..table.rows() {
        let mut lead = '{';
        for (name, column) in table.columns().filter(|(name, _)| *name != HEADER) {
            if let Some(value) = json(column, row) {
                write!(out, "{lead}{}:{value}", quoted(name)).expect("memory");
                lead = ',';
            }
        }
        out.extend(if lead == '{' { &b"{}\n"[..] } else { b"}\n" });
    }
    out
}

/// A cell as JSON.
fn json(column: &Column, row: usize) -> Option<String> {
    match column {
        Column::Text(cells) => cells[row].as_deref().map(quoted),
        Column::Count(cells) => cells[row].map(|n| n.to_string()),
        // Whole numbers that were real only to be negative are whole again.
        Column::Real(cells) => cells[row].map(|x| x.to_string()),
        Column::Counts(cells) => {
            let list = |numbers: &Vec<u64>| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            cells[row].as_ref().map(|numbers| format!("[{}]", list(numbers)))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

/// A line of the canonical form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    t: u64,
    r#in: u64,
    out: u64,
    nodes: Option<Vec<u64>>,
    leaf: Option<u64>,
    out_leaf: Option<u64>,
    session: Option<u64>,
    turn: Option<u64>,
    tenant: Option<u64>,
    model: Option<u64>,
    priority: Option<f64>,
    delay: Option<u64>,
}

/// A trace as the columns of a Parquet file.
fn columns(trace: &Trace) -> Table {
    let text = write_canonical(trace, Vec::new()).expect("memory");
    let mut text = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let header = text.next().map(|line| String::from_utf8_lossy(line).into_owned());
    let lines: Vec<Line> = text.map(|line| serde_json::from_slice(line).expect("the canonical form")).collect();
    let mut headers = vec![None; lines.len()];
    headers.iter_mut().take(1).for_each(|first| first.clone_from(&header));
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).expect("equal lengths and distinct names");
    let count = |value: fn(&Line) -> Option<u64>| Column::Count(lines.iter().map(value).collect());
    add(HEADER, Column::Text(headers));
    add("t", count(|line| Some(line.t)));
    add("in", count(|line| Some(line.r#in)));
    add("out", count(|line| Some(line.out)));
    add("nodes", Column::Counts(lines.iter().map(|line| line.nodes.clone()).collect()));
    add("leaf", count(|line| line.leaf));
    add("out_leaf", count(|line| line.out_leaf));
    add("session", count(|line| line.session));
    add("turn", count(|line| line.turn));
    add("tenant", count(|line| line.tenant));
    add("model", count(|line| line.model));
    add("priority", Column::Real(lines.iter().map(|line| line.priority).collect()));
    add("delay", count(|line| line.delay));
    table
}
