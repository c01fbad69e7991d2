//! Which instances serve: the state of each, what is to happen to them, and what happened.

use std::collections::BTreeMap;

use trimtab_core::{InstanceId, RngStreams, SimTime, StreamRng, exponential};

use crate::dynamics::{Change, Dynamics, Faults, FleetEvent, FleetRecord, Happened};

/// How often in a row the cluster may change with nothing else going on before requests are taken to wait for ever.
const PATIENCE: u32 = 100_000;

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing. One that is broken cannot be added until it is repaired.
    Off { broken: bool },
    /// It loads its weights.
    Starting,
    /// It can be chosen, unless the router cannot reach it.
    Serving,
    /// It finishes what it has started.
    Draining { back: bool },
}

/// What is to happen. An instance's own events are void once it has been off: `life` tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Asked(Change),
    Ready {
        index: usize,
        life: u32,
    },
    Fault {
        index: usize,
        life: u32,
    },
    Repaired {
        index: usize,
    },
    /// The autoscaler is asked.
    Scale,
    Unpaced {
        index: usize,
        life: u32,
        set: u32,
    },
    Healed {
        index: usize,
        life: u32,
        set: u32,
    },
}

/// One instance.
#[derive(Clone, Debug)]
struct Slot {
    state: State,
    life: u32,
    /// Since when it is paid for.
    since: SimTime,
    /// The last change of its pace and of its connection: an end of an earlier one means nothing.
    pace: u32,
    link: u32,
    faults: Option<StreamRng>,
}

/// The instances of a cluster.
pub(super) struct Fleet {
    /// Those that can be chosen, ascending.
    pub(super) members: Vec<InstanceId>,
    slots: Vec<Slot>,
    due: BTreeMap<(SimTime, u32), Due>,
    set: u32,
    fruitless: u32,
    pub(super) record: FleetRecord,
}

impl Fleet {
    pub(super) fn new(dynamics: &Dynamics, instances: usize, streams: RngStreams) -> Self {
        let slot = |index: usize| Slot {
            state: State::Serving,
            life: 0,
            since: SimTime::ZERO,
            pace: 0,
            link: 0,
            faults: dynamics.faults.map(|_| streams.stream(&format!("faults/instance-{index}"))),
        };
        let mut fleet = Self {
            members: Vec::new(),
            slots: (0..instances).map(slot).collect(),
            due: BTreeMap::new(),
            set: 0,
            fruitless: 0,
            record: FleetRecord::default(),
        };
        for &standby in &dynamics.standby {
            fleet.slots[standby.index()].state = State::Off { broken: false };
        }
        fleet.members = fleet.all(|state| state == State::Serving).map(InstanceId::from_index).collect();
        for &(at, change) in &dynamics.events {
            fleet.plan(at, Due::Asked(change));
        }
        if let Some(scaling) = &dynamics.scaling {
            fleet.plan(scaling.every, Due::Scale);
        }
        for index in 0..instances {
            if fleet.slots[index].state == State::Serving {
                fleet.draw_fault(index, SimTime::ZERO, dynamics.faults);
            }
        }
        fleet
    }

    fn all(&self, of: impl Fn(State) -> bool) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.slots.len()).filter(move |&index| of(self.slots[index].state))
    }

    /// The instances in a state, ascending.
    pub(super) fn found(&self, of: impl Fn(State) -> bool) -> Vec<usize> {
        self.all(of).collect()
    }

    pub(super) fn state(&self, index: usize) -> State {
        self.slots[index].state
    }

    pub(super) fn life(&self, index: usize) -> u32 {
        self.slots[index].life
    }

    /// Whether an instance has or had requests that it may still have.
    pub(super) fn is_up(&self, index: usize) -> bool {
        matches!(self.slots[index].state, State::Serving | State::Draining { .. })
    }

    /// Something is to happen; what is planned first for a time happens first.
    pub(super) fn plan(&mut self, at: SimTime, due: Due) -> u32 {
        self.set += 1;
        self.due.insert((at, self.set), due);
        self.set
    }

    /// When something happens next, if `other` does. Changes do not keep a run going for ever.
    pub(super) fn next(&mut self, other: Option<SimTime>) -> Option<SimTime> {
        self.fruitless = if other.is_some() { 0 } else { self.fruitless + 1 };
        let due = self.due.first_key_value().map(|(&(at, _), _)| at).filter(|_| self.fruitless < PATIENCE);
        other.into_iter().chain(due).min()
    }

    /// What happens at `now`, one after the other.
    pub(super) fn take_due(&mut self, now: SimTime) -> Option<Due> {
        let first = self.due.first_entry()?;
        (first.key().0 == now).then(|| first.remove())
    }

    /// An instance begins to start.
    pub(super) fn starts(&mut self, index: usize, now: SimTime) {
        (self.slots[index].state, self.slots[index].since) = (State::Starting, now);
        self.note(index, now, Happened::Starting);
    }

    /// It serves from now on.
    pub(super) fn serves(&mut self, index: usize, now: SimTime, faults: Option<Faults>) {
        self.slots[index].state = State::Serving;
        self.enter(index);
        self.draw_fault(index, now, faults);
        self.note(index, now, Happened::Joined);
    }

    pub(super) fn drains(&mut self, index: usize, now: SimTime, back: bool) {
        self.slots[index].state = State::Draining { back };
        self.exit(index);
        self.note(index, now, Happened::Draining);
    }

    /// It is gone, and its bill ends.
    pub(super) fn stops(&mut self, index: usize, now: SimTime, what: Happened, broken: bool) {
        self.exit(index);
        let slot = &mut self.slots[index];
        slot.state = State::Off { broken };
        slot.life += 1;
        self.record.spans.push((InstanceId::from_index(index), slot.since, now));
        self.note(index, now, what);
    }

    pub(super) fn repaired(&mut self, index: usize) {
        self.slots[index].state = State::Off { broken: false };
    }

    /// It can be chosen.
    pub(super) fn enter(&mut self, index: usize) {
        let id = InstanceId::from_index(index);
        if let Err(at) = self.members.binary_search(&id) {
            self.members.insert(at, id);
        }
    }

    /// It cannot be chosen any more. Whether it could.
    pub(super) fn exit(&mut self, index: usize) -> bool {
        let at = self.members.binary_search(&InstanceId::from_index(index));
        at.is_ok_and(|at| self.members.remove(at) == InstanceId::from_index(index))
    }

    /// A change of its pace that ends at `end`.
    pub(super) fn paced(&mut self, index: usize, end: SimTime) {
        let (life, set) = (self.slots[index].life, self.set + 1);
        self.slots[index].pace = self.plan(end, Due::Unpaced { index, life, set });
    }

    pub(super) fn is_paced(&self, index: usize, life: u32, set: u32) -> bool {
        self.is_up(index) && self.slots[index].life == life && self.slots[index].pace == set
    }

    /// A change of its connection that ends at `end`.
    pub(super) fn linked(&mut self, index: usize, end: SimTime) {
        let (life, set) = (self.slots[index].life, self.set + 1);
        self.slots[index].link = self.plan(end, Due::Healed { index, life, set });
    }

    pub(super) fn is_linked(&self, index: usize, life: u32, set: u32) -> bool {
        self.slots[index].life == life && self.slots[index].link == set
    }

    fn draw_fault(&mut self, index: usize, now: SimTime, faults: Option<Faults>) {
        let Some(Faults { mtbf, .. }) = faults else { return };
        let (span, life) = (self.draw(index, mtbf), self.slots[index].life);
        self.plan(now + span, Due::Fault { index, life });
    }

    /// How long the repair of a failed instance takes.
    pub(super) fn draw(&mut self, index: usize, mean: SimTime) -> SimTime {
        let rng = self.slots[index].faults.as_mut().expect("there are faults");
        SimTime::from_secs_f64(mean.as_secs_f64() * exponential(rng)).unwrap_or(mean)
    }

    pub(super) fn note(&mut self, index: usize, at: SimTime, what: Happened) {
        let members = u32::try_from(self.members.len()).expect("instance ids are 32 bits");
        self.record.events.push(FleetEvent { at, instance: InstanceId::from_index(index), what, members });
    }

    /// What happened up to the end.
    pub(super) fn close(mut self, end: SimTime) -> FleetRecord {
        for index in 0..self.slots.len() {
            if !matches!(self.slots[index].state, State::Off { .. }) {
                self.record.spans.push((InstanceId::from_index(index), self.slots[index].since, end));
            }
        }
        self.record.events.retain(|event| event.at <= end);
        self.record
    }
}
