//! Columnar files and grouped tables: the only crate that knows polars and Parquet.
//!
//! A [`Table`] is a list of named columns of equal length, each of text, whole numbers or real numbers, any cell of
//! which may be missing. It is written as CSV or Parquet, chosen by the file's extension, and read back; [`summarise`]
//! reduces it by groups; [`RequestRow`] is the per-request record of a run.
//!
//! The same table gives the same bytes, whatever the machine and the number of threads: columns and rows keep the order
//! they were given, floats print as the shortest text that reads back as the same number, Parquet is written by one
//! thread and carries no time stamp.
//!
//! This crate does not know what a run, a cell or a scheduler is: its users name the columns.

mod announced;
mod csv_format;
mod parquet_format;
mod requests;
mod summary;
mod table;
mod whole;

pub use parquet_format::decoding;
pub use requests::{RequestRow, requests_table};
pub use summary::{Stat, nearest_rank, summarise};
pub use table::{Column, Format, Table, TableError};
pub use whole::{PARTIAL, write_whole};
