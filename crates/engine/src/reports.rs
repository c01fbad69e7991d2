//! Engine snapshots that are taken at intervals.

use std::cell::RefCell;
use std::collections::BTreeMap;

use trimtab_core::{RngStreams, SimTime};
use trimtab_sched::{History, Snapshot};

use crate::channel::{Channel, Lag};
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

/// All instances report at every whole multiple of an interval, after the steps that end then and before the requests that
/// arrive then. At the start each has reported that it is empty. Of reports that overtake each other the newest counts.
pub(crate) struct Reports {
    /// Zero: a snapshot is taken when somebody looks.
    every: SimTime,
    next: SimTime,
    /// How often they have reported.
    count: u64,
    channels: Vec<Channel>,
    latest: Vec<Report>,
    /// Reports on their way, by arrival, number and instance.
    coming: BTreeMap<(SimTime, u64, usize), Report>,
    /// Instances that the router hears nothing of.
    frozen: Vec<bool>,
    /// Reports in a row with nothing else going on.
    fruitless: u32,
}

impl Reports {
    pub(crate) fn new(lag: Lag, instances: &[RefCell<Instance>], streams: RngStreams) -> Self {
        let latest = instances.iter().map(|cell| Report::of(&cell.borrow(), SimTime::ZERO)).collect();
        let channel = |index| Channel::new(lag, streams.stream(&format!("signals/load/instance-{index}")));
        Self {
            every: lag.every,
            next: lag.every,
            count: 0,
            channels: (0..instances.len()).map(channel).collect(),
            latest,
            coming: BTreeMap::new(),
            frozen: vec![false; instances.len()],
            fruitless: 0,
        }
    }

    /// What an instance last reported; `None` when its state is taken as it is when somebody looks.
    pub(crate) fn latest(&self, instance: usize) -> Option<&Report> {
        (self.every > SimTime::ZERO || self.frozen[instance]).then_some(&self.latest[instance])
    }

    /// The report of an instance stays as it is now, or as it has been.
    pub(crate) fn freeze(&mut self, instance: usize, now: SimTime, instances: &[RefCell<Instance>]) {
        let was_frozen = std::mem::replace(&mut self.frozen[instance], true);
        if self.every == SimTime::ZERO && !was_frozen {
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
        if self.every == SimTime::ZERO {
            return other;
        }
        self.fruitless = if other.is_some() { 0 } else { self.fruitless + 1 };
        let next = self.coming.first_key_value().map_or(self.next, |(&(arrival, ..), _)| arrival.min(self.next));
        match other {
            Some(other) => Some(other.min(next)),
            None => (parked && self.fruitless < PATIENCE).then_some(next),
        }
    }

    /// Takes all instances' reports, if it is time to, and hands over those that arrive now. Tells whether any says something
    /// new.
    pub(crate) fn pass(&mut self, now: SimTime, instances: &[RefCell<Instance>]) -> bool {
        let mut news = false;
        if self.every > SimTime::ZERO && self.next == now {
            news = self.take(now, instances);
        }
        while let Some(first) = self.coming.first_entry().filter(|first| first.key().0 == now) {
            let ((.., instance), report) = first.remove_entry();
            if !self.frozen[instance] && report.snapshot.at > self.latest[instance].snapshot.at {
                self.latest[instance] = report;
                news = true;
            }
        }
        news
    }

    /// All instances report; tells whether any report is there at once. What they report while the router hears nothing of them
    /// is lost.
    fn take(&mut self, now: SimTime, instances: &[RefCell<Instance>]) -> bool {
        let mut there = false;
        for (index, cell) in instances.iter().enumerate().filter(|&(index, _)| !self.frozen[index]) {
            let Some(arrival) = self.channels[index].arrival(self.count, now) else { continue };
            let mut it = cell.borrow_mut();
            it.settle(now);
            let report = Report::of(&it, now);
            drop(it);
            if arrival == now {
                self.latest[index] = report;
                there = true;
            } else {
                self.coming.insert((arrival, self.count, index), report);
            }
        }
        self.count += 1;
        self.next = now + self.every;
        there
    }
}
