//! Where requests come from: trace readers, generators and arrival processes.
//!
//! Architecture invariant: this crate reads files and knows no scheduler; what it returns is a
//! [`trimtab_core::Workload`], in arrival order, with every prompt in one prefix forest.

mod arrivals;
mod build;
mod control;
mod cut;
mod error;
mod formats;
mod generators;
mod input;
mod intern;
mod json;
mod law;
mod number;
mod output;
mod read;
mod rescale;
mod row;
mod sessions;
pub mod stats;
mod trace;

pub use arrivals::{ArrivalSpec, Bursts, Diurnal, Drift, Process, States};
pub use cut::Cut;
pub use error::{BadInput, Kind, ReadError};
pub use formats::{CanonicalWriter, FormatDef, format_by_name, formats, write_canonical, write_file};
pub use generators::{GenOptions, ParamDoc, WorkloadDef, generator_by_name, generators};
pub use law::Law;
pub use output::{TraceFile, ZstdWriter};
pub use read::{ReadOptions, ZeroOutput, read, read_file};
pub use rescale::{Ratio, RescaleError};
pub use sessions::Loop;
pub use stats::{Stats, StatsOptions};
pub use trace::{Note, NoteKind, Trace};
