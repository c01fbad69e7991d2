//! The KV cache of one instance: which blocks of which prefixes are resident, who pins them, and what goes first.
//!
//! A record stands for the resident leading blocks of one forest node. Requests pin a prefix of their path; what nobody
//! pins stays until it is evicted, least recently released first and, of what was released together, deepest first.
//! Since a request releases its path from the deep end and always pins whole prefixes, no block is ever evicted before
//! the blocks that continue it: leaf-first order needs no search.
//!
//! Blocks of one node that were released together form a segment, so that the cost follows nodes, not blocks.
//!
//! Under any other eviction policy `leaves` keeps the tree and asks the policy, and there are no segments (`released`).

mod chain;
mod leaves;
mod released;

use rustc_hash::FxHashMap;
use trimtab_core::SimTime;

use crate::eviction::{Order, User};
pub(crate) use chain::{Chain, Path};
use leaves::Leaves;
use released::Segment;

/// No segment, no record.
const NONE: u32 = u32::MAX;
/// The key of the generated blocks of one request that nothing can hit.
const NAMELESS: u64 = u64::MAX;

/// The resident leading blocks of one node.
#[derive(Clone, Copy, Debug)]
struct Record {
    key: u64,
    /// Resident blocks, counted from the node's first.
    resident: u32,
    /// Of these, how many somebody pins.
    pinned: u32,
    /// How many requests pin some of them.
    pins: u32,
    /// Whether they pin to different depths; the depths are then in `KvCache::uneven`.
    uneven: bool,
    /// The newest (shallowest) segment of the unpinned rest.
    newest: u32,
}

/// A node has another number of leading blocks resident than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: SimTime,
    /// As in [`Chain::spans`].
    pub(crate) key: u64,
    pub(crate) resident: u32,
}

/// Blocks of a node that became resident, or were evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spill {
    pub(crate) at: SimTime,
    pub(crate) key: u64,
    /// Which, counted from the node's first.
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) evicted: bool,
}

/// A request's view of what it would reuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Leading resident blocks.
    pub(crate) blocks: u32,
    /// Of these, how many are pinned already, so that reusing them takes nothing from the evictable rest.
    pub(crate) pinned: u32,
}

/// The blocks of one instance. `free + cached + pinned + private` is always `total`.
#[derive(Clone, Debug)]
pub(crate) struct KvCache {
    block: u32,
    total: u64,
    free: u64,
    cached: u64,
    pinned: u64,
    private: u64,
    evicted: u64,
    slots: FxHashMap<u64, u32>,
    records: Vec<Record>,
    spare_records: Vec<u32>,
    segments: Vec<Segment>,
    spare_segments: Vec<u32>,
    /// The ends of the eviction list: `oldest` goes first.
    oldest: u32,
    newest: u32,
    uneven: FxHashMap<u32, Vec<(u32, u32)>>,
    /// What decides instead of the list, if anything does.
    leaves: Option<Box<Leaves>>,
    /// The time of what happens next.
    clock: SimTime,
    /// What changed and was not read yet, when somebody wants to know.
    log: Option<Vec<Change>>,
    /// What is to be written to the tier behind, when there is one.
    spills: Option<Spills>,
}

/// What is to be written, and whether what becomes resident is, too.
#[derive(Clone, Debug)]
struct Spills {
    list: Vec<Spill>,
    through: bool,
}

impl KvCache {
    pub(crate) fn new(total: u64, block: u32) -> Self {
        Self::with_order(total, block, Order::Released)
    }

    /// A cache whose blocks leave in some order.
    pub(crate) fn with_order(total: u64, block: u32, order: Order) -> Self {
        let leaves = match order {
            Order::Released => None,
            Order::Leaves(policy) => Some(Box::new(Leaves::new(policy))),
        };
        Self {
            block,
            total,
            free: total,
            cached: 0,
            pinned: 0,
            private: 0,
            evicted: 0,
            slots: FxHashMap::default(),
            records: Vec::new(),
            spare_records: Vec::new(),
            segments: Vec::new(),
            spare_segments: Vec::new(),
            oldest: NONE,
            newest: NONE,
            uneven: FxHashMap::default(),
            leaves,
            clock: SimTime::ZERO,
            log: None,
            spills: None,
        }
    }

    /// Starts to note what is to be written to a tier: what is evicted, and with `through` also what becomes resident.
    pub(crate) fn start_spilling(&mut self, through: bool) {
        self.spills = Some(Spills { list: Vec::new(), through });
    }

    /// What is to be written since the last call, in order.
    pub(crate) fn drain_spills(&mut self) -> impl Iterator<Item = Spill> + '_ {
        self.spills.iter_mut().flat_map(|spills| spills.list.drain(..))
    }

    fn spill(&mut self, slot: u32, from: u32, to: u32, evicted: bool) {
        let (at, key) = (self.clock, self.records[slot as usize].key);
        if let Some(spills) = self.spills.as_mut().filter(|spills| key != NAMELESS && (evicted || spills.through)) {
            spills.list.push(Spill { at, key, from, to, evicted });
        }
    }

    /// A copy that logs nothing.
    pub(crate) fn fork(&self) -> Self {
        Self { log: None, ..self.clone() }
    }

    /// What happens from now on happens at this time.
    pub(crate) fn set_clock(&mut self, now: SimTime) {
        self.clock = now;
    }

    /// Starts to log changes, and returns what is resident so far.
    pub(crate) fn start_log(&mut self) -> impl Iterator<Item = Change> + '_ {
        self.log = Some(Vec::new());
        let at = self.clock;
        let held = self.records.iter().filter(|record| record.resident > 0 && record.key != NAMELESS);
        held.map(move |record| Change { at, key: record.key, resident: record.resident })
    }

    /// Whether it matters in how many calls and when blocks are taken, and not only how many.
    pub(crate) fn by_step(&self) -> bool {
        self.log.is_some() || self.leaves.is_some() || self.spills.is_some()
    }

    /// The changes since the last call, in order; a node may occur several times.
    pub(crate) fn drain_log(&mut self) -> impl Iterator<Item = Change> + '_ {
        self.log.iter_mut().flat_map(|log| log.drain(..))
    }

    fn note(&mut self, slot: u32) {
        let Record { key, resident, .. } = self.records[slot as usize];
        if let Some(log) = self.log.as_mut().filter(|_| key != NAMELESS) {
            log.push(Change { at: self.clock, key, resident });
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Blocks that hold the KV of requests in the batch.
    pub(crate) fn used(&self) -> u64 {
        self.pinned + self.private
    }

    /// Blocks that can be had: free ones, and cached ones that nobody pins.
    pub(crate) fn available(&self) -> u64 {
        self.free + self.cached
    }

    /// Blocks that can be had without evicting anything.
    pub(crate) fn free(&self) -> u64 {
        self.free
    }

    /// How many cached blocks have been evicted so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The leading blocks of a chain that are resident, at most `limit`. Changes nothing.
    pub(crate) fn peek(&self, chain: &Chain<'_>, limit: u32) -> Hit {
        let mut hit = Hit::default();
        for (key, first, last) in chain.spans(self.block) {
            let Some(&slot) = self.slots.get(&key) else { break };
            let record = &self.records[slot as usize];
            let wanted = last.min(limit).saturating_sub(first);
            let found = record.resident.min(wanted);
            hit.blocks += found;
            hit.pinned += record.pinned.min(found);
            if found < last - first {
                break;
            }
        }
        hit
    }

    /// Makes the blocks `from..to` of a chain resident and pinned by a request that pins `..from` already. Blocks that
    /// are resident are shared; the others must have been allocated as private blocks, and become identity blocks.
    /// `private` of the request's blocks take part in this: those that turn out to be shared are freed.
    pub(crate) fn pin(&mut self, chain: &Chain<'_>, from: u32, to: u32, private: u32) {
        let (mut reused, mut fresh) = (0, 0);
        let mut before = None;
        for (key, first, last) in chain.spans(self.block) {
            if first >= to {
                break;
            }
            if last > from {
                let slot = self.slot(key);
                let born = self.records[slot as usize].resident == 0;
                let (old, new) = (from.saturating_sub(first), last.min(to) - first);
                let (r, f) = self.deepen(slot, old, new);
                reused += r;
                fresh += f;
                if self.leaves.is_some() {
                    self.grow(slot, born, before);
                }
            }
            before = Some((key, last - first));
        }
        let (reused, fresh, private) = (u64::from(reused), u64::from(fresh), u64::from(private));
        assert!(fresh <= private, "a block became resident that nobody allocated");
        take(&mut self.cached, reused);
        take(&mut self.private, private);
        self.pinned += reused + fresh;
        self.free += private - fresh;
    }

    /// Unpins the first `depth` blocks of a chain, deepest first: they become the newest in the eviction list.
    pub(crate) fn unpin(&mut self, chain: &Chain<'_>, depth: u32, by: User) {
        if self.leaves.is_some() {
            self.note_use(chain, depth, by);
        }
        for (key, first, last) in chain.spans(self.block).rev() {
            if first >= depth {
                continue;
            }
            let slot = *self.slots.get(&key).expect("a pinned node is resident");
            let before = self.records[slot as usize].pinned;
            let after = self.change_depth(slot, depth.min(last) - first, 0);
            self.records[slot as usize].pinned = after;
            if before > after {
                match &self.leaves {
                    None => self.append(slot, before - after),
                    Some(_) => self.refresh(slot),
                }
                take(&mut self.pinned, u64::from(before - after));
                self.cached += u64::from(before - after);
            }
        }
    }

    /// Takes `blocks` free blocks for one request, evicting as needed. There must be that many available.
    pub(crate) fn allocate(&mut self, blocks: u64) {
        if blocks > self.free {
            self.evict(blocks - self.free);
        }
        take(&mut self.free, blocks);
        self.private += blocks;
    }

    /// Gives private blocks back.
    pub(crate) fn release(&mut self, blocks: u64) {
        take(&mut self.private, blocks);
        self.free += blocks;
    }

    /// Turns private blocks of generated tokens, `first` and up, into cached ones that nothing can hit.
    pub(crate) fn retire(&mut self, first: u32, blocks: u32, by: User) {
        if blocks > 0 {
            match &self.leaves {
                None => self.append(NONE, blocks),
                Some(_) => self.add_nameless(first, blocks, by),
            }
            take(&mut self.private, u64::from(blocks));
            self.cached += u64::from(blocks);
        }
    }

    /// Loses all cached blocks that nobody pins; they do not count as evicted, and go to no tier.
    pub(crate) fn flush(&mut self) {
        let (blocks, spills) = (self.cached, self.spills.take());
        if blocks > 0 {
            self.evict(blocks);
            self.evicted -= blocks;
        }
        self.spills = spills;
    }

    /// Starts again as new. Nobody may hold blocks.
    pub(crate) fn restart(&mut self) {
        self.flush();
        assert_eq!(self.free, self.total, "invariant: nobody holds blocks of an instance that stopped");
        if let Some(leaves) = &mut self.leaves {
            leaves.restart();
        }
    }

    /// Checks the conservation of blocks. Cheap enough for every event.
    pub(crate) fn check(&self) {
        assert_eq!(
            self.free + self.cached + self.pinned + self.private,
            self.total,
            "invariant: free + cached + used blocks are all blocks"
        );
    }

    fn slot(&mut self, key: u64) -> u32 {
        if let Some(&slot) = self.slots.get(&key) {
            return slot;
        }
        let record = Record { key, resident: 0, pinned: 0, pins: 0, uneven: false, newest: NONE };
        let slot = place(&mut self.records, &mut self.spare_records, record);
        self.slots.insert(key, slot);
        slot
    }

    /// One request pins the record to depth `new` instead of `old`. Returns how many blocks were cached, and how many
    /// were not resident.
    fn deepen(&mut self, slot: u32, old: u32, new: u32) -> (u32, u32) {
        let depth = self.change_depth(slot, old, new);
        let record = &mut self.records[slot as usize];
        let (pinned, resident) = (record.pinned, record.resident);
        record.pinned = depth;
        if depth <= pinned {
            return (0, 0);
        }
        let reused = resident.min(depth) - pinned;
        let fresh = depth.saturating_sub(resident);
        record.resident = resident.max(depth);
        if fresh > 0 {
            self.note(slot);
            self.spill(slot, resident, depth, false);
        }
        if self.leaves.is_none() {
            self.take_newest(slot, reused);
        }
        (reused, fresh)
    }

    /// Changes one request's depth in a record (0: it does not pin it) and returns the largest depth of all.
    fn change_depth(&mut self, slot: u32, old: u32, new: u32) -> u32 {
        let record = &mut self.records[slot as usize];
        let pins = record.pins + u32::from(old == 0) - u32::from(new == 0);
        if !record.uneven {
            let others = record.pins - u32::from(old > 0);
            if others == 0 || new == record.pinned {
                record.pins = pins;
                return new.max(if others > 0 { record.pinned } else { 0 });
            }
            if new == 0 {
                record.pins = pins;
                return record.pinned;
            }
            self.uneven.insert(slot, vec![(record.pinned, others), (new, 1)]);
            record.uneven = true;
            record.pins = pins;
            return record.pinned.max(new);
        }
        record.pins = pins;
        let depths = self.uneven.get_mut(&slot).expect("an uneven record lists its depths");
        if old > 0 {
            let at = depths.iter().position(|&(depth, _)| depth == old).expect("the depth was listed");
            depths[at].1 -= 1;
            if depths[at].1 == 0 {
                depths.swap_remove(at);
            }
        }
        if new > 0 {
            match depths.iter_mut().find(|(depth, _)| *depth == new) {
                Some((_, count)) => *count += 1,
                None => depths.push((new, 1)),
            }
        }
        let deepest = depths.iter().map(|&(depth, _)| depth).max().unwrap_or(0);
        if depths.len() <= 1 {
            self.uneven.remove(&slot);
            record.uneven = false;
        }
        deepest
    }

    fn evict(&mut self, blocks: u64) {
        self.evicted += blocks;
        take(&mut self.cached, blocks);
        self.free += blocks;
        match &self.leaves {
            None => self.evict_oldest(blocks),
            Some(_) => self.evict_leaves(blocks),
        }
    }

    /// A record lost its deepest `blocks`. Whether nothing is left of it.
    fn lose(&mut self, slot: u32, blocks: u32) -> bool {
        let record = &mut self.records[slot as usize];
        record.resident -= blocks;
        let left = record.resident;
        let empty = left == 0;
        self.note(slot);
        self.spill(slot, left, left + blocks, true);
        if empty {
            let key = self.records[slot as usize].key;
            self.slots.remove(&key);
            self.spare_records.push(slot);
        }
        empty
    }
}

/// Takes blocks from one of the four counters, whose sum is conserved as long as none of them goes below zero.
fn take(counter: &mut u64, blocks: u64) {
    *counter = counter.checked_sub(blocks).expect("invariant: free + cached + pinned + private blocks are all blocks");
}

/// Puts a value into a spare slot or a new one.
fn place<T>(list: &mut Vec<T>, spare: &mut Vec<u32>, value: T) -> u32 {
    if let Some(at) = spare.pop() {
        list[at as usize] = value;
        at
    } else {
        list.push(value);
        u32::try_from(list.len() - 1).expect("fewer than 2^32 records")
    }
}
