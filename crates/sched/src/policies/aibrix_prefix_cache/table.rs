//! AIBrix's hash table of blocks: which pods were sent each, the least recently used forgotten first.
//!
//! A block there is four bytes, so prompts have thousands. The table keeps runs of blocks that the same requests used,
//! which says the same. One consequence of the product's order stands: a prompt's blocks are used first to last, so that
//! what is forgotten of an old prompt is its *head*, and a prompt without its head matches nothing.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use trimtab_core::{InstanceId, PrefixId, SimTime};

use crate::Arrival;

/// A set of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pods(Vec<u64>);

impl Pods {
    fn add(&mut self, pod: InstanceId) {
        let word = pod.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (pod.index() % 64);
    }

    fn remove(&mut self, pod: InstanceId) {
        if let Some(word) = self.0.get_mut(pod.index() / 64) {
            *word &= !(1 << (pod.index() % 64));
        }
    }

    fn holds(&self, pod: InstanceId) -> bool {
        self.0.get(pod.index() / 64).is_some_and(|word| word >> (pod.index() % 64) & 1 == 1)
    }
}

/// Consecutive blocks of one node that the same requests used.
#[derive(Clone, Debug)]
struct Run {
    /// The first block, counted from the start of the prompt, and one past the last.
    from: u32,
    to: u32,
    /// The number of the last request that used it.
    used: u64,
    pods: Pods,
}

/// A request, as far as its blocks have to be found again.
#[derive(Debug)]
struct Use {
    number: u64,
    at: SimTime,
    path: Vec<PrefixId>,
    /// How many of these nodes hold nothing more that was last used by this request.
    done: usize,
}

/// The table.
#[derive(Debug)]
pub(super) struct PrefixTable {
    block_tokens: u32,
    capacity: u64,
    ttl: SimTime,
    held: u64,
    numbered: u64,
    runs: FxHashMap<PrefixId, Vec<Run>>,
    uses: VecDeque<Use>,
    alive: Vec<InstanceId>,
}

impl PrefixTable {
    /// An empty table for so many blocks, each forgotten when not used for `ttl`.
    pub(super) fn new(block_tokens: u32, capacity: u64, ttl: SimTime) -> Self {
        Self {
            block_tokens,
            capacity,
            ttl,
            held: 0,
            numbered: 0,
            runs: FxHashMap::default(),
            uses: VecDeque::new(),
            alive: Vec::new(),
        }
    }

    /// The nodes of a prompt that complete a block, each with its first block and one past its last.
    fn blocks<'a>(&self, arrival: &'a Arrival<'_>) -> impl Iterator<Item = (PrefixId, u32, u32)> + use<'a> {
        let (block, mut from) = (self.block_tokens, 0);
        arrival.path.iter().filter_map(move |&id| {
            let first = from;
            from = arrival.forest.end(id).min(arrival.prompt.tokens) / block;
            (from > first).then_some((id, first, from))
        })
    }

    /// How many leading blocks of a prompt each of these pods was sent, indexed by pod.
    pub(super) fn matched(&mut self, arrival: &Arrival<'_>, among: &[InstanceId], out: &mut [u32]) {
        out.fill(0);
        let mut alive = std::mem::take(&mut self.alive);
        alive.clear();
        alive.extend(among);
        let mut reached = 0;
        'walk: for (id, from, to) in self.blocks(arrival) {
            let Some(runs) = self.runs.get(&id) else { break };
            debug_assert_eq!(reached, from);
            for run in runs {
                if run.from != reached || reached >= to {
                    break;
                }
                alive.retain(|&pod| run.pods.holds(pod));
                reached = run.to.min(to);
                for pod in &alive {
                    out[pod.index()] = reached;
                }
            }
            if reached < to || alive.is_empty() {
                break 'walk;
            }
        }
        self.alive = alive;
    }

    /// A prompt goes to a pod: all its blocks are used and known there.
    pub(super) fn add(&mut self, arrival: &Arrival<'_>, pod: InstanceId, now: SimTime) {
        self.numbered += 1;
        let mut path = Vec::with_capacity(arrival.path.len());
        for (id, from, to) in self.blocks(arrival) {
            path.push(id);
            let runs = self.runs.entry(id).or_default();
            self.held += touch(runs, (from, to), self.numbered, pod);
        }
        if !path.is_empty() {
            self.uses.push_back(Use { number: self.numbered, at: now, path, done: 0 });
        }
        while self.held > self.capacity {
            self.forget(self.held - self.capacity);
        }
    }

    /// Forgets what was not used for the time to live.
    pub(super) fn expire(&mut self, now: SimTime) {
        while self.uses.front().is_some_and(|first| now.saturating_since(first.at) > self.ttl) {
            self.forget(u64::MAX);
        }
    }

    /// Forgets up to so many blocks of the oldest request, its first ones first.
    fn forget(&mut self, mut blocks: u64) {
        let oldest = self.uses.front_mut().expect("every block was used by a request");
        while let Some(id) = oldest.path.get(oldest.done) {
            let runs = self.runs.get_mut(id);
            let own = runs.and_then(|runs| Some((runs.iter().position(|run| run.used == oldest.number)?, runs)));
            let Some((at, runs)) = own else {
                oldest.done += 1;
                continue;
            };
            if blocks == 0 {
                return;
            }
            let run = &mut runs[at];
            let gone = u32::try_from(blocks).unwrap_or(u32::MAX).min(run.to - run.from);
            run.from += gone;
            self.held -= u64::from(gone);
            blocks -= u64::from(gone);
            if run.from == run.to {
                runs.remove(at);
            }
            if runs.is_empty() {
                self.runs.remove(id);
            }
        }
        self.uses.pop_front();
    }

    /// Forgets a pod.
    pub(super) fn remove_pod(&mut self, pod: InstanceId) {
        for run in self.runs.values_mut().flatten() {
            run.pods.remove(pod);
        }
    }
}

/// Uses the blocks `from..to` of a node, and says how many of them are new.
fn touch(runs: &mut Vec<Run>, (from, to): (u32, u32), used: u64, pod: InstanceId) -> u64 {
    if let [run] = &mut runs[..]
        && (run.from, run.to) == (from, to)
    {
        run.used = used;
        run.pods.add(pod);
        return 0;
    }
    let (mut new, mut at) = (0, from);
    let mut fresh = |from: u32, to: u32, out: &mut Vec<Run>| {
        if from < to {
            let mut pods = Pods::default();
            pods.add(pod);
            new += u64::from(to - from);
            out.push(Run { from, to, used, pods });
        }
    };
    let old = std::mem::take(runs);
    for run in old {
        if run.from < to {
            fresh(at, run.from, runs);
            at = run.to.min(to);
            let mut pods = run.pods.clone();
            pods.add(pod);
            runs.push(Run { from: run.from, to: at, used, pods });
        }
        if run.to > to {
            fresh(at, to, runs);
            at = to;
            runs.push(Run { from: run.from.max(to), ..run });
        }
    }
    fresh(at, to, runs);
    runs.dedup_by(|next, run| {
        let joins = run.to == next.from && run.used == next.used && run.pods == next.pods;
        if joins {
            run.to = next.to;
        }
        joins
    });
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::mix64;
    use trimtab_core::{PrefixForest, Prompt, RequestId, TenantId};

    /// The product's table: one entry for each block, in the order of use.
    #[derive(Default)]
    struct Naive {
        /// Key, time of use, pods.
        entries: Vec<(u64, SimTime, Vec<u32>)>,
    }

    impl Naive {
        fn matched(&self, keys: &[u64], pod: u32) -> u32 {
            let known = |key: &u64| self.entries.iter().any(|e| e.0 == *key && e.2.contains(&pod));
            u32::try_from(keys.iter().take_while(|key| known(key)).count()).unwrap()
        }

        fn add(&mut self, keys: &[u64], pod: u32, now: SimTime, capacity: usize) {
            for &key in keys {
                let mut entry = match self.entries.iter().position(|e| e.0 == key) {
                    Some(at) => self.entries.remove(at),
                    None => (key, now, Vec::new()),
                };
                entry.1 = now;
                entry.2.push(pod);
                self.entries.push(entry);
            }
            self.entries.drain(..self.entries.len().saturating_sub(capacity));
        }
    }

    #[test]
    fn equals_a_table_of_blocks() {
        for (block, capacity, ttl) in [(1, 1000, 10_000), (3, 60, 10_000), (4, 25, 10_000), (3, 1000, 90)] {
            let mut forest = PrefixForest::new();
            let mut leaves = vec![None];
            let mut table = PrefixTable::new(block, capacity, SimTime(ttl));
            let mut naive = Naive::default();
            let (mut now, mut hits, mut out) = (SimTime(0), 0, vec![0; 3]);
            let pods: Vec<_> = (0..3).map(InstanceId).collect();
            for n in 0..3000_u64 {
                let draw = |k: u64, below: usize| usize::try_from(mix64(n * 8 + k) % below as u64).unwrap();
                if leaves.len() < 60 {
                    // Nodes begin and end anywhere, as blocks of traces and sessions do.
                    let parent = leaves[draw(0, leaves.len())];
                    let tokens = u32::try_from(1 + draw(1, 13)).unwrap();
                    leaves.push(forest.add(parent, parent.map_or(0, |p| forest.end(p)) + tokens).ok());
                }
                let leaf = leaves[draw(2, leaves.len())];
                let cut = u32::try_from(draw(3, 4)).unwrap();
                let prompt = Prompt { leaf, tokens: leaf.map_or(0, |leaf| forest.end(leaf).saturating_sub(cut)) };
                let mut path = Vec::new();
                forest.path(prompt, &mut path);
                let arrival = Arrival {
                    id: RequestId(0),
                    arrival: SimTime::ZERO,
                    prompt,
                    path: &path,
                    forest: &forest,
                    session: None,
                    turn: 0,
                    tenant: TenantId(0),
                    model: 0,
                    priority: 0,
                };
                let keys: Vec<u64> = arrival.prefix_keys(block).take((prompt.tokens / block) as usize).collect();
                now += SimTime(draw(4, 9) as u64);
                table.expire(now);
                naive.entries.retain(|e| now.saturating_since(e.1) <= SimTime(ttl));
                let pod = InstanceId::from_index(draw(5, 3));
                if n % 200 == 199 {
                    table.remove_pod(pod);
                    naive.entries.iter_mut().for_each(|e| e.2.retain(|&p| p != pod.0));
                }
                table.matched(&arrival, &pods, &mut out);
                for &pod in &pods {
                    assert_eq!(out[pod.index()], naive.matched(&keys, pod.0), "{n} {pod:?}");
                }
                hits += out[0];
                table.add(&arrival, pod, now);
                naive.add(&keys, pod.0, now, usize::try_from(capacity).unwrap());
                assert_eq!(table.held, naive.entries.len() as u64, "{n}");
            }
            assert!(hits > 100, "prompts come again: {hits}");
        }
    }
}
