//! Engine snapshots that are taken at intervals.

use std::cell::RefCell;

use trimtab_core::SimTime;
use trimtab_sched::{History, Snapshot};

use crate::instance::Instance;
use crate::router::snapshot;

/// How often in a row reports may find nothing but parked requests before the scheduler is taken to wait for ever.
const PATIENCE: u32 = 100_000;

/// What an instance says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) snapshot: Snapshot,
    pub(crate) history: History,
}

impl Report {
    /// The report of an instance, which must be settled.
    fn of(it: &Instance, now: SimTime) -> Self {
        Self { snapshot: snapshot(it, now), history: it.history }
    }
}

/// All instances report at every whole multiple of `refresh`, after the steps that end then and before the requests that
/// arrive then. At the start each has reported that it is empty.
pub(crate) struct Reports {
    /// Zero: a snapshot is taken when somebody looks.
    refresh: SimTime,
    next: SimTime,
    latest: Vec<Report>,
    /// Instances that the router hears nothing of.
    frozen: Vec<bool>,
    /// Reports in a row with nothing else going on.
    fruitless: u32,
}

impl Reports {
    pub(crate) fn new(refresh: SimTime, instances: &[RefCell<Instance>]) -> Self {
        let latest = instances.iter().map(|cell| Report::of(&cell.borrow(), SimTime::ZERO)).collect();
        Self { refresh, next: refresh, latest, frozen: vec![false; instances.len()], fruitless: 0 }
    }

    /// What an instance last reported; `None` when its state is taken as it is when somebody looks.
    pub(crate) fn latest(&self, instance: usize) -> Option<&Report> {
        (self.refresh > SimTime::ZERO || self.frozen[instance]).then_some(&self.latest[instance])
    }

    /// The report of an instance stays as it is now, or as it has been.
    pub(crate) fn freeze(&mut self, instance: usize, now: SimTime, instances: &[RefCell<Instance>]) {
        let was_frozen = std::mem::replace(&mut self.frozen[instance], true);
        if self.refresh == SimTime::ZERO && !was_frozen {
            let mut it = instances[instance].borrow_mut();
            it.settle(now);
            self.latest[instance] = Report::of(&it, now);
        }
    }

    /// The router hears of an instance again.
    pub(crate) fn thaw(&mut self, instance: usize) {
        self.frozen[instance] = false;
    }

    /// When something happens next, if `other` does. Reports do not keep a run going, unless requests are parked that a
    /// report may set free.
    pub(crate) fn next(&mut self, other: Option<SimTime>, parked: bool) -> Option<SimTime> {
        if self.refresh == SimTime::ZERO {
            return other;
        }
        self.fruitless = if other.is_some() { 0 } else { self.fruitless + 1 };
        match other {
            Some(other) => Some(other.min(self.next)),
            None => (parked && self.fruitless < PATIENCE).then_some(self.next),
        }
    }

    pub(crate) fn due(&self, now: SimTime) -> bool {
        self.refresh > SimTime::ZERO && self.next == now
    }

    /// All instances report.
    pub(crate) fn take(&mut self, now: SimTime, instances: &[RefCell<Instance>]) {
        for ((latest, cell), _) in
            self.latest.iter_mut().zip(instances).zip(&self.frozen).filter(|(_, frozen)| !**frozen)
        {
            let mut it = cell.borrow_mut();
            it.settle(now);
            *latest = Report::of(&it, now);
        }
        self.next = now + self.refresh;
    }
}
