//! Helpers of all test modules.

use std::path::PathBuf;

use trimtab_workload::{ReadError, ReadOptions, Trace, read};

/// Reads a trace from bytes.
pub(crate) fn read_bytes(bytes: &[u8], options: &ReadOptions) -> Result<Trace, ReadError> {
    read(std::io::Cursor::new(bytes.to_vec()), "test", options)
}

/// A real trace of the folder that `TRIMTAB_TRACES` names; `None`, loudly, without it.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn real_trace(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("TRIMTAB_TRACES") else {
        eprintln!("SKIPPED: set TRIMTAB_TRACES to a folder with {name} to run this test");
        return None;
    };
    Some(PathBuf::from(folder).join(name))
}
