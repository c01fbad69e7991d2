//! Tables as Parquet, through polars.

use std::io::Cursor;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars_core::prelude::{
    Column as Series, DataFrame, DataType, IntoSeries, ListBuilderTrait, ListPrimitiveChunkedBuilder, NamedFrom,
    PolarsError, Series as Data, UInt64Type,
};
use polars_io::prelude::{ParquetReader, ParquetWriter, SerReader};

use crate::announced::{footer_fits, pages_fit};
use crate::table::{Column, Table, TableError};

pub(crate) fn encode(table: &Table) -> Result<Vec<u8>, TableError> {
    let series = table.columns().map(|(name, column)| to_series(name, column)).collect();
    let mut frame = DataFrame::new(table.rows(), series).map_err(failed)?;
    let mut bytes = Vec::new();
    // One thread: the layout of the file then cannot depend on how many there are.
    ParquetWriter::new(&mut bytes).set_parallel(false).finish(&mut frame).map_err(failed)?;
    Ok(bytes)
}

/// How many decoders are at work.
static DECODING: AtomicUsize = AtomicUsize::new(0);

/// Whether a file is being decoded right now. The decoder panics on some damaged files, also in threads of its own; that
/// becomes an error, so whoever prints panics need not.
pub fn decoding() -> bool {
    DECODING.load(Ordering::SeqCst) > 0
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Table, TableError> {
    DECODING.fetch_add(1, Ordering::SeqCst);
    let decoded = catch_unwind(|| decode_sound(bytes));
    DECODING.fetch_sub(1, Ordering::SeqCst);
    decoded.unwrap_or_else(|_| Err(TableError::Parquet("the file is damaged".to_owned())))
}

/// Values that a byte of a file can stand for at most. Pages of equal values reach some thousands.
const VALUES_PER_BYTE: u64 = 1 << 14;

fn decode_sound(bytes: &[u8]) -> Result<Table, TableError> {
    let damaged = || TableError::Parquet("the file is damaged: it is too short for what it says it holds".to_owned());
    let most = (bytes.len() as u64).saturating_mul(VALUES_PER_BYTE);
    if !footer_fits(bytes) {
        return Err(damaged());
    }
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let metadata = reader.get_metadata().map_err(failed)?;
    if metadata.num_rows as u64 > most {
        return Err(damaged());
    }
    for group in &metadata.row_groups {
        for column in group.parquet_columns() {
            let values = u64::try_from(column.num_values()).map_err(|_| damaged())?;
            let range = column.byte_range();
            let pages = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let pages = pages.and_then(|(start, end)| bytes.get(start..end)).ok_or_else(damaged)?;
            if group.num_rows() as u64 > most || values > most || !pages_fit(pages, values, most) {
                return Err(damaged());
            }
        }
    }
    let frame = reader.finish().map_err(failed)?;
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
        Column::Counts(cells) => {
            let numbers = cells.iter().flatten().map(Vec::len).sum();
            let mut lists =
                ListPrimitiveChunkedBuilder::<UInt64Type>::new(name.into(), cells.len(), numbers, DataType::UInt64);
            for cell in cells {
                lists.append_opt_slice(cell.as_deref());
            }
            lists.finish().into_series().into()
        }
    }
}

/// Columns of other widths and signs, as other tools write them, are widened to ours; whole numbers of which some are
/// negative become real.
fn from_series(series: &Series) -> Result<Column, TableError> {
    let dtype = series.dtype();
    Ok(if *dtype == DataType::String {
        Column::Text(series.str().map_err(failed)?.iter().map(|cell| cell.map(str::to_owned)).collect())
    } else if dtype.is_integer() {
        match series.strict_cast(&DataType::UInt64) {
            Ok(counts) => Column::Count(counts.u64().map_err(failed)?.iter().collect()),
            Err(_) => Column::Real(signed(series)?),
        }
    } else if dtype.is_list() {
        let lists = series.list().map_err(failed)?;
        Column::Counts(lists.series_iter().map(|cell| cell.as_ref().map(counts).transpose()).collect::<Result<_, _>>()?)
    } else {
        let reals = series.strict_cast(&DataType::Float64).map_err(failed)?;
        Column::Real(reals.f64().map_err(failed)?.iter().collect())
    })
}

/// The numbers of one list.
fn counts(list: &Data) -> Result<Vec<u64>, TableError> {
    let numbers = list.strict_cast(&DataType::UInt64).map_err(failed)?;
    let missing = || TableError::Parquet(format!("column `{}`: a list with a missing number", list.name()));
    numbers.u64().map_err(failed)?.iter().map(|number| number.ok_or_else(missing)).collect()
}

/// Whole numbers below zero, as long as real numbers hold them exactly.
fn signed(series: &Series) -> Result<Vec<Option<f64>>, TableError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let reals = series.strict_cast(&DataType::Float64).map_err(failed)?;
    let reals: Vec<Option<f64>> = reals.f64().map_err(failed)?.iter().collect();
    match reals.iter().flatten().find(|x| x.abs() >= EXACT) {
        Some(x) => Err(TableError::Parquet(format!("column `{}`: {x} beside negative numbers", series.name()))),
        None => Ok(reals),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn failed(error: PolarsError) -> TableError {
    TableError::Parquet(error.to_string())
}
