//! The tree of runs against a tree of single letters.

use std::collections::BTreeMap;

use super::*;
use crate::parts::mix64;

/// One letter of a text: the node and the position.
type Letter = (PrefixId, u32);

#[derive(Clone, Default)]
struct Node {
    text: Vec<Letter>,
    parent: usize,
    children: Vec<usize>,
    tenants: BTreeMap<u32, u64>,
    named: Option<u32>,
    any: bool,
}

/// The same rules on strings, as one would write them down.
struct Naive {
    nodes: Vec<Node>,
    clock: u64,
    refresh_every: u64,
}

impl Naive {
    fn shared(&self, node: usize, rest: &[Letter]) -> usize {
        self.nodes[node].text.iter().zip(rest).take_while(|(a, b)| a == b).count()
    }

    fn child(&self, node: usize, rest: &[Letter]) -> Option<usize> {
        self.nodes[node].children.iter().copied().find(|&c| self.nodes[c].text.first() == rest.first())
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock - 1
    }

    fn insert(&mut self, mut rest: &[Letter], worker: u32) {
        self.nodes[0].tenants.entry(worker).or_insert(0);
        let mut at = 0;
        while !rest.is_empty() {
            let Some(child) = self.child(at, rest) else {
                let used = self.tick();
                let leaf = Node {
                    text: rest.to_vec(),
                    parent: at,
                    children: Vec::new(),
                    tenants: BTreeMap::from([(worker, used)]),
                    named: Some(worker),
                    any: false,
                };
                self.nodes.push(leaf);
                let id = self.nodes.len() - 1;
                self.nodes[at].children.push(id);
                return;
            };
            let shared = self.shared(child, rest);
            let mut reached = child;
            if shared < self.nodes[child].text.len() {
                let mut upper = self.nodes[child].clone();
                upper.text.truncate(shared);
                upper.children = vec![child];
                self.nodes.push(upper);
                reached = self.nodes.len() - 1;
                self.nodes[child].text.drain(..shared);
                self.nodes[child].parent = reached;
                let slot = self.nodes[at].children.iter().position(|&c| c == child).unwrap();
                self.nodes[at].children[slot] = reached;
            }
            self.nodes[reached].tenants.entry(worker).or_insert(0);
            at = reached;
            rest = &rest[shared..];
        }
        let used = self.tick();
        self.nodes[at].tenants.insert(worker, used);
    }

    fn walk(&self, mut rest: &[Letter], only: Option<u32>) -> (usize, u32) {
        let (mut at, mut tokens) = (0, 0);
        while let Some(child) = self.child(at, rest).filter(|_| !rest.is_empty()) {
            if only.is_some_and(|w| !self.nodes[child].tenants.contains_key(&w)) {
                break;
            }
            let shared = self.shared(child, rest);
            at = child;
            tokens += u32::try_from(shared).unwrap();
            if shared < self.nodes[child].text.len() {
                break;
            }
            rest = &rest[shared..];
        }
        (at, tokens)
    }

    fn matched(&mut self, text: &[Letter]) -> UnionMatch {
        let (at, tokens) = self.walk(text, None);
        let node = &mut self.nodes[at];
        if !node.named.is_some_and(|w| node.tenants.contains_key(&w)) {
            node.named = node.tenants.keys().next().copied();
            node.any = node.tenants.len() > 1;
        }
        let (named, any) = (node.named, node.any);
        let now = self.tick();
        if let Some(used) = named.and_then(|w| self.nodes[at].tenants.get_mut(&w))
            && now.is_multiple_of(self.refresh_every)
        {
            *used = now;
        }
        UnionMatch { tokens, worker: named.map(InstanceId), any }
    }

    fn is_leaf(&self, node: usize, worker: u32) -> bool {
        self.nodes[node].tenants.contains_key(&worker)
            && !self.nodes[node].children.iter().any(|&c| self.nodes[c].tenants.contains_key(&worker))
    }

    fn held(&self, worker: u32) -> u64 {
        self.nodes.iter().filter(|n| n.tenants.contains_key(&worker)).map(|n| n.text.len() as u64).sum()
    }

    /// Searches the whole tree for each eviction. Times are unique except for edges that were never used.
    fn evict(&mut self, worker: u32, cap: u64) {
        while self.held(worker) > cap {
            let leaves = (1..self.nodes.len()).filter(|&n| self.is_leaf(n, worker));
            let oldest = leaves.min_by_key(|&n| self.nodes[n].tenants[&worker]).unwrap();
            self.nodes[oldest].tenants.remove(&worker);
            self.prune(oldest);
        }
    }

    fn remove(&mut self, worker: u32) {
        for n in 0..self.nodes.len() {
            self.nodes[n].tenants.remove(&worker);
        }
        for n in (1..self.nodes.len()).rev() {
            self.prune(n);
        }
    }

    fn prune(&mut self, node: usize) {
        let mut node = node;
        while node != 0 && self.nodes[node].tenants.is_empty() && self.nodes[node].children.is_empty() {
            let parent = self.nodes[node].parent;
            self.nodes[parent].children.retain(|&c| c != node);
            node = parent;
        }
    }
}

/// A random path in a forest of few branches, cut anywhere.
fn random_text(seed: u64) -> Text {
    let mut runs = Vec::new();
    let (mut node, mut end) = (0_u64, 0_u32);
    for depth in 0..mix64(seed) % 6 {
        node = mix64(node * 31 + mix64(seed ^ depth) % 3 + 1) % (1 << 31);
        // Lengths belong to nodes, not to texts.
        end += 1 + u32::try_from(node % 7).unwrap();
        runs.push((PrefixId(u32::try_from(node).unwrap()), end));
    }
    if let Some(last) = runs.last_mut() {
        let length = 1 + u32::try_from(u64::from(last.0.0) % 7).unwrap();
        last.1 -= u32::try_from(mix64(seed + 1) % u64::from(length)).unwrap();
    }
    Text::from_runs(runs)
}

fn letters(text: &Text) -> Vec<Letter> {
    let mut start = 0;
    let mut out = Vec::new();
    for &(id, end) in text.runs() {
        out.extend((start..end).map(|position| (id, position)));
        start = end;
    }
    out
}

#[test]
fn equals_a_tree_of_letters() {
    const WORKERS: u32 = 4;
    for (refresh_every, cap, round) in [(8, 60, 0), (1, 25, 1), (8, 1000, 2), (3, 0, 3)] {
        let mut tree = RadixTree::new(refresh_every);
        let mut naive = Naive { nodes: vec![Node::default()], clock: 0, refresh_every };
        let mut all = Vec::new();
        for n in 0..3000_u64 {
            let seed = n + round * 10_000;
            let text = random_text(mix64(seed) % 500);
            let worker = u32::try_from(mix64(seed * 3) % u64::from(WORKERS)).unwrap();
            let plain = letters(&text);
            assert_eq!(tree.matched(&text), naive.matched(&plain), "{n}");
            tree.matched_by_all(&text, WORKERS as usize, &mut all);
            for w in 0..WORKERS {
                let expected = naive.walk(&plain, Some(w)).1;
                assert_eq!(all[w as usize], expected, "{n}");
                assert_eq!(tree.held(InstanceId(w)), naive.held(w), "{n}");
            }
            // Half of the texts go where they match.
            let to = tree.matched(&text).worker.filter(|_| n % 2 == 0).map_or(worker, |w| w.0);
            assert_eq!(naive.matched(&plain).tokens, tree.walk(&text).1);
            tree.insert(&text, InstanceId(to));
            naive.insert(&plain, to);
            if n % 50 == 49 {
                // Edges that were never used are equally old; in these texts their order makes no difference.
                tree.evict(cap);
                for w in 0..WORKERS {
                    naive.evict(w, cap);
                    assert_eq!(tree.held(InstanceId(w)), naive.held(w), "{n}");
                }
            }
            if n % 701 == 700 {
                tree.remove_worker(InstanceId(worker));
                naive.remove(worker);
            }
        }
    }
}

#[test]
fn a_split_edge_keeps_its_tenants_and_its_name() {
    let text = |ends: &[(u32, u32)]| Text::from_runs(ends.iter().map(|&(id, end)| (PrefixId(id), end)).collect());
    let mut tree = RadixTree::new(8);
    let (a, b) = (InstanceId(5), InstanceId(2));
    tree.insert(&text(&[(1, 100), (2, 300)]), a);
    // Branches inside the second node's run: the first 100 tokens become an edge of their own.
    tree.insert(&text(&[(1, 100), (3, 250)]), b);
    for (wanted, tokens, worker) in [
        // The edge that both hold names the one who was there first.
        (text(&[(1, 100), (9, 200)]), 100, a),
        (text(&[(1, 40)]), 40, a),
        (text(&[(1, 100), (3, 180)]), 180, b),
        (text(&[(1, 100), (2, 300), (7, 900)]), 300, a),
    ] {
        assert_eq!(tree.matched(&wanted), UnionMatch { tokens, worker: Some(worker), any: false });
    }
    assert_eq!((tree.held(a), tree.held(b)), (300, 250));
    // Without the first, the second is all that is left to name.
    tree.remove_worker(a);
    assert_eq!(tree.matched(&text(&[(1, 100), (2, 300)])), UnionMatch { tokens: 100, worker: Some(b), any: false });
    assert_eq!((tree.held(a), tree.held(b)), (0, 250));
    tree.remove_worker(b);
    assert_eq!(tree.matched(&text(&[(1, 100)])), UnionMatch { tokens: 0, worker: None, any: false });
}
