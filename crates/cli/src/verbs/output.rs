//! Files that a verb writes besides its result.

use std::fs::{OpenOptions, remove_file};
use std::path::Path;

use trimtab_table::{Format, PARTIAL, TableError};

use crate::exit::Failure;

/// Shows that a table can be written there, before anything is simulated.
pub(crate) fn claim(path: &Path) -> Result<(), Failure> {
    Format::of(path).map_err(Failure::usage)?;
    let partial = path.with_added_extension(PARTIAL);
    let opened = OpenOptions::new().append(true).create(true).open(&partial);
    opened.map(drop).map_err(|error| Failure::writing(path, &error))?;
    // A run that fails leaves nothing behind.
    let _ = remove_file(&partial);
    Ok(())
}

/// The outcome of writing a table.
pub(crate) fn written(path: &Path, outcome: Result<(), TableError>) -> Result<(), Failure> {
    outcome.map_err(|error| match error {
        TableError::Io { source, .. } => Failure::writing(path, &source),
        other => Failure::data(format!("cannot write {}: {other}", path.display())),
    })
}
