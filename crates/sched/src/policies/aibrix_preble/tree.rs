//! The prompts of the last minutes as a radix tree, and which pods each part of them was sent to.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use trimtab_core::{InstanceId, PrefixId, SimTime};

use crate::Arrival;

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

/// A run of blocks that has not branched so far.
#[derive(Debug, Default)]
pub(super) struct Node {
    parent: Option<NodeId>,
    segment: Vec<PrefixId>,
    children: u32,
    used: SimTime,
    /// Its own tokens.
    pub(super) tokens: u32,
    /// Tokens from the start of the prompt to its end.
    pub(super) context: u32,
    /// Pods that were sent it, ascending.
    pub(super) pods: Vec<InstanceId>,
    /// What the window knows of it.
    pub(super) stat: super::window::Stat,
}

/// Where a prompt is.
pub(super) struct Place {
    pub(super) leaf: NodeId,
    /// Its leading tokens that were there before.
    pub(super) matched: u32,
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// The node that begins with this block.
    by_first: FxHashMap<PrefixId, NodeId>,
    uses: VecDeque<(SimTime, NodeId)>,
}

impl Tree {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// A node and all before it, the node first.
    pub(super) fn upwards(&self, from: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(Some(from), |&id| self.node(id).parent)
    }

    /// The node that a prompt would cut in two, which changes what it costs.
    pub(super) fn would_split(&self, path: &[PrefixId]) -> Option<NodeId> {
        let mut at = 0;
        while let Some(&found) = path.get(at).and_then(|first| self.by_first.get(first)) {
            let segment = &self.node(found).segment;
            let common = segment.iter().zip(&path[at..]).take_while(|(a, b)| a == b).count();
            if common < segment.len() {
                return Some(found);
            }
            at += common;
        }
        None
    }

    /// Enters a prompt, which is used now. `None` for an empty one.
    pub(super) fn insert(&mut self, arrival: &Arrival<'_>, now: SimTime) -> Option<Place> {
        let (path, forest) = (arrival.path, arrival.forest);
        let (mut at, mut last) = (0, None);
        while let Some(&found) = path.get(at).and_then(|first| self.by_first.get(first)) {
            let segment = &self.node(found).segment;
            let common = segment.iter().zip(&path[at..]).take_while(|(a, b)| a == b).count();
            let whole = common == segment.len();
            at += common;
            last = Some(if whole { found } else { self.split(found, common, forest.end(path[at - 1])) });
            if !whole {
                break;
            }
        }
        let matched = at.checked_sub(1).map_or(0, |end| forest.end(path[end]).min(arrival.prompt.tokens));
        if at < path.len() {
            let end = forest.end(*path.last().expect("it has more blocks"));
            last = Some(self.add(last, path[at..].to_vec(), end));
        }
        let leaf = last?;
        let mut next = Some(leaf);
        while let Some(id) = next {
            let node = self.node_mut(id);
            node.used = now;
            next = node.parent;
        }
        self.uses.push_back((now, leaf));
        Some(Place { leaf, matched })
    }

    fn add(&mut self, parent: Option<NodeId>, segment: Vec<PrefixId>, context: u32) -> NodeId {
        let before = parent.map_or(0, |p| self.node(p).context);
        if let Some(parent) = parent {
            self.node_mut(parent).children += 1;
        }
        let first = segment[0];
        let node = Node { parent, segment, tokens: context - before, context, ..Node::default() };
        let id = if let Some(id) = self.free.pop() {
            *self.node_mut(id) = node;
            id
        } else {
            self.nodes.push(node);
            NodeId(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 nodes"))
        };
        self.by_first.insert(first, id);
        id
    }

    /// Cuts the first `keep` blocks of a node, which end at `context`, off into a new node before it.
    fn split(&mut self, lower: NodeId, keep: usize, context: u32) -> NodeId {
        let node = self.node_mut(lower);
        let rest = node.segment.split_off(keep);
        let (parent, pods) = (node.parent, node.pods.clone());
        let head = std::mem::replace(&mut node.segment, rest);
        if let Some(parent) = parent {
            // The new node takes the place of the old one there.
            self.node_mut(parent).children -= 1;
        }
        let upper = self.add(parent, head, context);
        let node = self.node_mut(upper);
        (node.children, node.pods) = (1, pods);
        let node = self.node_mut(lower);
        node.parent = Some(upper);
        node.tokens = node.context - context;
        let first = node.segment[0];
        self.by_first.insert(first, lower);
        upper
    }

    /// Removes leaves that were not used for `ttl`, and what they leave behind as leaves.
    pub(super) fn expire(&mut self, now: SimTime, ttl: SimTime) {
        let old = |at: SimTime| now.saturating_since(at) > ttl;
        while let Some(&(_, leaf)) = self.uses.front().filter(|(at, _)| old(*at)) {
            self.uses.pop_front();
            let mut next = Some(leaf);
            while let Some(id) = next {
                let node = self.node(id);
                if node.segment.is_empty() || node.children > 0 || !old(node.used) {
                    break;
                }
                let node = std::mem::take(self.node_mut(id));
                self.by_first.remove(&node.segment[0]);
                self.free.push(id);
                next = node.parent;
                if let Some(parent) = next {
                    self.node_mut(parent).children -= 1;
                }
            }
        }
    }

    /// All nodes that a pod was sent.
    pub(super) fn of_pod(&self, pod: InstanceId) -> Vec<NodeId> {
        let all = (0..self.nodes.len()).map(|at| NodeId(u32::try_from(at).expect("fewer than 2^32 nodes")));
        all.filter(|&id| self.node(id).pods.binary_search(&pod).is_ok()).collect()
    }

    /// How many nodes there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}
