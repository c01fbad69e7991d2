//! Traces that many cells replay: read once, shared, and checked against the hash that the spec gives.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use trimtab_core::{PrefixForest, Request, SimTime, Workload};
use trimtab_workload::{Loop, Trace};

use crate::scenario::{self, Scenario};
use crate::simulate::RunError;
use crate::workload;

/// A trace file that is not there or not the right one.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It could not be read.
    #[error("{}: {source}\nhint: a path counts from where the program is started", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is another file than the spec means.
    #[error("{}: its SHA-256 is {found}, but the spec says {expected}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What the spec says.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// SHA-256 of files, one after the other, in hexadecimal.
pub fn file_sha256<P: AsRef<Path>>(paths: &[P]) -> Result<String, TraceError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for path in paths.iter().map(AsRef::as_ref) {
        let io = |source| TraceError::Io { path: path.into(), source };
        let mut file = std::fs::File::open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::other("not a regular file")));
        }
        loop {
            match file.read(&mut buffer).map_err(io)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
    }
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of text, in hexadecimal.
pub fn text_sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

type Slot = Arc<OnceLock<Result<Arc<Trace>, String>>>;

/// The traces of an experiment, by what decides their content.
#[derive(Debug, Default)]
pub struct Traces {
    slots: Mutex<BTreeMap<String, Slot>>,
}

impl Traces {
    /// The requests of a scenario; those of a trace on a forest that is shared with other scenarios.
    pub fn workload(&self, scenario: &Scenario) -> Result<Box<dyn Workload + Send>, RunError> {
        match workload::generated(scenario)? {
            Some(workload) => Ok(workload),
            None => self.replay(scenario),
        }
    }

    /// Requests of each trace read so far, by its path.
    pub fn requests(&self) -> BTreeMap<String, usize> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |(key, slot): (&String, &Slot)| {
            let path = serde_json::from_str::<crate::scenario::Workload>(key).ok()?.trace?;
            Some((path.display().to_string(), slot.get()?.as_ref().ok()?.requests.len()))
        };
        slots.iter().filter_map(count).collect()
    }

    fn replay(&self, scenario: &Scenario) -> Result<Box<dyn Workload + Send>, RunError> {
        let shared = self.shared(scenario)?;
        let mut own = Trace {
            requests: shared.requests.clone(),
            delays: shared.delays.clone(),
            timed: shared.timed,
            sessions: shared.sessions,
            ..Trace::default()
        };
        workload::arrange(&mut own, scenario)?;
        match scenario.workload.r#loop.mode()? {
            Loop::Open => Ok(Box::new(Replay { shared, requests: own.requests, next: 0 })),
            mode => {
                // The turns to come stand in a workload of their own, forest included.
                own.forest = shared.forest.clone();
                Ok(own.into_loop(mode))
            }
        }
    }

    fn shared(&self, scenario: &Scenario) -> Result<Arc<Trace>, RunError> {
        let mut read = scenario.workload.clone();
        // What only moves or drops requests once they are read.
        (read.rate, read.arrivals, read.keep_sessions) = (None, None, None);
        (read.jitter_s, read.jitter_ticks, read.r#loop) = (None, false, scenario::Loop::Open);
        let key = serde_json::to_string(&read).expect("a workload is plain data");
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        // Whoever comes first reads; the others wait here and not at the list.
        let trace = slot.get_or_init(|| workload::read(&read).map(Arc::new).map_err(|error| error.to_string()));
        trace.clone().map_err(RunError::Workload)
    }
}

/// Requests over a shared forest, in arrival order, ids from 0.
#[derive(Debug)]
struct Replay {
    shared: Arc<Trace>,
    requests: Vec<Request>,
    next: usize,
}

impl Workload for Replay {
    fn forest(&self) -> &PrefixForest {
        &self.shared.forest
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.requests.get(self.next).map(|r| r.arrival)
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.requests.get(self.next).copied();
        self.next += usize::from(request.is_some());
        request
    }

    fn is_open(&self) -> bool {
        true
    }
}
