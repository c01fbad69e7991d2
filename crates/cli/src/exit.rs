//! How the program ends.

use std::fmt;
use std::process::ExitCode;

use trimtab_experiment::build::ScenarioError;
use trimtab_experiment::catalog::CatalogError;
use trimtab_experiment::simulate::RunError;
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
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Scenario(error) => error.into(),
            RunError::Read(ReadError::UnknownFormat { .. }) => Self::usage(error),
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

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::BrokenPipe, message: String::new() };
        }
        Self::data(error)
    }
}
