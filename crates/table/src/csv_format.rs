//! Tables as CSV. A missing cell is empty. The type of a column is not written down: on reading, a column is of whole
//! numbers when each of its cells is one as we print it, of real numbers when each is a finite number, else of text.

use crate::table::{Column, Table, TableError};

pub(crate) fn encode(table: &Table) -> Result<Vec<u8>, TableError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(table.names())?;
    for row in 0..table.rows() {
        writer.write_record(table.columns().map(|(_, column)| column.show(row)))?;
    }
    writer.into_inner().map_err(|error| TableError::Csv(error.into_error().into()))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Table, TableError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, cell) in cells.iter_mut().zip(record?.iter()) {
            column.push((!cell.is_empty()).then(|| cell.to_owned()));
        }
    }
    let mut table = Table::new();
    for (name, cells) in names.into_iter().zip(cells) {
        table.push(name, typed(cells))?;
    }
    Ok(table)
}

fn typed(cells: Vec<Option<String>>) -> Column {
    let whole = |cell: &str| cell.parse::<u64>().ok().filter(|n| n.to_string() == cell);
    let real = |cell: &str| cell.parse::<f64>().ok().filter(|x| x.is_finite());
    if cells.iter().all(Option::is_none) {
        return Column::Text(cells);
    }
    parsed(&cells, whole)
        .map(Column::Count)
        .or_else(|| parsed(&cells, real).map(Column::Real))
        .unwrap_or(Column::Text(cells))
}

/// All cells parsed, unless one of them is something else.
fn parsed<T>(cells: &[Option<String>], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    cells.iter().map(|cell| cell.as_deref().map_or(Some(None), |cell| parse(cell).map(Some))).collect()
}
