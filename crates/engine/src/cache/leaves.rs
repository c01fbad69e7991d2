//! The tree of what is resident, for eviction policies that choose among leaves.
//!
//! A run is what is resident of one forest node: its leading blocks. Where the next resident run of some prompt begins,
//! it hangs on this one, and what it hangs on cannot leave before it. A run has loose blocks when some at its end are
//! neither pinned nor hung on; those are what a policy is offered.

use super::{Chain, KvCache, NAMELESS, NONE, Record, chain, place};
use crate::eviction::{Eviction, Run, Use, User};

/// The runs of one cache and the policy that chooses among them.
#[derive(Clone, Debug)]
pub(super) struct Leaves {
    policy: Box<dyn Eviction>,
    /// The policy as it was at first.
    fresh: Box<dyn Eviction>,
    /// By record.
    places: Vec<Place>,
    /// The runs of the use that is told.
    told: Vec<Run>,
}

/// Where a run is in the tree.
#[derive(Clone, Debug)]
struct Place {
    /// The run that it hangs on, and after how many blocks of it; `NONE` at the start of a prompt.
    parent: u32,
    at: u32,
    /// After how many of its blocks other runs hang on it, and how many do.
    hung: Vec<(u32, u32)>,
    /// Blocks on offer.
    loose: u32,
}

impl Leaves {
    pub(super) fn new(policy: Box<dyn Eviction>) -> Self {
        Self { fresh: policy.fork(), policy, places: Vec::new(), told: Vec::new() }
    }

    /// Nothing is resident, and the policy knows nothing any more.
    pub(super) fn restart(&mut self) {
        self.policy = self.fresh.fork();
    }

    fn place(&mut self, slot: u32) -> &mut Place {
        &mut self.places[slot as usize]
    }

    /// A run begins, and hangs on another one.
    fn begin(&mut self, slot: u32, (parent, at): (u32, u32)) {
        let place = Place { parent, at, hung: Vec::new(), loose: 0 };
        let index = slot as usize;
        if index < self.places.len() {
            self.places[index] = place;
        } else {
            assert_eq!(index, self.places.len(), "records are numbered without gaps");
            self.places.push(place);
        }
        if parent != NONE {
            let hung = &mut self.place(parent).hung;
            match hung.iter_mut().find(|(depth, _)| *depth == at) {
                Some((_, count)) => *count += 1,
                None => hung.push((at, 1)),
            }
        }
    }

    /// A run is gone; returns the one that it hung on.
    fn end(&mut self, slot: u32) -> Option<u32> {
        self.policy.gone(slot);
        let Place { parent, at, .. } = self.places[slot as usize];
        if parent == NONE {
            return None;
        }
        let hung = &mut self.place(parent).hung;
        let index = hung.iter().position(|&(depth, _)| depth == at).expect("it hung there");
        hung[index].1 -= 1;
        if hung[index].1 == 0 {
            hung.swap_remove(index);
        }
        Some(parent)
    }

    /// Tells the policy how many blocks of a run can leave, if that changed.
    fn refresh(&mut self, slot: u32, record: &Record) {
        let place = &mut self.places[slot as usize];
        let kept = place.hung.iter().map(|&(depth, _)| depth).max().unwrap_or(0).max(record.pinned);
        let loose = record.resident.saturating_sub(kept);
        if std::mem::replace(&mut place.loose, loose) != loose {
            self.policy.offer(slot, loose);
        }
    }
}

impl KvCache {
    fn leaves(&mut self) -> &mut Leaves {
        self.leaves.as_mut().expect("only called where leaves are kept")
    }

    /// Tells the policy about a release of the first `depth` blocks of a chain.
    pub(super) fn note_use(&mut self, chain: &Chain<'_>, depth: u32, by: User) {
        let Some(leaves) = &mut self.leaves else { return };
        leaves.told.clear();
        for (key, first, _) in chain.spans(self.block).filter(|&(_, first, _)| first < depth) {
            let slot = *self.slots.get(&key).expect("a pinned node is resident");
            let blocks = self.records[slot as usize].resident;
            leaves.told.push(Run { slot, node: Some(chain::node(key)), key, first, blocks });
        }
        let Leaves { policy, told, .. } = &mut **leaves;
        if !told.is_empty() {
            policy.used(&Use { now: self.clock, user: by, runs: told });
        }
    }

    /// Brings the place of a record up to date. One that is `born` hangs on the record of the key `before`, if there is
    /// one, after that many of its blocks.
    pub(super) fn grow(&mut self, slot: u32, born: bool, before: Option<(u64, u32)>) {
        if born {
            let parent = before.map_or((NONE, 0), |(key, at)| {
                (*self.slots.get(&key).expect("what comes before a resident block is resident"), at)
            });
            self.leaves().begin(slot, parent);
            if parent.0 != NONE {
                self.refresh(parent.0);
            }
        }
        self.refresh(slot);
    }

    pub(super) fn refresh(&mut self, slot: u32) {
        let record = self.records[slot as usize];
        self.leaves().refresh(slot, &record);
    }

    /// A run that nothing can hit.
    pub(super) fn add_nameless(&mut self, first: u32, blocks: u32, by: User) {
        let record = Record { key: NAMELESS, resident: blocks, pinned: 0, pins: 0, uneven: false, newest: NONE };
        let slot = place(&mut self.records, &mut self.spare_records, record);
        let now = self.clock;
        let leaves = self.leaves();
        leaves.begin(slot, (NONE, 0));
        let run = Run { slot, node: None, key: NAMELESS, first, blocks };
        leaves.policy.used(&Use { now, user: by, runs: &[run] });
        self.refresh(slot);
    }

    /// Evicts what the policy chooses.
    pub(super) fn evict_leaves(&mut self, mut blocks: u64) {
        let now = self.clock;
        self.leaves().policy.begin(blocks);
        while blocks > 0 {
            let leaves = self.leaves();
            let (slot, most) = leaves.policy.victim(now);
            let loose = leaves.place(slot).loose;
            assert!(loose > 0, "an eviction policy chose what cannot leave");
            let taken = u32::try_from(blocks).map_or(loose, |blocks| blocks.min(loose)).min(most.max(1));
            blocks -= u64::from(taken);
            leaves.policy.lost(slot, taken);
            let gone = self.lose(slot, taken);
            self.refresh(slot);
            if gone && let Some(parent) = self.leaves().end(slot) {
                self.refresh(parent);
            }
        }
    }
}
