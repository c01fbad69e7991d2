//! The part of a prompt that a cache works on, and how its blocks are named.

use trimtab_core::{PrefixForest, PrefixId};

/// The part of a path that a cache works on: `full` leading whole blocks and, after them, perhaps the partial block of a
/// prompt that ends at `tail` tokens (0: none).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    pub(crate) forest: &'a PrefixForest,
    pub(crate) path: &'a [PrefixId],
    pub(crate) full: u32,
    pub(crate) tail: u32,
}

impl Chain<'_> {
    /// All blocks with identity.
    pub(crate) fn blocks(&self) -> u32 {
        self.full + u32::from(self.tail > 0)
    }

    /// The key and the block range of each node that holds a block, first to last.
    pub(crate) fn spans(&self, block: u32) -> impl DoubleEndedIterator<Item = (u64, u32, u32)> + '_ {
        let bound = move |index: usize| (self.forest.end(self.path[index]) / block).min(self.full);
        let nodes = (0..self.path.len()).map(move |index| {
            let first = if index == 0 { 0 } else { bound(index - 1) };
            (key(self.path[index], 0), first, bound(index))
        });
        let tail = self.path.last().filter(|_| self.tail > 0);
        nodes
            .filter(|&(_, first, last)| first < last)
            .chain(tail.map(|&leaf| (key(leaf, self.tail), self.full, self.full + 1)))
    }
}

/// Whole blocks of a node have tail 0; a partial tail block is named by the node and the prompt length.
pub(super) fn key(node: PrefixId, tail: u32) -> u64 {
    u64::from(node.0) << 32 | u64::from(tail)
}

/// The node of a key.
pub(super) fn node(key: u64) -> PrefixId {
    PrefixId(u32::try_from(key >> 32).expect("the upper half"))
}
