//! The eviction list: what nobody pins, in the order in which it was released.

use trimtab_core::SimTime;

use super::{KvCache, NONE, place};

/// Unpinned blocks of one record that were released together; an element of the eviction list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// `NONE` for generated blocks that nothing can hit.
    record: u32,
    blocks: u32,
    before: u32,
    after: u32,
    /// The next older segment of the same record, which is deeper.
    older: u32,
    /// When it was released.
    since: SimTime,
}

impl KvCache {
    /// When the blocks that would be evicted next were released, if nobody pins all.
    pub(crate) fn oldest(&self) -> Option<SimTime> {
        (self.oldest != NONE).then(|| self.segments[self.oldest as usize].since)
    }

    /// Evicts what was released at or before this time.
    pub(crate) fn expire(&mut self, released: SimTime) {
        while self.oldest != NONE && self.segments[self.oldest as usize].since <= released {
            self.evict(u64::from(self.segments[self.oldest as usize].blocks));
        }
    }

    /// Takes the newest (shallowest) `blocks` unpinned blocks of a record out of the eviction list.
    pub(super) fn take_newest(&mut self, slot: u32, mut blocks: u32) {
        while blocks > 0 {
            let at = self.records[slot as usize].newest;
            let segment = &mut self.segments[at as usize];
            let taken = segment.blocks.min(blocks);
            segment.blocks -= taken;
            blocks -= taken;
            if segment.blocks == 0 {
                self.records[slot as usize].newest = segment.older;
                self.unlink(at);
            }
        }
    }

    /// Appends blocks of a record to the new end of the eviction list.
    pub(super) fn append(&mut self, record: u32, blocks: u32) {
        let older = if record == NONE { NONE } else { self.records[record as usize].newest };
        let segment = Segment { record, blocks, before: self.newest, after: NONE, older, since: self.clock };
        let at = place(&mut self.segments, &mut self.spare_segments, segment);
        match self.newest {
            NONE => self.oldest = at,
            newest => self.segments[newest as usize].after = at,
        }
        self.newest = at;
        if record != NONE {
            self.records[record as usize].newest = at;
        }
    }

    fn unlink(&mut self, at: u32) {
        let Segment { before, after, .. } = self.segments[at as usize];
        match before {
            NONE => self.oldest = after,
            before => self.segments[before as usize].after = after,
        }
        match after {
            NONE => self.newest = before,
            after => self.segments[after as usize].before = before,
        }
        self.spare_segments.push(at);
    }

    /// Evicts what was released first.
    pub(super) fn evict_oldest(&mut self, mut blocks: u64) {
        while blocks > 0 {
            let at = self.oldest;
            assert!(at != NONE, "there was less to evict than the counters say");
            let segment = &mut self.segments[at as usize];
            let taken = u32::try_from(blocks).map_or(segment.blocks, |b| b.min(segment.blocks));
            segment.blocks -= taken;
            blocks -= u64::from(taken);
            let Segment { record, blocks: left, .. } = *segment;
            if left == 0 {
                self.unlink(at);
            }
            if record != NONE {
                self.shrink(record, at, taken, left == 0);
            }
        }
    }

    /// A record lost its deepest `blocks`; `gone` says that its deepest segment `at` is used up.
    fn shrink(&mut self, slot: u32, at: u32, blocks: u32, gone: bool) {
        if gone {
            let newest = self.records[slot as usize].newest;
            if newest == at {
                self.records[slot as usize].newest = NONE;
            } else {
                let mut shallower = newest;
                while self.segments[shallower as usize].older != at {
                    shallower = self.segments[shallower as usize].older;
                }
                self.segments[shallower as usize].older = NONE;
            }
        }
        self.lose(slot, blocks);
    }
}
