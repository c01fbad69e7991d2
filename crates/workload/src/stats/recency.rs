//! The order in which blocks were last used, and how deep in it each look-up finds its block: one pass that answers for
//! LRU caches of every capacity at once.
//!
//! A request's look-ups come before its touches, and it touches its blocks from the tail to the head. So a block is never
//! more recent than the blocks before it, and what is left of a request's touches is always one run from some block to
//! its tail. That makes the stack a list of requests with counts: a Fenwick tree over requests, not over blocks.

use rustc_hash::FxHashMap;
use trimtab_core::{PrefixForest, PrefixId, Prompt};

/// Consecutive blocks of a prompt that were last used by the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// That request.
    pub(super) owner: u32,
    pub(super) blocks: u32,
    pub(super) tokens: u32,
}

/// What one look-up found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// First block first; owners are ever older.
    pub(super) runs: Vec<Run>,
    pub(super) hit_blocks: u32,
    pub(super) hit_tokens: u32,
    /// All blocks of the prompt, and the full ones among them.
    pub(super) blocks: u32,
    pub(super) full_blocks: u32,
}

/// Leading blocks of one node.
#[derive(Clone, Copy)]
struct Part {
    node: PrefixId,
    blocks: u32,
}

/// The recency stack of an unbounded cache.
pub(super) struct Recency<'f> {
    forest: &'f PrefixForest,
    block: u32,
    partial_tail: bool,
    /// By node: up to which of its blocks each owner reaches. The last entry is the first of the node.
    owners: Vec<Vec<(u32, u32)>>,
    /// The owner of a partial last block, which is named by its node and end.
    tails: FxHashMap<(PrefixId, u32), u32>,
    /// How many blocks each request still owns.
    owned: Fenwick,
    path: Vec<PrefixId>,
    parts: Vec<Part>,
    found: Found,
    pub(super) distances: Distances,
}

impl<'f> Recency<'f> {
    pub(super) fn new(forest: &'f PrefixForest, requests: usize, block: u32, partial_tail: bool) -> Self {
        Self {
            forest,
            block,
            partial_tail,
            owners: vec![Vec::new(); forest.len()],
            tails: FxHashMap::default(),
            owned: Fenwick::new(requests),
            path: Vec::new(),
            parts: Vec::new(),
            found: Found::default(),
            distances: Distances::default(),
        }
    }

    /// Distinct blocks touched so far.
    pub(super) fn unique(&self) -> u64 {
        self.owned.total()
    }

    /// Looks up a prompt, then touches it.
    pub(super) fn access(&mut self, request: u32, prompt: Prompt) -> &Found {
        self.look(prompt);
        self.count_distances();
        self.touch(request, prompt);
        &self.found
    }

    fn look(&mut self, prompt: Prompt) {
        self.forest.path(prompt, &mut self.path);
        self.parts.clear();
        let found = &mut self.found;
        found.runs.clear();
        let mut hitting = true;
        for &node in &self.path {
            let blocks = self.forest.end(node).min(prompt.tokens) / self.block - self.forest.start(node) / self.block;
            if blocks == 0 {
                continue;
            }
            self.parts.push(Part { node, blocks });
            let mut from = 0;
            for &(upto, owner) in self.owners[node.index()].iter().rev() {
                if !hitting || from >= blocks {
                    break;
                }
                let part = upto.min(blocks) - from;
                push_run(&mut found.runs, Run { owner, blocks: part, tokens: part * self.block });
                from = upto;
            }
            hitting &= from >= blocks;
        }
        found.full_blocks = prompt.tokens / self.block;
        found.blocks = prompt.tokens.div_ceil(self.block);
        let rest = prompt.tokens % self.block;
        if let (true, true, 1.., Some(leaf)) = (hitting, self.partial_tail, rest, prompt.leaf)
            && let Some(&owner) = self.tails.get(&(leaf, prompt.tokens))
        {
            push_run(&mut found.runs, Run { owner, blocks: 1, tokens: rest });
        }
        found.hit_blocks = found.runs.iter().map(|run| run.blocks).sum();
        found.hit_tokens = found.runs.iter().map(|run| run.tokens).sum();
    }

    fn count_distances(&mut self) {
        for run in &self.found.runs {
            let above = self.owned.after(run.owner);
            let full = run.tokens / self.block;
            self.distances.add(above, full, self.block);
            if full < run.blocks {
                self.distances.add(above + u64::from(full), 1, run.tokens % self.block);
            }
        }
    }

    fn touch(&mut self, request: u32, prompt: Prompt) {
        for run in &self.found.runs {
            self.owned.add(run.owner, -i64::from(run.blocks));
        }
        let mut touched = 0;
        for &Part { node, blocks } in &self.parts {
            touched += blocks;
            let owners = &mut self.owners[node.index()];
            while owners.last().is_some_and(|&(upto, _)| upto <= blocks) {
                owners.pop();
            }
            owners.push((blocks, request));
        }
        if let (true, 1.., Some(leaf)) = (self.partial_tail, prompt.tokens % self.block, prompt.leaf) {
            self.tails.insert((leaf, prompt.tokens), request);
            touched += 1;
        }
        self.owned.add(request, i64::from(touched));
    }
}

fn push_run(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.owner == run.owner => {
            last.blocks += run.blocks;
            last.tokens += run.tokens;
        }
        _ => runs.push(run),
    }
}

/// How often a look-up found its block at each depth of the stack.
#[derive(Debug, Default)]
pub(super) struct Distances {
    /// Differences between neighbouring depths, so that a run costs two steps.
    blocks: Vec<i64>,
    tokens: Vec<i64>,
}

impl Distances {
    /// Adds `count` blocks of `tokens` tokens at the depths `above + 1, above + 2, ...`.
    fn add(&mut self, above: u64, count: u32, tokens: u32) {
        if count == 0 {
            return;
        }
        let from = usize::try_from(above).expect("fewer blocks than addresses");
        let to = from + count as usize;
        if self.blocks.len() <= to {
            self.blocks.resize(to + 1, 0);
            self.tokens.resize(to + 1, 0);
        }
        for (index, sign) in [(from, 1), (to, -1)] {
            self.blocks[index] += sign;
            self.tokens[index] += sign * i64::from(tokens);
        }
    }

    /// Blocks and tokens hit by a cache of each of these capacities in blocks.
    pub(super) fn hits(&self, capacities: &[u64]) -> Vec<(u64, u64)> {
        let mut order: Vec<usize> = (0..capacities.len()).collect();
        order.sort_by_key(|&i| capacities[i]);
        let mut result = vec![(0, 0); capacities.len()];
        let (mut at_depth, mut hits) = ((0i64, 0i64), (0i64, 0i64));
        let mut depth = 0usize;
        for index in order {
            let until = usize::try_from(capacities[index]).unwrap_or(usize::MAX).min(self.blocks.len());
            while depth < until {
                at_depth.0 += self.blocks[depth];
                at_depth.1 += self.tokens[depth];
                hits.0 += at_depth.0;
                hits.1 += at_depth.1;
                depth += 1;
            }
            result[index] = (hits.0.unsigned_abs(), hits.1.unsigned_abs());
        }
        result
    }
}

/// Counts by index with fast sums of all counts after an index.
struct Fenwick {
    tree: Vec<i64>,
    total: i64,
}

impl Fenwick {
    fn new(len: usize) -> Self {
        Self { tree: vec![0; len + 1], total: 0 }
    }

    fn add(&mut self, index: u32, count: i64) {
        self.total += count;
        let mut at = index as usize + 1;
        while at < self.tree.len() {
            self.tree[at] += count;
            at += at & at.wrapping_neg();
        }
    }

    /// The sum of the counts of all later indices.
    fn after(&self, index: u32) -> u64 {
        let mut at = index as usize + 1;
        let mut upto = 0;
        while at > 0 {
            upto += self.tree[at];
            at &= at - 1;
        }
        u64::try_from(self.total - upto).expect("counts are never negative")
    }

    fn total(&self) -> u64 {
        u64::try_from(self.total).expect("counts are never negative")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use trimtab_core::RngStreams;

    /// A dumb LRU cache of whole blocks, named by what they hold.
    fn replay(prompts: &[Vec<u64>], capacity: usize) -> u64 {
        let (mut stack, mut hits): (Vec<u64>, u64) = (Vec::new(), 0);
        for prompt in prompts {
            hits += prompt.iter().take_while(|b| stack.contains(b)).count() as u64;
            for block in prompt.iter().rev() {
                stack.retain(|b| b != block);
                stack.push(*block);
            }
            let excess = stack.len().saturating_sub(capacity);
            stack.drain(..excess);
        }
        hits
    }

    #[test]
    fn one_pass_equals_a_replay_of_every_capacity() {
        let mut rng = RngStreams::new(3).stream("prompts");
        for partial_tail in [false, true] {
            let mut forest = PrefixForest::new();
            let mut nodes: Vec<PrefixId> = Vec::new();
            let mut prompts = Vec::new();
            let mut pick = |n: usize| rng.random_range(0..n);
            for _ in 0..400 {
                // Extend a known node, or start afresh; nodes and prompts end anywhere.
                let parent = nodes.get(pick(nodes.len() + 3)).copied();
                let start = parent.map_or(0, |p| forest.end(p));
                let len = u32::try_from(1 + pick(60)).unwrap();
                let leaf = if start < 300 { forest.add(parent, start + len).unwrap() } else { parent.unwrap() };
                nodes.push(leaf);
                let start = forest.start(leaf);
                let tokens = start + 1 + u32::try_from(pick((forest.end(leaf) - start) as usize)).unwrap();
                prompts.push(Prompt { leaf: Some(leaf), tokens });
            }
            let block = 8;
            let mut recency = Recency::new(&forest, prompts.len(), block, partial_tail);
            let mut named = Vec::new();
            for (r, &prompt) in (0..).zip(&prompts) {
                recency.access(r, prompt);
                let full = (1..=prompt.tokens / block).map(|b| {
                    let node = forest.node_at(prompt, b * block).unwrap();
                    u64::from(node.0) << 32 | u64::from(b * block)
                });
                let tail = (partial_tail && prompt.tokens % block > 0)
                    .then(|| 1 << 63 | u64::from(prompt.leaf.unwrap().0) << 32 | u64::from(prompt.tokens));
                named.push(full.chain(tail).collect::<Vec<u64>>());
            }
            let mut distinct = named.concat();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(recency.unique(), distinct.len() as u64);
            let capacities: Vec<u64> = (0..200).step_by(7).chain([100_000]).collect();
            let hits = recency.distances.hits(&capacities);
            for (&capacity, (blocks, _)) in capacities.iter().zip(hits) {
                let expected = replay(&named, usize::try_from(capacity).unwrap());
                assert_eq!(blocks, expected, "capacity {capacity}, partial {partial_tail}");
            }
        }
    }
}
