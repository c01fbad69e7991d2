//! Who stands before the router.

use std::sync::Arc;

use trimtab_sched::Signals;
use trimtab_sched::admissions::Admission;

/// An admission policy of a run.
#[derive(Clone)]
pub struct AdmissionConfig {
    /// Its name.
    pub name: &'static str,
    /// The signals it reads.
    pub signals: Signals,
    /// Makes one for a run.
    pub make: Arc<dyn Fn() -> Box<dyn Admission> + Send + Sync>,
}

impl std::fmt::Debug for AdmissionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdmissionConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What an admission policy did. A request whose client asks again counts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdmissionRecord {
    /// Its name.
    pub name: &'static str,
    /// How often it was asked.
    pub asked: u64,
    /// How many it let in, at once or later.
    pub let_in: u64,
    /// How many it turned away when they asked.
    pub rejected: u64,
    /// How many it turned away after they had waited.
    pub expired: u64,
    /// How many lost patience while they waited.
    pub left: u64,
    /// How many had to wait.
    pub waited: u64,
    /// Picoseconds that these waited.
    pub waited_ps: u128,
    /// The most that waited at a time.
    pub most: u64,
}
