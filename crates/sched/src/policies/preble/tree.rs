//! Preble's global radix tree: every prompt, where it was assigned and where it is believed cached.

use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use trimtab_core::{InstanceId, PrefixForest, PrefixId};

use super::window::StatId;

/// A node of the radix tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u32);

/// A run of blocks that has not branched so far.
#[derive(Debug, Default)]
pub(super) struct Node {
    parent: Option<NodeId>,
    first_child: Option<NodeId>,
    next: Option<NodeId>,
    previous: Option<NodeId>,
    segment: Vec<PrefixId>,
    /// Its own tokens.
    pub(super) tokens: u32,
    /// Tokens from the start of the prompt to its end.
    pub(super) context: u32,
    /// Where requests for it are sent, ascending; not the same as where it is cached.
    pub(super) assigned: Vec<InstanceId>,
    copies: Vec<Copy>,
    /// Its entry in the window, while it has one.
    pub(super) stat: Option<StatId>,
}

impl Node {
    /// Whether it holds more tokens than everything before it.
    pub(super) fn is_large(&self) -> bool {
        self.tokens > self.context - self.tokens
    }

    /// Tokens before it.
    pub(super) fn before(&self) -> u32 {
        self.context - self.tokens
    }

    /// Requests in flight that use it on an instance.
    pub(super) fn active(&self, at: InstanceId) -> u32 {
        self.copies.binary_search_by_key(&at, |copy| copy.at).map_or(0, |found| self.copies[found].refs)
    }
}

/// A node believed cached on an instance.
#[derive(Clone, Copy, Debug)]
struct Copy {
    at: InstanceId,
    /// Requests in flight that use it.
    refs: u32,
    used: u64,
}

/// The nodes that an instance could evict, in the order in which it would: least recently used first, children before
/// their parents.
#[derive(Debug, Default)]
struct Cache {
    idle: BTreeSet<(u64, Reverse<u32>, NodeId)>,
    tokens: u64,
}

/// What inserting a prompt found and changed.
pub(super) struct Inserted {
    /// Where the prompt ends.
    pub(super) leaf: NodeId,
    /// Its leading tokens that were in the tree before.
    pub(super) matched: u32,
    /// The node that was cut in two, as its new first part and its rest.
    pub(super) split: Option<(NodeId, NodeId)>,
}

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    /// The node that begins with this block.
    by_first: FxHashMap<PrefixId, NodeId>,
    caches: Vec<Cache>,
    clock: u64,
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

    /// The node whose traffic a request counts for: the nearest large one upwards. The first node of a prompt is large.
    pub(super) fn important(&self, leaf: NodeId) -> NodeId {
        self.upwards(leaf).find(|&id| self.node(id).is_large()).expect("the first node of a prompt is large")
    }

    /// Adds the path of a prompt; `None` for an empty one.
    pub(super) fn insert(&mut self, path: &[PrefixId], forest: &PrefixForest) -> Option<Inserted> {
        let (mut at, mut parent, mut split) = (0, None, None);
        while at < path.len() {
            let Some(&found) = self.by_first.get(&path[at]) else { break };
            let segment = &self.node(found).segment;
            let common = segment.iter().zip(&path[at..]).take_while(|(a, b)| a == b).count();
            at += common;
            if common < segment.len() {
                let upper = self.split(found, common, forest);
                parent = Some(upper);
                split = Some((upper, found));
                break;
            }
            parent = Some(found);
        }
        let matched = at.checked_sub(1).map_or(0, |last| forest.end(path[last]));
        let leaf = if at < path.len() { Some(self.add(parent, &path[at..], forest)) } else { parent };
        Some(Inserted { leaf: leaf?, matched, split })
    }

    fn add(&mut self, parent: Option<NodeId>, segment: &[PrefixId], forest: &PrefixForest) -> NodeId {
        let context = forest.end(*segment.last().expect("a node holds at least one block"));
        let before = parent.map_or(0, |p| self.node(p).context);
        let node =
            Node { parent, segment: segment.to_vec(), tokens: context - before, context, ..Node::default() };
        let id = if let Some(id) = self.free.pop() {
            *self.node_mut(id) = node;
            id
        } else {
            self.nodes.push(node);
            NodeId(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 nodes"))
        };
        self.by_first.insert(segment[0], id);
        self.link(id);
        id
    }

    /// Cuts the first `keep` blocks of a node off into a new parent, which inherits what is known of the node.
    fn split(&mut self, lower: NodeId, keep: usize, forest: &PrefixForest) -> NodeId {
        self.unlink(lower);
        let node = self.node_mut(lower);
        let rest = node.segment.split_off(keep);
        let head = std::mem::replace(&mut node.segment, rest);
        let (parent, assigned, copies) = (node.parent, node.assigned.clone(), node.copies.clone());
        let upper = self.add(parent, &head, forest);
        for copy in copies.iter().filter(|copy| copy.refs == 0) {
            let key = (copy.used, Reverse(self.node(upper).context), upper);
            self.caches[copy.at.index()].idle.insert(key);
        }
        let tokens = self.node(upper).tokens;
        let new = self.node_mut(upper);
        new.assigned = assigned;
        new.copies = copies;
        let node = self.node_mut(lower);
        node.parent = Some(upper);
        node.tokens -= tokens;
        let first = node.segment[0];
        self.by_first.insert(first, lower);
        self.link(lower);
        upper
    }

    /// Enters a node among its parent's children.
    fn link(&mut self, id: NodeId) {
        let Some(parent) = self.node(id).parent else { return };
        let next = self.node_mut(parent).first_child.replace(id);
        if let Some(next) = next {
            self.node_mut(next).previous = Some(id);
        }
        let node = self.node_mut(id);
        node.next = next;
        node.previous = None;
    }

    fn unlink(&mut self, id: NodeId) {
        let (parent, previous, next) = (self.node(id).parent, self.node(id).previous, self.node(id).next);
        match (previous, parent) {
            (Some(previous), _) => self.node_mut(previous).next = next,
            (None, Some(parent)) => self.node_mut(parent).first_child = next,
            (None, None) => {}
        }
        if let Some(next) = next {
            self.node_mut(next).previous = previous;
        }
    }

    /// A node and everything below it.
    pub(super) fn subtree(&self, root: NodeId, out: &mut Vec<NodeId>) {
        out.clear();
        out.push(root);
        let mut at = 0;
        while at < out.len() {
            let mut child = self.node(out[at]).first_child;
            while let Some(id) = child {
                out.push(id);
                child = self.node(id).next;
            }
            at += 1;
        }
    }

    /// For each instance, the leading tokens of the prompt that end in `leaf` believed cached there.
    pub(super) fn hits(&self, leaf: NodeId, prompt_tokens: u32, out: &mut [u32]) {
        out.fill(0);
        for id in self.upwards(leaf) {
            let node = self.node(id);
            for copy in &node.copies {
                let hit = &mut out[copy.at.index()];
                *hit = (*hit).max(node.context.min(prompt_tokens));
            }
        }
    }

    /// A request for `leaf` runs on an instance: all nodes of its prompt are in use and cached there.
    pub(super) fn hold(&mut self, leaf: NodeId, at: InstanceId) {
        while self.caches.len() <= at.index() {
            self.caches.push(Cache::default());
        }
        self.clock += 1;
        let (used, mut next) = (self.clock, Some(leaf));
        while let Some(id) = next {
            let node = &mut self.nodes[id.0 as usize];
            let cache = &mut self.caches[at.index()];
            match node.copies.binary_search_by_key(&at, |copy| copy.at) {
                Ok(found) => {
                    let copy = &mut node.copies[found];
                    cache.idle.remove(&(copy.used, Reverse(node.context), id));
                    *copy = Copy { at, refs: copy.refs + 1, used };
                }
                Err(place) => {
                    node.copies.insert(place, Copy { at, refs: 1, used });
                    cache.tokens += u64::from(node.tokens);
                }
            }
            next = node.parent;
        }
    }

    /// The request ended.
    pub(super) fn release(&mut self, leaf: NodeId, at: InstanceId) {
        let mut next = Some(leaf);
        while let Some(id) = next {
            let node = &mut self.nodes[id.0 as usize];
            if let Ok(found) = node.copies.binary_search_by_key(&at, |copy| copy.at) {
                let copy = &mut node.copies[found];
                copy.refs -= 1;
                if copy.refs == 0 {
                    self.caches[at.index()].idle.insert((copy.used, Reverse(node.context), id));
                }
            }
            next = node.parent;
        }
    }

    /// The nodes that would go first if the instance needed room, in that order.
    pub(super) fn victims(&self, at: InstanceId) -> impl Iterator<Item = &Node> {
        let cache = self.caches.get(at.index());
        cache.into_iter().flat_map(|cache| &cache.idle).map(|&(_, _, id)| self.node(id))
    }

    /// Forgets copies until the instance is believed to hold at most `capacity` tokens, as far as they are not in use.
    pub(super) fn evict(&mut self, at: InstanceId, capacity: u64) {
        while self.caches.get(at.index()).is_some_and(|cache| cache.tokens > capacity) {
            let Some((_, _, id)) = self.caches[at.index()].idle.pop_first() else { break };
            self.drop_copy(id, at);
            self.prune(id);
        }
    }

    fn drop_copy(&mut self, id: NodeId, at: InstanceId) {
        let node = &mut self.nodes[id.0 as usize];
        node.copies.retain(|copy| copy.at != at);
        self.caches[at.index()].tokens -= u64::from(node.tokens);
    }

    /// Removes what nobody caches, counts or extends, upwards from a node.
    pub(super) fn prune(&mut self, from: NodeId) {
        let mut next = Some(from);
        while let Some(id) = next {
            let node = self.node(id);
            if node.first_child.is_some() || !node.copies.is_empty() || node.stat.is_some() || node.segment.is_empty() {
                break;
            }
            next = node.parent;
            self.unlink(id);
            let node = std::mem::take(self.node_mut(id));
            self.by_first.remove(&node.segment[0]);
            self.free.push(id);
        }
    }

    /// An instance is gone with its cache. Returns the nodes in the window that were assigned to it.
    pub(super) fn forget(&mut self, at: InstanceId) -> Vec<StatId> {
        let mut changed = Vec::new();
        for index in 0..self.nodes.len() {
            let id = NodeId(u32::try_from(index).expect("fewer than 2^32 nodes"));
            let node = self.node_mut(id);
            let assigned = node.assigned.len();
            node.assigned.retain(|&i| i != at);
            if node.assigned.len() < assigned {
                changed.extend(node.stat);
            }
            if node.copies.iter().any(|copy| copy.at == at) {
                self.drop_copy(id, at);
                self.prune(id);
            }
        }
        if let Some(cache) = self.caches.get_mut(at.index()) {
            *cache = Cache::default();
        }
        changed
    }
}

#[cfg(test)]
impl Tree {
    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// The node that the path ends in.
    pub(super) fn find(&self, path: &[PrefixId]) -> Option<NodeId> {
        let holds = |id: &NodeId| self.node(*id).segment.contains(path.last().expect("a path"));
        self.by_first.values().copied().find(holds)
    }

    /// The laws of the tree.
    pub(super) fn check(&self) {
        let mut cached = vec![0; self.caches.len()];
        let mut idle = vec![0; self.caches.len()];
        assert_eq!(self.by_first.len(), self.len());
        let used = self.nodes.iter().filter(|node| !node.segment.is_empty());
        for node in used {
            let id = self.by_first[&node.segment[0]];
            assert!(std::ptr::eq(node, self.node(id)));
            let parent = node.parent.map(|p| self.node(p));
            assert_eq!(node.before(), parent.map_or(0, |p| p.context));
            for copy in &node.copies {
                cached[copy.at.index()] += u64::from(node.tokens);
                let key = (copy.used, Reverse(node.context), id);
                assert_eq!(self.caches[copy.at.index()].idle.contains(&key), copy.refs == 0);
                idle[copy.at.index()] += usize::from(copy.refs == 0);
                let above = parent.map(|p| p.copies.iter().find(|c| c.at == copy.at).expect("no gaps upwards"));
                assert!(above.is_none_or(|above| above.refs >= copy.refs && above.used >= copy.used));
            }
            let mut below = Vec::new();
            self.subtree(id, &mut below);
            assert!(below[1..].iter().all(|&b| self.upwards(b).any(|up| up == id)));
        }
        assert_eq!(cached, self.caches.iter().map(|cache| cache.tokens).collect::<Vec<_>>());
        assert_eq!(idle, self.caches.iter().map(|cache| cache.idle.len()).collect::<Vec<_>>());
    }
}
