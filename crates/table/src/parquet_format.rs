//! Tables as Parquet, through polars.

use std::io::Cursor;

use polars_core::prelude::{Column as Series, DataFrame, DataType, NamedFrom, PolarsError, Series as Data};
use polars_io::prelude::{ParquetReader, ParquetWriter, SerReader};

use crate::table::{Column, Table, TableError};

pub(crate) fn encode(table: &Table) -> Result<Vec<u8>, TableError> {
    let series = table.columns().map(|(name, column)| to_series(name, column)).collect();
    let mut frame = DataFrame::new(table.rows(), series).map_err(failed)?;
    let mut bytes = Vec::new();
    // One thread: the layout of the file then cannot depend on how many there are.
    ParquetWriter::new(&mut bytes).set_parallel(false).finish(&mut frame).map_err(failed)?;
    Ok(bytes)
}

pub(crate) fn decode(bytes: Vec<u8>) -> Result<Table, TableError> {
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(failed)?;
    let mut table = Table::new();
    for series in frame.columns() {
        table.push(series.name().as_str(), from_series(series)?)?;
    }
    Ok(table)
}

fn to_series(name: &str, column: &Column) -> Series {
    match column {
        Column::Text(cells) => {
            let cells: Vec<Option<&str>> =
                cells.iter().map(|cell| cell.as_deref().filter(|cell| !cell.is_empty())).collect();
            Data::new(name.into(), cells).into()
        }
        Column::Count(cells) => Data::new(name.into(), cells).into(),
        Column::Real(cells) => Data::new(name.into(), cells).into(),
    }
}

/// Columns of other widths and signs, as other tools write them, are widened to ours.
fn from_series(series: &Series) -> Result<Column, TableError> {
    let dtype = series.dtype();
    Ok(if *dtype == DataType::String {
        Column::Text(series.str().map_err(failed)?.iter().map(|cell| cell.map(str::to_owned)).collect())
    } else if dtype.is_integer() {
        let counts = series.strict_cast(&DataType::UInt64).map_err(failed)?;
        Column::Count(counts.u64().map_err(failed)?.iter().collect())
    } else {
        let reals = series.strict_cast(&DataType::Float64).map_err(failed)?;
        Column::Real(reals.f64().map_err(failed)?.iter().collect())
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: PolarsError) -> TableError {
    TableError::Parquet(error.to_string())
}
