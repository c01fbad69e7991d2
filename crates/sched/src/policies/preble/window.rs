//! Preble's window histogram: what was asked for lately, and the load that this means for each instance.

use std::collections::VecDeque;
use trimtab_core::{InstanceId, SimTime};

use super::tree::{NodeId, Tree};
use crate::ClusterView;

/// An entry for one important node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StatId(u32);

impl StatId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The traffic of one important node in the window.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) node: NodeId,
    /// Requests.
    pub(super) count: u32,
    hit_tokens: u64,
    prompt_tokens: u64,
    /// What it adds to the load of each instance it is assigned to.
    shares: Vec<Share>,
    /// First tokens seen, oldest first.
    ttfts: VecDeque<(SimTime, InstanceId, u64)>,
}

impl Stat {
    /// How much of a cost falls to the cached share of its prompts, or to the uncached one.
    pub(super) fn weigh(&self, cost_ps: u64, cached: bool) -> u64 {
        let tokens = if cached { self.hit_tokens } else { self.prompt_tokens - self.hit_tokens };
        let weighed = u128::from(cost_ps) * u128::from(tokens) / u128::from(self.prompt_tokens.max(1));
        u64::try_from(weighed).unwrap_or(u64::MAX)
    }

    /// Whether first tokens on an instance take `ratio` times as long in the younger half of the window as in the older.
    pub(super) fn overloaded(&self, at: InstanceId, middle: SimTime, ratio: f64) -> bool {
        let mean = |younger: bool| {
            let half = self.ttfts.iter().filter(|&&(time, i, _)| i == at && (time >= middle) == younger);
            let (sum, n) = half.fold((0, 0_u32), |(sum, n), &(_, _, ttft)| (sum + u128::from(ttft), n + 1));
            (n > 0).then(|| sum as f64 / f64::from(n))
        };
        mean(true).zip(mean(false)).is_some_and(|(young, old)| young >= ratio * old)
    }

    /// Forgets the first tokens seen.
    pub(super) fn clear_ttfts(&mut self) {
        self.ttfts.clear();
    }
}

#[derive(Clone, Copy, Debug)]
struct Share {
    at: InstanceId,
    load: Load,
}

/// A load before decode speed is known: prefill time, and requests that decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) prefill_ps: u64,
    pub(super) active: u64,
}

/// The sum of the loads of many nodes, exact, so that each can be taken out again.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    prefill_ps: u128,
    active: u64,
}

impl From<Sum> for Load {
    fn from(Sum { prefill_ps, active }: Sum) -> Self {
        Self { prefill_ps: u64::try_from(prefill_ps).unwrap_or(u64::MAX), active }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    time: SimTime,
    stat: StatId,
    hit: u32,
    prompt: u32,
}

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    span: SimTime,
    entries: VecDeque<Entry>,
    stats: Vec<Option<Stat>>,
    free: Vec<StatId>,
    /// Summed shares of each instance: of all nodes, and of those with at least two requests.
    loads: Vec<[Sum; 2]>,
}

impl Window {
    pub(super) fn new(span: SimTime) -> Self {
        Self { span, entries: VecDeque::new(), stats: Vec::new(), free: Vec::new(), loads: Vec::new() }
    }

    pub(super) fn get(&self, id: StatId) -> &Stat {
        self.stats[id.index()].as_ref().expect("an entry lives as long as its requests")
    }

    pub(super) fn get_mut(&mut self, id: StatId) -> &mut Stat {
        self.stats[id.index()].as_mut().expect("an entry lives as long as its requests")
    }

    /// All entries, in a fixed order.
    pub(super) fn all(&self) -> impl Iterator<Item = (StatId, &Stat)> {
        let id = |index| StatId(u32::try_from(index).expect("fewer than 2^32 entries"));
        self.stats.iter().enumerate().filter_map(move |(index, stat)| Some((id(index), stat.as_ref()?)))
    }

    /// The load of an instance from all nodes.
    pub(super) fn load(&self, at: InstanceId) -> Load {
        self.loads.get(at.index()).map_or(Load::default(), |loads| loads[0].into())
    }

    /// The load of an instance from nodes with at least two requests.
    pub(super) fn repeated_load(&self, at: InstanceId) -> Load {
        self.loads.get(at.index()).map_or(Load::default(), |loads| loads[1].into())
    }

    /// The middle of the window.
    pub(super) fn middle(&self, now: SimTime) -> SimTime {
        SimTime(now.0.saturating_sub(self.span.0 / 2))
    }

    /// What a node adds to an instance.
    pub(super) fn share(&self, id: StatId, at: InstanceId) -> Load {
        let shares = &self.get(id).shares;
        shares.binary_search_by_key(&at, |share| share.at).map_or(Load::default(), |found| shares[found].load)
    }

    /// Drops what is older than the window. A node that nobody asked for loses its assignment.
    pub(super) fn expire(&mut self, tree: &mut Tree, view: &ClusterView<'_>) {
        let oldest = view.now().0.saturating_sub(self.span.0);
        while self.entries.front().is_some_and(|entry| entry.time.0 < oldest) {
            let entry = self.entries.pop_front().expect("looked at above");
            self.retract(entry.stat);
            let stat = self.get_mut(entry.stat);
            stat.count -= 1;
            stat.hit_tokens -= u64::from(entry.hit);
            stat.prompt_tokens -= u64::from(entry.prompt);
            if stat.count > 0 {
                self.refresh(entry.stat, tree, view);
                continue;
            }
            let stat = self.stats[entry.stat.index()].take().expect("its last request leaves now");
            self.free.push(entry.stat);
            let node = tree.node_mut(stat.node);
            node.stat = None;
            node.assigned.clear();
            tree.prune(stat.node);
        }
    }

    /// Counts a request for an important node.
    pub(super) fn record(&mut self, node: NodeId, hit: u32, prompt: u32, tree: &mut Tree, view: &ClusterView<'_>) {
        let id = tree.node(node).stat.unwrap_or_else(|| {
            let stat = Stat {
                node,
                count: 0,
                hit_tokens: 0,
                prompt_tokens: 0,
                shares: Vec::new(),
                ttfts: VecDeque::new(),
            };
            if let Some(id) = self.free.pop() {
                self.stats[id.index()] = Some(stat);
                return id;
            }
            self.stats.push(Some(stat));
            StatId(u32::try_from(self.stats.len() - 1).expect("fewer than 2^32 entries"))
        });
        tree.node_mut(node).stat = Some(id);
        self.retract(id);
        let stat = self.get_mut(id);
        stat.count += 1;
        stat.hit_tokens += u64::from(hit);
        stat.prompt_tokens += u64::from(prompt);
        self.entries.push_back(Entry { time: view.now(), stat: id, hit, prompt });
        self.refresh(id, tree, view);
    }

    /// A node was cut in two: the traffic counts for the part that is large.
    pub(super) fn moved_up(&mut self, upper: NodeId, lower: NodeId, tree: &mut Tree, view: &ClusterView<'_>) {
        let Some(id) = tree.node(lower).stat else { return };
        if tree.node(upper).is_large() && !tree.node(lower).is_large() {
            tree.node_mut(lower).stat = None;
            tree.node_mut(upper).stat = Some(id);
            self.get_mut(id).node = upper;
        }
        self.refresh(id, tree, view);
    }

    /// Records a first token.
    pub(super) fn first_token(&mut self, id: StatId, at: InstanceId, ttft: SimTime, now: SimTime) {
        let oldest = now.0.saturating_sub(self.span.0);
        let stat = self.get_mut(id);
        while stat.ttfts.front().is_some_and(|&(time, _, _)| time.0 < oldest) {
            stat.ttfts.pop_front();
        }
        stat.ttfts.push_back((now, at, ttft.0));
    }

    /// Computes anew what a node adds to the instances it is assigned to. To be called whenever its traffic, its length
    /// or its assignment changed.
    pub(super) fn refresh(&mut self, id: StatId, tree: &Tree, view: &ClusterView<'_>) {
        self.retract(id);
        let stat = self.get(id);
        let node = tree.node(stat.node);
        let ways = node.assigned.len() as u64;
        let share = |&at: &InstanceId| {
            let once = view.prefill_ps(at, node.tokens, node.before());
            let prefill_ps = stat.weigh(once.saturating_mul(u64::from(stat.count)), false) / ways;
            Share { at, load: Load { prefill_ps, active: u64::from(node.active(at)) } }
        };
        let shares = node.assigned.iter().map(share).collect();
        self.get_mut(id).shares = shares;
        self.add(id);
    }

    /// The number of requests that use a node on an instance changed.
    pub(super) fn set_active(&mut self, id: StatId, at: InstanceId, active: u32) {
        let stat = self.stats[id.index()].as_mut().expect("an entry lives as long as its requests");
        let Ok(found) = stat.shares.binary_search_by_key(&at, |share| share.at) else { return };
        let old = std::mem::replace(&mut stat.shares[found].load.active, u64::from(active));
        for load in &mut self.loads[at.index()][..=usize::from(stat.count >= 2)] {
            load.active = load.active - old + u64::from(active);
        }
    }

    fn add(&mut self, id: StatId) {
        let stat = self.stats[id.index()].as_ref().expect("an entry lives as long as its requests");
        for share in &stat.shares {
            if self.loads.len() <= share.at.index() {
                self.loads.resize(share.at.index() + 1, [Sum::default(); 2]);
            }
            for load in &mut self.loads[share.at.index()][..=usize::from(stat.count >= 2)] {
                load.prefill_ps += u128::from(share.load.prefill_ps);
                load.active += share.load.active;
            }
        }
    }

    /// Takes back what a node adds; its shares are then empty. Comes before any change of its count.
    fn retract(&mut self, id: StatId) {
        let stat = self.stats[id.index()].as_mut().expect("an entry lives as long as its requests");
        for share in stat.shares.drain(..) {
            for load in &mut self.loads[share.at.index()][..=usize::from(stat.count >= 2)] {
                load.prefill_ps -= u128::from(share.load.prefill_ps);
                load.active -= share.load.active;
            }
        }
    }
}
