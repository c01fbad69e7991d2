//! The results folder: one file per cell, written whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use trimtab_engine::RunResult;
use trimtab_table::{Format, PARTIAL};

use crate::diagnose::Diagnosis;
use crate::metrics::Metrics;
use crate::rows;
use crate::scenario::Scenario;
use crate::spec::Output;

/// Tables of a results folder.
const TABLES: [&str; 7] = ["summary", "intervals", "comparisons", "breakdown", "changes", "capacity", "probes"];
const REQUESTS: &str = "requests.parquet";
const DECISIONS: &str = "decisions.parquet";
const LOAD: &str = "load.parquet";

/// Files of a cell besides its statistics.
fn kept(output: Output) -> impl Iterator<Item = &'static str> {
    [(output.requests, REQUESTS), (output.decisions, DECISIONS), (output.load, LOAD)]
        .into_iter()
        .filter_map(|(wanted, name)| wanted.then_some(name))
}

/// What one cell left behind. Holds no path, host or wall clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellResult {
    /// Id of the cell.
    pub id: String,
    /// What was run, in full.
    pub scenario: Scenario,
    /// What came out.
    pub metrics: Metrics,
    /// Whether the run was long and calm enough.
    pub diagnosis: Diagnosis,
}

/// Why an experiment stopped or could not start.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// A file or folder of the results could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process writes here.
    #[error("{}: another process is writing these results\nhint: wait for it, or choose another folder with `--out`", .0.display())]
    Busy(PathBuf),
    /// There are results here already.
    #[error("{}: there are results here already\nhint: `--resume` continues them, `--force` discards them, `--out` chooses another folder", .0.display())]
    Exists(PathBuf),
    /// A workload that cannot be read or placed in time.
    #[error("{0}")]
    Data(String),
    /// Results that do not belong together, or are not complete.
    #[error("{0}")]
    Merge(String),
}

impl SweepError {
    /// 2 for what the user asked wrongly, 3 for files.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exists(_) | Self::Merge(_) => 2,
            Self::Io { .. } | Self::Busy(_) | Self::Data(_) => 3,
        }
    }

    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// What to do with results that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Touch nothing.
    #[default]
    Refuse,
    /// Keep finished cells and run the others.
    Resume,
    /// Start over.
    Replace,
}

/// A results folder that this process alone writes.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Locked as long as it is open; the system unlocks it when the process ends, however it ends.
    _lock: File,
}

impl Store {
    /// Opens or makes a folder and shows that it can be written.
    pub fn open(dir: &Path, existing: Existing) -> Result<Self, SweepError> {
        let cells = dir.join("cells");
        fs::create_dir_all(&cells).map_err(SweepError::io("create", &cells))?;
        let path = dir.join(".lock");
        let lock = File::create(&path).map_err(SweepError::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SweepError::Busy(dir.into())),
            Err(TryLockError::Error(source)) => return Err(SweepError::io("lock", &path)(source)),
        }
        let store = Self { dir: dir.into(), _lock: lock };
        store.clear_halves()?;
        let there = dir.join("manifest.json").exists();
        match existing {
            Existing::Refuse if there => return Err(SweepError::Exists(dir.into())),
            Existing::Replace => store.clear()?,
            Existing::Refuse | Existing::Resume => {}
        }
        Ok(store)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes what a run leaves here, and nothing else.
    fn clear(&self) -> Result<(), SweepError> {
        self.clear_tables()?;
        for name in ["manifest.json", "plan.json"] {
            Self::remove(&self.dir.join(name))?;
        }
        for path in list(&self.dir.join("cells"))?.iter().filter(|path| of_a_cell(path)) {
            Self::remove(path)?;
        }
        Ok(())
    }

    /// Removes the results written here since it was opened without any, and the folder where nothing else is in it. What
    /// cannot be removed stays.
    pub(crate) fn abandon(self) {
        drop(self.clear());
        drop(Self::remove(&self.dir.join(".lock")));
        drop(fs::remove_dir(self.dir.join("cells")));
        drop(fs::remove_dir(&self.dir));
    }

    /// Removes what was being written when an earlier run was killed.
    fn clear_halves(&self) -> Result<(), SweepError> {
        for name in ["manifest.json", "plan.json", "spec.toml"] {
            Self::remove(&self.dir.join(name).with_added_extension(PARTIAL))?;
        }
        for path in list(&self.dir.join("cells"))?.iter().filter(|path| of_a_cell(path)) {
            if path.is_dir() {
                for name in [REQUESTS, DECISIONS, LOAD] {
                    Self::remove(&path.join(name).with_added_extension(PARTIAL))?;
                }
            } else if path.extension().is_some_and(|extension| extension == PARTIAL) {
                Self::remove(path)?;
            }
        }
        Ok(())
    }

    /// Removes all tables: those of another plan would stay beside the ones to come.
    pub(crate) fn clear_tables(&self) -> Result<(), SweepError> {
        for name in TABLES {
            for extension in ["csv", "parquet"] {
                let path = self.dir.join(format!("{name}.{extension}"));
                Self::remove(&path.with_added_extension(PARTIAL))?;
                Self::remove(&path)?;
            }
        }
        Ok(())
    }

    fn remove(path: &Path) -> Result<(), SweepError> {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SweepError::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    fn cell_path(&self, id: &str) -> PathBuf {
        self.dir.join("cells").join(format!("{id}.json"))
    }

    /// A finished cell. A file that is damaged, if by no more than its last line break, or not about this cell counts as
    /// missing.
    pub fn load(&self, id: &str) -> Option<CellResult> {
        let text = fs::read_to_string(self.cell_path(id)).ok().filter(|text| text.ends_with('\n'))?;
        serde_json::from_str::<CellResult>(&text).ok().filter(|result| result.id == id)
    }

    /// Whether everything that should be kept of a cell besides its statistics is there. A file without both ends of a
    /// Parquet file, as a crash of the machine may leave it, counts as missing.
    pub fn has(&self, id: &str, output: Output) -> bool {
        kept(output).all(|name| has_both_ends(&self.part(id, name)).unwrap_or(false))
    }

    fn part(&self, id: &str, name: &str) -> PathBuf {
        self.dir.join("cells").join(id).join(name)
    }

    /// Writes what is kept of a cell besides its statistics; these come last, so that a cell with them is whole.
    pub fn keep(&self, id: &str, output: Output, run: &RunResult) -> Result<(), SweepError> {
        for name in kept(output) {
            let path = self.part(id, name);
            let table = match name {
                REQUESTS => rows::requests(run),
                DECISIONS => rows::decisions(run.decisions.as_deref().unwrap_or_default()),
                _ => rows::load(run),
            };
            let content = table.encode(Format::Parquet).map_err(|error| SweepError::Data(error.to_string()))?;
            let folder = self.dir.join("cells").join(id);
            fs::create_dir_all(&folder).map_err(SweepError::io("create", &folder))?;
            write_whole(&path, &content)?;
        }
        Ok(())
    }

    /// Writes a finished cell.
    pub fn save(&self, result: &CellResult) -> Result<(), SweepError> {
        let mut text = serde_json::to_vec(result).expect("a result is plain data");
        text.push(b'\n');
        write_whole(&self.cell_path(&result.id), &text)
    }

    /// Takes over the cells of another results folder.
    pub fn adopt(&self, other: &Path) -> Result<(), SweepError> {
        let of_cells = other.join("cells");
        let mut files = Vec::new();
        for path in list(&of_cells)? {
            files.extend(if path.is_dir() { list(&path)? } else { vec![path] });
        }
        for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "json" || e == "parquet")) {
            let content = fs::read(path).map_err(SweepError::io("read", path))?;
            let own = self.dir.join(path.strip_prefix(other).expect("it was found there"));
            if fs::read(&own).is_ok_and(|present| present != content) {
                return Err(SweepError::Merge(format!("{} and {} differ", path.display(), own.display())));
            }
            let folder = own.parent().expect("it is in a folder");
            fs::create_dir_all(folder).map_err(SweepError::io("create", folder))?;
            write_whole(&own, &content)?;
        }
        Ok(())
    }

    /// Writes a file of the folder, whole.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), SweepError> {
        write_whole(&self.dir.join(name), content)
    }
}

/// Whether a name in the folder of cells begins with the id of one.
fn of_a_cell(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let id = name.split('.').next().unwrap_or_default();
    id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn has_both_ends(path: &Path) -> io::Result<bool> {
    const MAGIC: &[u8; 4] = b"PAR1";
    let mut file = File::open(path)?;
    let mut ends = [0; 8];
    file.read_exact(&mut ends[..4])?;
    // The end is its own: a file of four bytes has no other.
    let apart = file.seek(SeekFrom::End(-4))? >= 4;
    file.read_exact(&mut ends[4..])?;
    Ok(apart && ends[..4] == *MAGIC && ends[4..] == *MAGIC)
}

/// What is in a folder, in no order.
fn list(folder: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let entries = fs::read_dir(folder).map_err(SweepError::io("list", folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(SweepError::io("list", folder))).collect()
}

fn write_whole(path: &Path, content: &[u8]) -> Result<(), SweepError> {
    trimtab_table::write_whole(path, content).map_err(SweepError::io("write", path))
}
