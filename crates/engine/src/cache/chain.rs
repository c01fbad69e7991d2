//! The part of a prompt that a cache works on, and how its blocks are named.

use trimtab_core::{PrefixForest, PrefixId, Prompt};

/// The nodes of a prompt and the token position behind each: a copy, because in the forest they lie far apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    nodes: Vec<PrefixId>,
    ends: Vec<u32>,
}

impl Path {
    /// Reads those of a prompt.
    pub(crate) fn set(&mut self, forest: &PrefixForest, prompt: Prompt) {
        forest.path(prompt, &mut self.nodes);
        self.ends.clear();
        self.ends.extend(self.nodes.iter().map(|&node| forest.end(node)));
    }

    pub(crate) fn nodes(&self) -> &[PrefixId] {
        &self.nodes
    }
}

/// The part of a path that a cache works on: `full` leading whole blocks and, after them, perhaps the partial block of a
/// prompt that ends at `tail` tokens (0: none).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    pub(crate) path: &'a Path,
    pub(crate) full: u32,
    pub(crate) tail: u32,
}

impl Chain<'_> {
    /// Its whole blocks, and the partial one if there is one.
    pub(crate) fn blocks(&self) -> u32 {
        self.full + u32::from(self.tail > 0)
    }

    /// The key and the block range of each node that holds a block, first to last.
    pub(crate) fn spans(&self, block: u32) -> impl DoubleEndedIterator<Item = (u64, u32, u32)> + '_ {
        let Path { nodes, ends } = self.path;
        let bound = move |index: usize| (ends[index] / block).min(self.full);
        let tail = nodes.last().filter(|_| self.tail > 0);
        let nodes = (0..nodes.len()).map(move |index| {
            let first = if index == 0 { 0 } else { bound(index - 1) };
            (key(nodes[index], 0), first, bound(index))
        });
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
