//! Block ids of a trace to nodes of the prefix forest.

use rustc_hash::FxHashMap;
use trimtab_core::{ForestError, PrefixForest, PrefixId, Prompt, Request};

/// An id up to this far beyond the number of nodes still goes into the dense table.
const DENSE_SLACK: u64 = 1 << 16;

/// Gives every distinct pair (what comes before, block id) one node.
///
/// In a chain-hashed trace an id alone names its whole prefix; such ids, when small, are looked up in a plain table.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    pub(crate) forest: PrefixForest,
    /// Node + 1 by id; 0 where there is none.
    dense: Vec<u32>,
    sparse: FxHashMap<u64, u32>,
    /// By (parent node, or scope of a root, id): ids seen under a second parent, and ids of local scope.
    by_parent: FxHashMap<(u64, u64), u32>,
    /// Names that are no small numbers.
    names: FxHashMap<Box<[u8]>, u64>,
    /// How many ids occurred under a second parent.
    pub(crate) rechained: u64,
}

impl Interner {
    /// The number that stands for an id that is a string, negative or huge: above every plain number.
    pub(crate) fn name(&mut self, text: &[u8]) -> u64 {
        if let Some(&id) = self.names.get(text) {
            return id;
        }
        let id = (1 << 63) + self.names.len() as u64;
        self.names.insert(text.into(), id);
        id
    }

    /// The node of block `id` after `parent`. `scope` 0 is global; ids of other scopes are apart from all others.
    pub(crate) fn child(
        &mut self,
        parent: Option<PrefixId>,
        scope: u32,
        id: u64,
        end: u32,
    ) -> Result<PrefixId, ForestError> {
        if scope != 0 {
            return self.child_by_parent(parent, scope, id, end);
        }
        let slot = usize::try_from(id).ok().and_then(|index| self.dense.get(index)).copied().unwrap_or(0);
        let known = match slot {
            0 if self.sparse.is_empty() => None,
            0 => self.sparse.get(&id).copied().map(PrefixId),
            slot => Some(PrefixId(slot - 1)),
        };
        let Some(node) = known else {
            let node = self.forest.add(parent, end)?;
            self.remember(id, node);
            return Ok(node);
        };
        if self.forest.parent(node) == parent {
            return Ok(node);
        }
        self.rechained += 1;
        self.child_by_parent(parent, 0, id, end)
    }

    fn child_by_parent(
        &mut self,
        parent: Option<PrefixId>,
        scope: u32,
        id: u64,
        end: u32,
    ) -> Result<PrefixId, ForestError> {
        let before = parent.map_or((1 << 32) + u64::from(scope), |p| u64::from(p.0));
        if let Some(&node) = self.by_parent.get(&(before, id)) {
            return Ok(PrefixId(node));
        }
        let node = self.forest.add(parent, end)?;
        self.by_parent.insert((before, id), node.0);
        Ok(node)
    }

    fn remember(&mut self, id: u64, node: PrefixId) {
        let dense_below = 2 * self.forest.len() as u64 + DENSE_SLACK;
        match usize::try_from(id) {
            Ok(index) if id < dense_below => {
                if index >= self.dense.len() {
                    // Ids mostly count up: a call for each took a quarter of the instructions of interning.
                    self.dense.resize((index + 1).next_power_of_two(), 0);
                }
                self.dense[index] = node.0 + 1;
            }
            _ => {
                self.sparse.insert(id, node.0);
            }
        }
    }
}

/// Joins nodes that never branch into one, and ends the last node of a path where its longest prompt ends.
///
/// Blocks are still told apart after that: a position within a node names its block. On the public conversation trace
/// this leaves one node for every fourteen blocks, and everything that walks paths becomes so much faster.
pub(crate) fn compress(forest: &PrefixForest, requests: &mut [Request]) -> PrefixForest {
    let count = forest.len();
    let ids = || (0..count).map(|i| PrefixId(u32::try_from(i).expect("nodes are numbered with 32 bits")));
    let mut children = vec![0u32; count];
    let mut used = vec![0u32; count];
    for request in &*requests {
        let Prompt { leaf, tokens } = request.prompt;
        if let Some(leaf) = leaf {
            used[leaf.index()] = used[leaf.index()].max(tokens);
        }
        if let Some(leaf) = request.output_leaf {
            used[leaf.index()] = forest.end(leaf);
        }
    }
    for parent in ids().filter_map(|id| forest.parent(id)) {
        children[parent.index()] = children[parent.index()].saturating_add(1);
    }
    let mut joined: Vec<(Option<u32>, u32)> = Vec::new();
    let mut renamed = vec![0u32; count];
    for id in ids() {
        let end = if children[id.index()] == 0 { used[id.index()].max(forest.start(id) + 1) } else { forest.end(id) };
        let parent = forest.parent(id);
        let to = parent.map(|p| renamed[p.index()]);
        match (to, parent) {
            (Some(to), Some(parent)) if children[parent.index()] == 1 => {
                joined[to as usize].1 = end;
                renamed[id.index()] = to;
            }
            _ => {
                renamed[id.index()] = u32::try_from(joined.len()).expect("fewer nodes than before");
                joined.push((to, end));
            }
        }
    }
    let mut result = PrefixForest::new();
    for (parent, end) in joined {
        result.add(parent.map(PrefixId), end).expect("every node ends after its parent, as before");
    }
    let rename = |leaf: &mut Option<PrefixId>| *leaf = leaf.map(|id| PrefixId(renamed[id.index()]));
    for request in requests {
        rename(&mut request.prompt.leaf);
        rename(&mut request.output_leaf);
        // A prompt may now end in a node that starts earlier, never in one that starts at or after its end.
        debug_assert!(request.prompt.leaf.is_none_or(|leaf| result.start(leaf) < request.prompt.tokens));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::SimTime;

    #[test]
    fn ids_become_runs_that_branch_where_prompts_do() {
        let mut interner = Interner::default();
        let mut requests = Vec::new();
        for (n, (ids, tokens)) in [
            (vec![0u64, 1, 2, 3], 1900),
            (vec![0, 1, 4, 5], 2048),
            (vec![0, 1, 4], 1500),
            (vec![900_000, 1 << 62], 700),
            // Block 5 under another parent is another block.
            (vec![0, 5], 1024),
        ]
        .into_iter()
        .enumerate()
        {
            let mut node = None;
            for (depth, &id) in (1..).zip(&ids) {
                node = Some(interner.child(node, 0, id, depth * 512).unwrap());
            }
            let n = u32::try_from(n).unwrap();
            requests.push(Request::new(n, SimTime::ZERO, Prompt { leaf: node, tokens }, 1));
        }
        assert_eq!(interner.rechained, 1);
        let before = interner.forest.clone();
        let originals: Vec<Prompt> = requests.iter().map(|r| r.prompt).collect();
        let forest = compress(&before, &mut requests);
        assert_eq!(forest.len(), 6, "0 | 1 | 2-3 | 4-5 | 900000-2^62 | 5'");
        for (a, p) in originals.iter().enumerate() {
            for (b, q) in originals.iter().enumerate() {
                let now = forest.shared_tokens(requests[a].prompt, requests[b].prompt);
                assert_eq!(before.shared_tokens(*p, *q), now, "{a} {b}");
            }
        }
        let ends: Vec<u32> = requests.iter().map(|r| forest.end(r.prompt.leaf.unwrap())).collect();
        assert_eq!(ends, [1900, 2048, 2048, 700, 1024]);
    }
}
