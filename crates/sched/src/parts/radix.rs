//! One radix tree over the texts that were sent to all workers: SGLang's approximate picture of their caches.
//!
//! An edge carries the set of workers ("tenants") that were sent its text. The tree is never told what the workers evict:
//! it forgets by itself, per worker, the leaves that were touched longest ago. Semantics, quirks included, follow
//! `sgl-model-gateway/src/policies/tree.rs`; lengths here are tokens.

use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use trimtab_core::{InstanceId, PrefixId};

use super::text::Text;

const ROOT: u32 = 0;

/// What the deepest walk into the union of all workers' texts found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnionMatch {
    /// Leading tokens that some worker was sent.
    pub tokens: u32,
    /// The worker that the deepest edge names; `None` in a tree without workers.
    pub worker: Option<InstanceId>,
    /// Whether the one that created the edge has left it, so that any of its holders is named.
    pub any: bool,
}

/// A radix tree with a set of workers at every edge.
#[derive(Debug)]
pub struct RadixTree {
    edges: Vec<Edge>,
    unused: Vec<u32>,
    /// The edge that follows another one with a node.
    next: FxHashMap<(u32, PrefixId), u32>,
    /// Tokens held by each worker.
    held: Vec<u64>,
    clock: u64,
    /// A match refreshes the time of use when the clock is a multiple of this.
    refresh_every: u64,
}

/// An edge and the position behind it.
#[derive(Clone, Debug)]
struct Edge {
    parent: u32,
    start: u32,
    /// The nodes that it covers (the first possibly from its middle) with their ends, cut at the edge's end.
    runs: Vec<(PrefixId, u32)>,
    /// Sorted by worker.
    tenants: Vec<Tenant>,
    /// The worker named by matches while it still holds the edge: the one that created it, or else any.
    named: Option<u32>,
    any: bool,
    children: u32,
}

#[derive(Clone, Copy, Debug)]
struct Tenant {
    worker: u32,
    used: u64,
    /// How many edges behind this one it holds too.
    children: u32,
}

impl Edge {
    fn new(parent: u32, start: u32, runs: Vec<(PrefixId, u32)>, named: Option<u32>) -> Self {
        Self { parent, start, runs, tenants: Vec::new(), named, any: false, children: 0 }
    }

    fn end(&self) -> u32 {
        self.runs.last().map_or(self.start, |&(_, end)| end)
    }

    fn tokens(&self) -> u32 {
        self.end() - self.start
    }

    fn find(&self, worker: u32) -> Result<usize, usize> {
        self.tenants.binary_search_by_key(&worker, |t| t.worker)
    }

    fn holds(&self, worker: u32) -> bool {
        self.find(worker).is_ok()
    }
}

/// How far a text goes along one edge.
struct Step {
    edge: u32,
    /// The position reached.
    to: u32,
    /// The first run of the text that is not entirely passed.
    at: usize,
}

impl RadixTree {
    /// An empty tree. A match refreshes the edge's time of use once in `refresh_every` operations: 8 in SGLang.
    pub fn new(refresh_every: u64) -> Self {
        assert!(refresh_every >= 1, "refreshing once in none");
        let root = Edge::new(ROOT, 0, Vec::new(), None);
        Self {
            edges: vec![root],
            unused: Vec::new(),
            next: FxHashMap::default(),
            held: Vec::new(),
            clock: 0,
            refresh_every,
        }
    }

    /// The same, with the count of operations beginning elsewhere: it decides which matches refresh.
    #[must_use]
    pub fn counting_from(self, clock: u64) -> Self {
        Self { clock, ..self }
    }

    /// Makes a worker known without any text.
    pub fn add_worker(&mut self, worker: InstanceId) {
        if self.held.len() <= worker.index() {
            self.held.resize(worker.index() + 1, 0);
        }
        self.hold(ROOT, worker.0, 0);
    }

    /// Tokens held by a worker.
    pub fn held(&self, worker: InstanceId) -> u64 {
        self.held.get(worker.index()).copied().unwrap_or(0)
    }

    /// A text was sent to a worker.
    pub fn insert(&mut self, text: &Text, worker: InstanceId) {
        self.add_worker(worker);
        let (mut edge, mut position, mut at) = (ROOT, 0, 0);
        while position < text.tokens() {
            let Some(step) = self.step(edge, position, text, at) else {
                self.append(edge, position, &text.runs()[at..], worker.0);
                return;
            };
            edge =
                if step.to < self.edges[step.edge as usize].end() { self.split(step.edge, step.to) } else { step.edge };
            // Edges that were there already are not refreshed: a new tenant starts as never used.
            self.hold(edge, worker.0, 0);
            (position, at) = (step.to, step.at);
        }
        let now = self.tick();
        self.use_at(edge, worker.0, now);
    }

    /// The longest prefix that any worker was sent, and the worker that the deepest edge names.
    pub fn matched(&mut self, text: &Text) -> UnionMatch {
        let (edge, tokens) = self.walk(text);
        let node = &mut self.edges[edge as usize];
        if !node.named.is_some_and(|worker| node.holds(worker)) {
            node.named = node.tenants.first().map(|t| t.worker);
            node.any = node.tenants.len() > 1;
        }
        let (named, any) = (node.named, node.any);
        let now = self.tick();
        if let Some(worker) = named.filter(|_| now.is_multiple_of(self.refresh_every)) {
            self.use_at(edge, worker, now);
        }
        UnionMatch { tokens, worker: named.map(InstanceId), any }
    }

    /// Leading tokens that each worker was sent, indexed by worker, in one walk; `out` is resized to `workers`. Refreshes
    /// nothing.
    pub fn matched_by_all(&self, text: &Text, workers: usize, out: &mut Vec<u32>) {
        out.clear();
        out.resize(workers, 0);
        let (mut edge, mut position, mut at) = (ROOT, 0, 0);
        while let Some(step) = self.step(edge, position, text, at) {
            let node = &self.edges[step.edge as usize];
            for tenant in &node.tenants {
                if let Some(matched) = out.get_mut(tenant.worker as usize) {
                    *matched = step.to;
                }
            }
            if step.to < node.end() {
                break;
            }
            (edge, position, at) = (step.edge, step.to, step.at);
        }
    }

    /// Takes every worker down to `cap` tokens, forgetting the leaves that were used longest ago.
    pub fn evict(&mut self, cap: u64) {
        self.evict_above(cap, cap);
    }

    /// Takes every worker above `limit` tokens down to `target`.
    pub fn evict_above(&mut self, limit: u64, target: u64) {
        let chosen: Vec<bool> = self.held.iter().map(|&held| held > limit).collect();
        let over = |held: &[u64], worker: u32| chosen[worker as usize] && held[worker as usize] > target;
        if !chosen.contains(&true) {
            return;
        }
        let mut leaves = BinaryHeap::new();
        for (edge, node) in self.edges.iter().enumerate().skip(1) {
            for tenant in node.tenants.iter().filter(|t| t.children == 0 && over(&self.held, t.worker)) {
                leaves.push(Reverse((tenant.used, edge, tenant.worker)));
            }
        }
        while let Some(Reverse((_, edge, worker))) = leaves.pop() {
            if !over(&self.held, worker) {
                continue;
            }
            let parent = self.edges[edge].parent;
            self.release(edge, worker);
            let node = &self.edges[parent as usize];
            if parent != ROOT
                && let Ok(tenant) = node.find(worker)
                && node.tenants[tenant].children == 0
            {
                leaves.push(Reverse((node.tenants[tenant].used, parent as usize, worker)));
            }
        }
    }

    /// Forgets a worker.
    pub fn remove_worker(&mut self, worker: InstanceId) {
        let mut leaves: Vec<usize> = (1..self.edges.len())
            .filter(|&edge| {
                let node = &self.edges[edge];
                node.find(worker.0).is_ok_and(|tenant| node.tenants[tenant].children == 0)
            })
            .collect();
        while let Some(edge) = leaves.pop() {
            let parent = self.edges[edge].parent;
            self.release(edge, worker.0);
            let node = &self.edges[parent as usize];
            if parent != ROOT && node.find(worker.0).is_ok_and(|tenant| node.tenants[tenant].children == 0) {
                leaves.push(parent as usize);
            }
        }
        if let Ok(tenant) = self.edges[ROOT as usize].find(worker.0) {
            self.edges[ROOT as usize].tenants.remove(tenant);
        }
    }

    fn tick(&mut self) -> u64 {
        let now = self.clock;
        self.clock += 1;
        now
    }

    /// Follows a text from behind an edge along the next one; `None` where nothing continues.
    fn step(&self, edge: u32, position: u32, text: &Text, mut at: usize) -> Option<Step> {
        let &(first, _) = text.runs().get(at)?;
        let next = *self.next.get(&(edge, first))?;
        let mut to = position;
        for &(id, end) in &self.edges[next as usize].runs {
            let Some(&(wanted, wanted_end)) = text.runs().get(at).filter(|&&(wanted, _)| wanted == id) else { break };
            debug_assert_eq!(wanted, id);
            to = end.min(wanted_end);
            if wanted_end > end {
                break;
            }
            at += 1;
            if wanted_end < end {
                break;
            }
        }
        Some(Step { edge: next, to, at })
    }

    /// The deepest edge that a text reaches, and how many tokens of it match.
    fn walk(&self, text: &Text) -> (u32, u32) {
        let (mut edge, mut position, mut at) = (ROOT, 0, 0);
        while let Some(step) = self.step(edge, position, text, at) {
            (edge, position, at) = (step.edge, step.to, step.at);
            if step.to < self.edges[edge as usize].end() {
                break;
            }
        }
        (edge, position)
    }

    /// Adds the rest of a text behind an edge.
    fn append(&mut self, parent: u32, start: u32, runs: &[(PrefixId, u32)], worker: u32) {
        let id = self.store(Edge::new(parent, start, runs.to_vec(), Some(worker)));
        self.next.insert((parent, runs[0].0), id);
        self.edges[parent as usize].children += 1;
        let now = self.tick();
        self.hold(id, worker, now);
    }

    fn store(&mut self, edge: Edge) -> u32 {
        if let Some(id) = self.unused.pop() {
            self.edges[id as usize] = edge;
            return id;
        }
        self.edges.push(edge);
        u32::try_from(self.edges.len() - 1).expect("fewer than 2^32 edges")
    }

    /// Cuts an edge in two at a position inside it and returns the first half, a new edge with the same tenants.
    fn split(&mut self, lower: u32, position: u32) -> u32 {
        let node = &mut self.edges[lower as usize];
        let cut = node.runs.partition_point(|&(_, end)| end <= position);
        let mut head: Vec<_> = node.runs[..cut].to_vec();
        if head.last().map_or(node.start, |&(_, end)| end) < position {
            head.push((node.runs[cut].0, position));
        }
        let first = head[0].0;
        let upper = Edge {
            parent: node.parent,
            start: node.start,
            runs: head,
            tenants: node.tenants.iter().map(|t| Tenant { children: 1, ..*t }).collect(),
            named: node.named,
            any: node.any,
            children: 1,
        };
        let parent = node.parent;
        node.runs.drain(..cut);
        node.start = position;
        let behind = node.runs[0].0;
        let id = self.store(upper);
        self.edges[lower as usize].parent = id;
        self.next.insert((parent, first), id);
        self.next.insert((id, behind), lower);
        id
    }

    /// Makes a worker a tenant of an edge whose parent it already holds.
    fn hold(&mut self, edge: u32, worker: u32, used: u64) {
        let node = &mut self.edges[edge as usize];
        let Err(place) = node.find(worker) else { return };
        node.tenants.insert(place, Tenant { worker, used, children: 0 });
        self.held[worker as usize] += u64::from(node.tokens());
        let parent = node.parent;
        if edge != ROOT {
            let above = &mut self.edges[parent as usize];
            let tenant = above.find(worker).expect("who holds an edge holds all before it");
            above.tenants[tenant].children += 1;
        }
    }

    fn use_at(&mut self, edge: u32, worker: u32, now: u64) {
        let node = &mut self.edges[edge as usize];
        if let Ok(tenant) = node.find(worker) {
            node.tenants[tenant].used = now;
        }
    }

    /// Takes a worker off an edge that is a leaf of its.
    fn release(&mut self, edge: usize, worker: u32) {
        let node = &mut self.edges[edge];
        let tenant = node.find(worker).expect("a leaf of its holder");
        node.tenants.remove(tenant);
        self.held[worker as usize] -= u64::from(node.tokens());
        let (parent, gone) = (node.parent, node.tenants.is_empty() && node.children == 0);
        let first = node.runs[0].0;
        let above = &mut self.edges[parent as usize];
        let tenant = above.find(worker).expect("who holds an edge holds all before it");
        above.tenants[tenant].children -= 1;
        if gone {
            above.children -= 1;
            self.next.remove(&(parent, first));
            self.edges[edge].runs = Vec::new();
            self.unused.push(u32::try_from(edge).expect("edges have 32-bit ids"));
        }
    }
}

#[cfg(test)]
mod tests;
