//! Where requests come from: trace readers, generators and arrival processes.
//!
//! Architecture invariant: this crate reads files and knows no scheduler; what it returns is a
//! [`trimtab_core::Workload`], in arrival order, with every prompt in one prefix forest.

mod build;
mod error;
mod formats;
mod input;
mod intern;
mod json;
mod number;
mod read;
mod rescale;
pub mod stats;
mod trace;

pub use error::{BadInput, Kind, ReadError};
pub use formats::{FormatDef, format_by_name, formats};
pub use read::{ReadOptions, ZeroOutput, read, read_file};
pub use rescale::{Ratio, RescaleError};
pub use stats::{Stats, StatsOptions};
pub use trace::{Note, NoteKind, Trace};
