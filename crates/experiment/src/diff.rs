//! Comparing two sets of results, number by number.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::results::SweepError;
use crate::summary::METRICS;

/// A value that differs, or a row that only one side has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table.
    pub file: &'static str,
    /// What the row is about: `column=value` of its keys.
    pub row: String,
    /// The column; empty when the row is missing on one side.
    pub column: String,
    /// On the left side.
    pub left: String,
    /// On the right side.
    pub right: String,
}

/// Columns that are results of a capacity search; the others say what a row is about.
const CAPACITY: &[&str] = &[
    "capacity_lo_rps",
    "capacity_hi_rps",
    "censored",
    "monotone",
    "seeds",
    "probes",
    "ratio_lo",
    "ratio_hi",
    "verdict",
];

/// Compares the tables of two results folders. Numbers may differ by `tolerance`, as a share of the larger.
pub fn diff(left: &Path, right: &Path, tolerance: f64) -> Result<Vec<Difference>, SweepError> {
    let metrics: Vec<&str> = METRICS.iter().map(|m| m.name).chain(["status", "cell"]).collect();
    let mut all = Vec::new();
    for (file, values) in [("summary.csv", metrics.as_slice()), ("capacity.csv", CAPACITY)] {
        let (a, b) = (left.join(file), right.join(file));
        // A sweep has no capacities; that one side has them and the other has not shows row by row.
        if file == "capacity.csv" && !a.exists() && !b.exists() {
            continue;
        }
        compare(file, &table(&a, values)?, &table(&b, values)?, tolerance, &mut all);
    }
    Ok(all)
}

type Table = BTreeMap<String, BTreeMap<String, String>>;

/// Rows by what they are about, with their values.
fn table(path: &Path, values: &[&str]) -> Result<Table, SweepError> {
    if !path.exists() && path.file_name().is_some_and(|name| name == "capacity.csv") {
        return Ok(Table::new());
    }
    let text = fs::read(path).map_err(|source| SweepError::Io { doing: "read", path: path.into(), source })?;
    let bad = |error: csv::Error| SweepError::Data(format!("{}: {error}", path.display()));
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().map_err(bad)?.clone();
    let mut rows = Table::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let (found, keys): (Vec<_>, Vec<_>) =
            header.iter().zip(&record).partition(|(column, _)| values.contains(column));
        let row: Vec<String> = keys.iter().map(|(column, value)| format!("{column}={value}")).collect();
        // Ids follow the version of the program: they say nothing about the numbers.
        let found = found.into_iter().filter(|(column, _)| *column != "cell");
        rows.insert(row.join(" "), found.map(|(column, value)| (column.to_owned(), value.to_owned())).collect());
    }
    Ok(rows)
}

fn compare(file: &'static str, left: &Table, right: &Table, tolerance: f64, all: &mut Vec<Difference>) {
    let mut say = |row: &str, column: &str, left: &str, right: &str| {
        let [row, column, left, right] = [row, column, left, right].map(str::to_owned);
        all.push(Difference { file, row, column, left, right });
    };
    for (row, values) in left {
        let Some(others) = right.get(row) else {
            say(row, "", "present", "missing");
            continue;
        };
        for (column, value) in values {
            let other = others.get(column).map_or("", String::as_str);
            if !same(value, other, tolerance) {
                say(row, column, value, other);
            }
        }
    }
    for row in right.keys().filter(|row| !left.contains_key(*row)) {
        say(row, "", "missing", "present");
    }
}

fn same(left: &str, right: &str, tolerance: f64) -> bool {
    if left == right {
        return true;
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= tolerance * a.abs().max(b.abs()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_by_more_than_the_tolerance_or_not() {
        for (left, right, tolerance, expected) in [
            ("1.0", "1", 0.0, true),
            ("1", "1.001", 0.01, true),
            ("1", "1.02", 0.01, false),
            ("", "1", 0.5, false),
            ("ok", "failed", 1.0, false),
        ] {
            assert_eq!(same(left, right, tolerance), expected, "{left} {right}");
        }
    }
}
