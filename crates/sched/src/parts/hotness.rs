//! Keys that grow where traffic is dense: DualMap's prefix hotness tree (arXiv 2602.06502).
//!
//! Requests with the same key meet on the same few instances. A key is the first blocks of the prompt; how many is
//! decided by traffic. A prefix that carries more than 2/n of the recent requests is more than a pair of n instances
//! should serve, so its requests are told apart by one block more; when it falls below 1/n they are joined again. The gap
//! between the two bounds keeps keys from flapping.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;

use crate::Arrival;

const NONE: u32 = u32::MAX;

/// How keys are cut from prompts.
#[derive(Clone, Copy, Debug)]
pub struct KeyRule {
    /// Tokens of a key block.
    pub block_tokens: u32,
    /// Blocks of a key before any growth.
    pub initial_blocks: u32,
    /// Whether keys grow and shrink.
    pub adaptive: bool,
    /// How many recent requests the shares are taken over.
    pub window: usize,
}

/// The key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its identity.
    pub id: u64,
    /// Its length in blocks.
    pub blocks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    /// Requests in the window whose key went through here.
    count: u32,
    expanded: bool,
    key: u64,
}

/// The tree of keys in use, with the traffic of the recent requests.
#[derive(Debug)]
pub struct HotnessTree {
    rule: KeyRule,
    nodes: Vec<Node>,
    free: Vec<u32>,
    by_key: FxHashMap<u64, u32>,
    /// The node that each recent request ended in; its ancestors were counted with it.
    window: VecDeque<u32>,
}

impl HotnessTree {
    /// An empty tree.
    pub fn new(rule: KeyRule) -> Self {
        Self { rule, nodes: Vec::new(), free: Vec::new(), by_key: FxHashMap::default(), window: VecDeque::new() }
    }

    /// The key of an arriving request among `members` instances, which is counted. `None` for prompts shorter than one
    /// block.
    pub fn key(&mut self, arrival: &Arrival<'_>, members: usize) -> Option<Key> {
        let block_tokens = self.rule.block_tokens;
        if arrival.prompt.tokens < block_tokens {
            return None;
        }
        // A last, partial block tells short prompts apart that share all their whole blocks.
        let all = arrival.prompt.tokens.div_ceil(block_tokens);
        let mut blocks = self.rule.initial_blocks.min(all);
        let id_at = |blocks: u32| arrival.prefix_key(blocks.saturating_mul(block_tokens));
        if !self.rule.adaptive {
            return Some(Key { id: id_at(blocks)?, blocks });
        }
        let mut id = id_at(blocks)?;
        while self.window.len() >= self.rule.window {
            self.expire();
        }
        let (n, seen) = (members as u64, self.window.len() as u64);
        let mut parent = NONE;
        loop {
            let at = self.node(id, parent);
            let node = &mut self.nodes[at as usize];
            // The share of a node falls while nobody passes, so a look on the next visit sees every collapse.
            node.expanded &= u64::from(node.count) * n >= seen;
            node.count += 1;
            if !node.expanded || blocks == all {
                node.expanded |= u64::from(node.count) * n > 2 * (seen + 1);
                self.window.push_back(at);
                return Some(Key { id, blocks });
            }
            parent = at;
            blocks += 1;
            id = id_at(blocks)?;
        }
    }

    fn node(&mut self, key: u64, parent: u32) -> u32 {
        if let Some(&at) = self.by_key.get(&key) {
            return at;
        }
        let node = Node { parent, count: 0, expanded: false, key };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("a window holds fewer than 2^32 nodes")
        };
        self.by_key.insert(key, at);
        at
    }

    fn expire(&mut self) {
        let mut at = self.window.pop_front().expect("only a filled window is trimmed");
        while at != NONE {
            let node = &mut self.nodes[at as usize];
            node.count -= 1;
            let parent = node.parent;
            if node.count == 0 {
                self.by_key.remove(&node.key);
                self.free.push(at);
            }
            at = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use trimtab_core::{PrefixForest, PrefixId, Prompt, RequestId, SimTime, TenantId};

    const BLOCK: u32 = 512;

    fn tree(window: usize) -> HotnessTree {
        HotnessTree::new(KeyRule { block_tokens: BLOCK, initial_blocks: 1, adaptive: true, window })
    }

    fn key_blocks(tree: &mut HotnessTree, forest: &PrefixForest, prompt: Prompt, members: usize) -> Option<u32> {
        let mut path = Vec::new();
        forest.path(prompt, &mut path);
        let arrival = Arrival {
            id: RequestId(0),
            arrival: SimTime::ZERO,
            prompt,
            path: &path,
            forest,
            session: None,
            turn: 0,
            tenant: TenantId(0),
            model: 0,
            priority: 0,
        };
        tree.key(&arrival, members).map(|key| key.blocks)
    }

    fn chain(forest: &mut PrefixForest, mut parent: Option<PrefixId>, blocks: u32) -> Option<PrefixId> {
        for _ in 0..blocks {
            parent = forest.add(parent, parent.map_or(0, |p| forest.end(p)) + BLOCK).ok();
        }
        parent
    }

    fn whole(forest: &PrefixForest, leaf: Option<PrefixId>) -> Prompt {
        Prompt { leaf, tokens: leaf.map_or(0, |leaf| forest.end(leaf)) }
    }

    /// Half of the traffic shares `trunk` blocks and then parts in `ways`; the other half shares nothing.
    fn depth_of_hot_half(trunk: u32, ways: u32, members: usize) -> u32 {
        let (mut forest, mut tree) = (PrefixForest::new(), tree(1000));
        let stem = chain(&mut forest, None, trunk);
        let limbs: Vec<_> = (0..ways).map(|_| chain(&mut forest, stem, 20)).collect();
        let mut last = 0;
        for n in 0..4_000_u32 {
            let lone = chain(&mut forest, None, 2);
            let cold = whole(&forest, lone);
            key_blocks(&mut tree, &forest, cold, members);
            let hot = whole(&forest, limbs[(n % ways) as usize]);
            last = key_blocks(&mut tree, &forest, hot, members).unwrap();
        }
        last
    }

    #[test]
    fn keys_grow_until_each_carries_at_most_two_of_n() {
        for (trunk, ways, members, expected) in [
            // Half in two ways: a quarter each, which two of eight instances may carry.
            (1, 2, 8, 2),
            (5, 2, 8, 6),
            (12, 4, 8, 13),
            // Half is within two of four.
            (5, 2, 4, 1),
            // Two of two can carry everything.
            (5, 2, 2, 1),
            (5, 2, 1, 1),
        ] {
            assert_eq!(depth_of_hot_half(trunk, ways, members), expected, "{trunk} {ways} {members}");
        }
    }

    #[test]
    fn keys_shrink_below_one_of_n_and_not_before() {
        let (mut forest, mut tree) = (PrefixForest::new(), tree(100));
        let leaf = chain(&mut forest, None, 2);
        let hot = whole(&forest, leaf);
        for _ in 0..100 {
            key_blocks(&mut tree, &forest, hot, 8);
        }
        // One request in five: above 1/8 the key stays long, although below 2/8 it would not have grown.
        let mut visit = |every: u32, rounds: u32| {
            let mut last = 0;
            for n in 0..rounds {
                if n % every == 0 {
                    last = key_blocks(&mut tree, &forest, hot, 8).unwrap();
                } else {
                    let lone = chain(&mut forest, None, 1);
                    let cold = whole(&forest, lone);
                    key_blocks(&mut tree, &forest, cold, 8);
                }
            }
            last
        };
        for (every, expected) in [(5, 2), (10, 1), (5, 1)] {
            assert_eq!(visit(every, 400), expected, "one in {every}");
        }
    }

    #[test]
    fn the_tree_forgets_what_left_the_window() {
        let (mut forest, mut tree) = (PrefixForest::new(), tree(50));
        let mut depths: BTreeMap<u32, u32> = BTreeMap::new();
        for n in 0..5_000_u32 {
            let leaf = chain(&mut forest, None, 1 + n % 5);
            let prompt = whole(&forest, leaf);
            *depths.entry(key_blocks(&mut tree, &forest, prompt, 8).unwrap()).or_default() += 1;
        }
        assert_eq!(tree.window.len(), 50);
        assert_eq!(tree.by_key.len(), 50);
        assert!(tree.nodes.len() <= 51);
        assert_eq!(depths, BTreeMap::from([(1, 5_000)]));
    }

    #[test]
    fn short_prompts() {
        let (mut forest, mut tree) = (PrefixForest::new(), tree(50));
        let leaf = chain(&mut forest, None, 1);
        for (tokens, expected) in [(0, None), (511, None), (512, Some(1))] {
            let prompt = Prompt { leaf: leaf.filter(|_| tokens > 0), tokens };
            assert_eq!(key_blocks(&mut tree, &forest, prompt, 8), expected, "{tokens}");
        }
    }
}
