//! Files that appear whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is added to the name of a file while it is being written.
pub const PARTIAL: &str = "partial";

/// Writes a file. Whoever reads it meanwhile finds the old one or the new one, never a part: the bytes go to a neighbour
/// that is then renamed. A failure leaves nothing behind. What is no file, as a pipe or a device, is written to directly.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let Some(target) = replaceable(path) else { return fs::write(path, content) };
    let partial = target.with_added_extension(PARTIAL);
    fs::write(&partial, content).and_then(|()| fs::rename(&partial, target)).inspect_err(|_| {
        // Half a file is of no use, and a full disk has no room for it.
        let _ = fs::remove_file(&partial);
    })
}

/// The file that a rename may replace, links followed; nothing for pipes, devices and folders.
fn replaceable(path: &Path) -> Option<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => None,
        Ok(_) => fs::canonicalize(path).ok(),
        Err(_) => Some(path.to_owned()),
    }
}
