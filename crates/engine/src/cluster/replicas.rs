//! Router replicas: several routers that share the requests among them, each with a scheduler, books and, when it guesses
//! what is cached, a picture of the caches of its own. What engines report reaches all of them alike.
//!
//! Between two syncs a replica knows of the others' requests what it learnt at the last one: they stay in its books as they
//! were then. At a sync every replica's books become what is so, and it learns where the others have sent what since.

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, Request, SimTime};
use trimtab_sched::parts::mix64;
use trimtab_sched::{Arrival, Counters, Hook, Scheduler};

use super::Simulation;
use crate::cache::Path;
use crate::config::{RouterConfig, Split};
use crate::router::Books;
use crate::seq::Seq;

/// How often in a row they may sync with nothing but parked requests before these are taken to wait for ever.
const PATIENCE: u32 = 100_000;

/// One router.
pub(super) struct Replica {
    /// Absent while it is asked.
    pub(super) scheduler: Option<Box<dyn Scheduler>>,
    /// What it takes the load for; kept where there are several.
    pub(super) books: Counters,
    /// Until when it is busy, when it takes one decision at a time.
    pub(super) free: SimTime,
}

/// A request that a replica sent to an instance, in which life of that.
#[derive(Clone, Copy, Debug)]
struct Sent {
    by: usize,
    request: Request,
    to: usize,
    life: u32,
}

/// All routers.
pub(super) struct Replicas {
    pub(super) all: Vec<Replica>,
    every: SimTime,
    split: Split,
    /// When they sync next; never, if they do not.
    next: SimTime,
    /// What was sent since they did.
    sent: Vec<Sent>,
    /// Whose timers are set, by event; the first one's are not listed.
    timers: FxHashMap<u32, usize>,
    /// Syncs in a row with nothing else going on.
    fruitless: u32,
}

impl Replicas {
    pub(super) fn new(config: &RouterConfig, schedulers: Vec<Box<dyn Scheduler>>, instances: usize) -> Self {
        assert_eq!(schedulers.len(), config.replicas as usize, "every replica of the router has a scheduler");
        let replica = |scheduler| Replica {
            scheduler: Some(scheduler),
            books: Counters::with_instances(instances),
            free: SimTime::ZERO,
        };
        let all: Vec<Replica> = schedulers.into_iter().map(replica).collect();
        let syncs = all.len() > 1 && config.sync > SimTime::ZERO;
        Self {
            all,
            every: config.sync,
            split: config.split,
            next: if syncs { config.sync } else { SimTime::MAX },
            sent: Vec::new(),
            timers: FxHashMap::default(),
            fruitless: 0,
        }
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Which one a request comes to.
    pub(super) fn of(&self, request: &Request) -> usize {
        let key = match (self.split, request.session) {
            (Split::RoundRobin, _) => u64::from(request.id.0),
            (Split::Hash, Some(session)) => mix64(u64::from(session.0)),
            // Whoever has no session is new every time.
            (Split::Hash, None) => mix64(u64::from(request.id.0) ^ (1 << 40)),
        };
        usize::try_from(key % self.all.len() as u64).expect("as many as there are")
    }

    /// The next event, if they sync before it. Syncs do not keep a run going, unless requests are parked that one may set
    /// free.
    pub(super) fn next(&mut self, other: Option<SimTime>, parked: bool) -> Option<SimTime> {
        self.fruitless = if other.is_some() { 0 } else { self.fruitless + 1 };
        let waits = parked && self.next < SimTime::MAX && self.fruitless < PATIENCE;
        other.or(waits.then_some(self.next)).map(|other| other.min(self.next))
    }

    pub(super) fn set_timer(&mut self, event: u32, replica: usize) {
        if replica > 0 {
            self.timers.insert(event, replica);
        }
    }

    pub(super) fn take_timer(&mut self, event: u32) -> usize {
        self.timers.remove(&event).unwrap_or(0)
    }
}

impl Simulation<'_> {
    /// An entry into the books of a replica.
    pub(super) fn keep(&mut self, replica: usize, entry: impl Fn(&mut Counters)) {
        entry(&mut self.counters);
        if self.replicas.are_several() {
            entry(&mut self.replicas.all[replica].books);
        }
    }

    /// Whose picture of the caches a replica has.
    pub(super) fn picture(&self, replica: usize) -> usize {
        replica.min(self.beliefs.len() - 1)
    }

    /// Something that all routers notice.
    pub(super) fn tell_all(&mut self, hook: &Hook) {
        for replica in 0..self.replicas.all.len() {
            self.tell(replica, hook);
        }
    }

    /// Parked requests are looked at again where nothing else tells of what happened at a replica.
    pub(super) fn stir(&mut self, but: Option<usize>) {
        if self.replicas.are_several() && self.parked > 0 {
            for replica in (0..self.replicas.all.len()).filter(|&replica| Some(replica) != but) {
                self.tell(replica, &Hook::Elsewhere);
            }
        }
    }

    /// For the others to learn at the next sync.
    pub(super) fn note_sent(&mut self, slot: u32) {
        if self.replicas.next < SimTime::MAX {
            let Seq { replica, request, instance, .. } = self.seqs[slot];
            let life = self.fleet.life(instance);
            self.replicas.sent.push(Sent { by: replica, request, to: instance, life });
        }
    }

    /// Lets the routers sync, if it is time to.
    pub(super) fn sync(&mut self) -> bool {
        if self.replicas.next != self.now {
            return false;
        }
        self.replicas.next = self.now + self.replicas.every;
        for replica in &mut self.replicas.all {
            replica.books.clone_from(&self.counters);
        }
        for Sent { by, request, to, life } in std::mem::take(&mut self.replicas.sent) {
            let instance = InstanceId::from_index(to);
            // What an instance had is lost when it stops, and forgotten when it leaves.
            if self.fleet.life(to) != life || self.fleet.members.binary_search(&instance).is_err() {
                continue;
            }
            let forest = self.workload.forest();
            let seq = Seq::new(request, forest, Path::default());
            let arrival = Arrival::new(&request, seq.path.nodes(), forest);
            for (number, replica) in self.replicas.all.iter_mut().enumerate().filter(|&(number, _)| number != by) {
                if let Some(beliefs) = self.beliefs.get_mut(number) {
                    beliefs.get_mut().sent(to, &seq, self.now);
                }
                let scheduler = replica.scheduler.as_mut().expect("nobody is asked now");
                scheduler.learn(&arrival, instance, self.now);
            }
        }
        self.stir(None);
        true
    }
}
