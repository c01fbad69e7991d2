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
        let full = arrival.prompt.tokens / block_tokens;
        let mut blocks = self.rule.initial_blocks.min(full);
        if blocks == 0 {
            return None;
        }
        let id_at = |blocks: u32| arrival.prefix_key(blocks * block_tokens);
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
            if !node.expanded || blocks == full {
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
