//! How the program ends.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use trimtab_experiment::build::ScenarioError;
use trimtab_experiment::catalog::CatalogError;
use trimtab_experiment::simulate::RunError;
use trimtab_report::PlotError;
use trimtab_workload::ReadError;

/// Exit codes; scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked.
    Ok = 0,
    /// It ran, but not all of it came to a result, or what was compared differs.
    Unmet = 1,
    /// The command line or the spec is wrong.
    Usage = 2,
    /// A file is missing, unreadable or malformed.
    Data = 3,
    /// The program is wrong.
    Bug = 70,
    /// It was interrupted; what was done is kept.
    Interrupted = 130,
    /// The reader of stdout went away; not an error, and the program ends with 0.
    BrokenPipe = 141,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why it did not work, in one line for a person, perhaps with a hint.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    /// With the exit code that a library found right.
    pub(crate) fn of(code: u8, message: impl fmt::Display) -> Self {
        let exit = if code == Exit::Data as u8 { Exit::Data } else { Exit::Usage };
        Self { exit, message: message.to_string() }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    pub(crate) fn data(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Data, message: message.to_string() }
    }

    /// A file or folder that could not be written.
    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        Self::data(format!("cannot write {}: {error}{}", path.display(), remedy(error)))
    }
}

/// What helps against a failure to write, on a line of its own.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        FileTooLarge, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "\nhint: make room there, or choose another place with `--out`",
        PermissionDenied | ReadOnlyFilesystem => "\nhint: choose a place that may be written with `--out`",
        NotFound => "\nhint: the folder that it should go to is not there",
        NotADirectory => "\nhint: a part of this path is a file, not a folder",
        _ => "",
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Scenario(error) => error.into(),
            RunError::Read(ReadError::UnknownFormat { .. }) => Self::usage(error),
            RunError::Write { path, source } => Self::writing(&path, &source),
            RunError::Read(_) | RunError::Table { .. } => Self::data(error),
            _ => Self::usage(error),
        }
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        match error {
            ScenarioError::Catalog(CatalogError::Read { .. } | CatalogError::Parse { .. }) => Self::data(error),
            _ => Self::usage(error),
        }
    }
}

impl From<PlotError> for Failure {
    fn from(error: PlotError) -> Self {
        match error {
            PlotError::Io { path, source } => Self::writing(&path, &source),
            PlotError::NoFigure { .. } | PlotError::Format(_) => Self::usage(error),
            _ => Self::data(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::BrokenPipe, message: String::new() };
        }
        Self::data(error)
    }
}
