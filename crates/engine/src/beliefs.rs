//! What the router believes to be cached where, at the fidelity of `signals.prefix`.
//!
//! With `Oracle` a look at one instance is a look into its cache. The index over all instances is built when somebody
//! first asks about all of them, and kept up to date from the caches' logs of changes from then on. Evictions inside a
//! run of decode steps happen when nobody looks, so for each instance `due` tells when the first one comes that the index
//! does not know of. Until then the index is exact; after, what it says of that instance is at least what is true, since
//! nothing becomes cached inside a run. A look therefore settles the instances that it matched and that are overdue, and
//! no others: the cost follows matches and evictions, not instances.
//!
//! `Events` is the same index, each change when its report arrives, if it does. `Shadow` keeps a cache of its own for each instance, through
//! which the prompts pass that were sent there.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use trimtab_core::{RngStreams, SimTime};

use crate::cache::{Change, KvCache};
use crate::channel::Channel;
use crate::config::{InstanceConfig, PrefixSignal};
use crate::index::PrefixIndex;
use crate::instance::Instance;
use crate::seq::Seq;

/// The state behind the prefix signal.
pub(crate) struct Beliefs {
    signal: PrefixSignal,
    /// The cache configurations that differ, and which one each instance has.
    kinds: Vec<InstanceConfig>,
    kind_of: Vec<u32>,
    /// Whether the index is kept.
    indexed: bool,
    index: PrefixIndex,
    due: Vec<SimTime>,
    /// What each instance says of its cache, and the instances that have reports on their way, by the arrival of the first.
    outboxes: Vec<Outbox>,
    first_report: BinaryHeap<Reverse<(SimTime, u32)>>,
    /// Instances that the router hears nothing of, and whether a report of one came meanwhile.
    frozen: Vec<bool>,
    withheld: Vec<bool>,
    shadows: Vec<KvCache>,
    /// Matched instances that were overdue.
    overdue: Vec<u32>,
}

/// The reports of an instance on their way to the router.
struct Outbox {
    channel: Channel,
    /// When the last report was sent, and when it arrives, if it does.
    last: Option<(SimTime, Option<SimTime>)>,
    /// Changes by the arrival of their report.
    changes: VecDeque<(SimTime, Change)>,
    /// When the last of them arrives.
    latest: SimTime,
}

impl Outbox {
    /// Puts a change into the report of its time.
    fn post(&mut self, change: Change) {
        let sent = self.channel.lag.sent(change.at);
        let arrival = match self.last {
            Some((last, arrival)) if last == sent => arrival,
            _ => {
                // Its time is its number: what becomes of it does not depend on how many there were before.
                let arrival = self.channel.arrival(sent.0, sent).map(|arrival| arrival.max(self.latest));
                self.last = Some((sent, arrival));
                self.latest = arrival.unwrap_or(self.latest);
                arrival
            }
        };
        if let Some(arrival) = arrival {
            self.changes.push_back((arrival, change));
        }
    }

    fn first(&self) -> Option<SimTime> {
        self.changes.front().map(|&(arrival, _)| arrival)
    }
}

impl Beliefs {
    pub(crate) fn new(signal: PrefixSignal, instances: &[InstanceConfig], streams: RngStreams) -> Self {
        let mut kinds: Vec<InstanceConfig> = Vec::new();
        let mut kind_of = Vec::with_capacity(instances.len());
        for config in instances {
            let same = |kind: &InstanceConfig| kind.block_tokens == config.block_tokens && kind.cache == config.cache;
            let kind = kinds.iter().position(same).unwrap_or_else(|| {
                kinds.push(config.clone());
                kinds.len() - 1
            });
            kind_of.push(u32::try_from(kind).expect("no more kinds than instances"));
        }
        let shadow = |config: &InstanceConfig| {
            let blocks = match signal {
                PrefixSignal::Shadow { capacity_tokens: Some(tokens), .. } => tokens / u64::from(config.block_tokens),
                // More than any run can fill.
                PrefixSignal::Shadow { .. } => u64::MAX / 2,
                _ => return None,
            };
            Some(KvCache::new(blocks, config.block_tokens))
        };
        let outbox = |(index, lag)| {
            let channel = Channel::new(lag, streams.stream(&format!("signals/events/instance-{index}")));
            Outbox { channel, last: None, changes: VecDeque::new(), latest: SimTime::ZERO }
        };
        let lag = if let PrefixSignal::Events { lag } = signal { Some(lag) } else { None };
        Self {
            signal,
            kinds,
            kind_of,
            indexed: false,
            index: PrefixIndex::default(),
            due: vec![SimTime::MAX; instances.len()],
            outboxes: lag.map_or(Vec::new(), |lag| (0..instances.len()).map(|index| outbox((index, lag))).collect()),
            first_report: BinaryHeap::new(),
            frozen: vec![false; instances.len()],
            withheld: vec![false; instances.len()],
            shadows: instances.iter().filter_map(shadow).collect(),
            overdue: Vec::new(),
        }
    }

    /// Takes note of what a change of an instance did to its cache.
    pub(crate) fn note(&mut self, index: usize, it: &mut Instance) {
        if self.indexed && self.shadows.is_empty() {
            self.drain(index, it.cache_mut());
            self.due[index] = it.next_eviction();
        }
    }

    /// What an instance reports from now on does not reach the router. Nothing changes where the router knows the truth or
    /// guesses.
    pub(crate) fn freeze(&mut self, index: usize) {
        self.frozen[index] = true;
    }

    /// It does again, and what was withheld does too.
    pub(crate) fn thaw(&mut self, index: usize) {
        self.frozen[index] = false;
        if std::mem::take(&mut self.withheld[index])
            && let Some(first) = self.outboxes[index].first()
        {
            let instance = u32::try_from(index).expect("instance ids are 32 bits");
            self.first_report.push(Reverse((first, instance)));
        }
    }

    /// The router knows that an instance stopped: it believes nothing of it any more.
    pub(crate) fn forget(&mut self, index: usize, now: SimTime) {
        self.thaw(index);
        if let Some(outbox) = self.outboxes.get_mut(index) {
            // It needs no reports to know that, nor could one of them be lost.
            outbox.changes.clear();
            self.index.forget(u32::try_from(index).expect("instance ids are 32 bits"));
        }
        if !self.shadows.is_empty() {
            self.shadows[index].set_clock(now);
            self.shadows[index].flush();
            self.drain_shadow(index);
        }
    }

    /// Takes note of a request that is sent to an instance now.
    pub(crate) fn sent(&mut self, index: usize, seq: &Seq, now: SimTime) {
        if self.shadows.is_empty() {
            return;
        }
        self.expire(index, now);
        let chain = seq.chain(self.config(index));
        let cache = &mut self.shadows[index];
        cache.set_clock(now);
        let blocks = chain.blocks().min(u32::try_from(cache.total()).unwrap_or(u32::MAX));
        let known = cache.peek(&chain, blocks).blocks;
        cache.pin(&chain, 0, known, 0);
        cache.allocate(u64::from(blocks - known));
        cache.pin(&chain, known, blocks, blocks - known);
        cache.unpin(&chain, blocks, seq.user);
        self.drain_shadow(index);
    }

    /// Leading prompt tokens of a request believed cached at an instance.
    pub(crate) fn hit_tokens(&mut self, seq: &Seq, index: usize, now: SimTime, instances: &[RefCell<Instance>]) -> u32 {
        match self.signal {
            PrefixSignal::Off => 0,
            PrefixSignal::Oracle => {
                let mut it = instances[index].borrow_mut();
                it.settle(now);
                it.hit_tokens(seq)
            }
            PrefixSignal::Shadow { .. } => {
                self.expire(index, now);
                let chain = seq.chain(self.config(index));
                let block = self.config(index).block_tokens;
                let hit = self.shadows[index].peek(&chain, seq.hit_limit(&chain, block));
                seq.hit_tokens(&chain, hit.blocks, block)
            }
            PrefixSignal::Events { .. } => {
                self.report(now);
                if self.is_overdue(index, now) {
                    self.settle(index, now, instances);
                }
                self.indexed_hit(seq, index)
            }
        }
    }

    /// The same for all instances.
    pub(crate) fn all_hit_tokens(
        &mut self,
        seq: &Seq,
        now: SimTime,
        instances: &[RefCell<Instance>],
        out: &mut Vec<u32>,
    ) {
        out.clear();
        out.resize(instances.len(), 0);
        self.follow(instances);
        self.report(now);
        let mut overdue = std::mem::take(&mut self.overdue);
        self.index.matches(seq, &self.kinds, &self.kind_of, |instance, before, tokens| {
            let index = instance as usize;
            // A report of what comes before was lost.
            if out[index] != before {
                return;
            }
            // An instance is listed at its first match only.
            if out[index] == 0 && self.is_overdue(index, now) {
                overdue.push(instance);
            }
            out[index] = tokens;
        });
        for instance in overdue.drain(..) {
            let index = instance as usize;
            self.settle(index, now, instances);
            out[index] = self.indexed_hit(seq, index);
        }
        self.overdue = overdue;
    }

    fn config(&self, index: usize) -> &InstanceConfig {
        &self.kinds[self.kind_of[index] as usize]
    }

    /// Begins to keep the index, if it is not kept already. Reports must be followed from the start.
    pub(crate) fn follow(&mut self, instances: &[RefCell<Instance>]) {
        if self.indexed || self.signal == PrefixSignal::Off {
            return;
        }
        self.indexed = true;
        for (index, cell) in instances.iter().enumerate() {
            let instance = u32::try_from(index).expect("instance ids are 32 bits");
            let held: Vec<Change> = if let Some(shadow) = self.shadows.get_mut(index) {
                let held = shadow.start_log().collect();
                self.due[index] = self.next_expiry(index);
                held
            } else {
                let mut it = cell.borrow_mut();
                let held = it.cache_mut().start_log().collect();
                self.due[index] = it.next_eviction();
                held
            };
            for change in held {
                self.index.set(change.key, instance, change.resident);
            }
        }
    }

    fn indexed_hit(&self, seq: &Seq, index: usize) -> u32 {
        let config = self.config(index);
        let chain = seq.chain(config);
        let limit = seq.hit_limit(&chain, config.block_tokens);
        let instance = u32::try_from(index).expect("instance ids are 32 bits");
        let blocks = self.index.blocks(&chain, config.block_tokens, instance, limit);
        seq.hit_tokens(&chain, blocks, config.block_tokens)
    }

    /// Whether the index should know by now of an eviction that it does not know of.
    fn is_overdue(&self, index: usize, now: SimTime) -> bool {
        match self.signal {
            // A step that begins now has not begun when somebody looks.
            PrefixSignal::Oracle => self.due[index] < now,
            PrefixSignal::Events { lag } => !self.frozen[index] && lag.soonest(self.due[index]) <= now,
            PrefixSignal::Shadow { .. } => self.due[index] <= now,
            PrefixSignal::Off => false,
        }
    }

    fn settle(&mut self, index: usize, now: SimTime, instances: &[RefCell<Instance>]) {
        if self.shadows.is_empty() {
            let mut it = instances[index].borrow_mut();
            it.settle(now);
            self.note(index, &mut it);
            self.report(now);
        } else {
            self.expire(index, now);
        }
    }

    /// Takes the logged changes of a cache over.
    fn drain(&mut self, index: usize, cache: &mut KvCache) {
        let instance = u32::try_from(index).expect("instance ids are 32 bits");
        if matches!(self.signal, PrefixSignal::Events { .. }) {
            let outbox = &mut self.outboxes[index];
            let had_none = outbox.changes.is_empty();
            cache.drain_log().for_each(|change| outbox.post(change));
            if let Some(first) = outbox.first().filter(|_| had_none) {
                self.first_report.push(Reverse((first, instance)));
            }
        } else {
            for change in cache.drain_log() {
                self.index.set(change.key, instance, change.resident);
            }
        }
    }

    /// Brings the changes that were reported by now into the index.
    fn report(&mut self, now: SimTime) {
        while let Some(&Reverse((_, instance))) = self.first_report.peek().filter(|&&Reverse((first, _))| first <= now)
        {
            self.first_report.pop();
            if self.frozen[instance as usize] {
                self.withheld[instance as usize] = true;
                continue;
            }
            let outbox = &mut self.outboxes[instance as usize];
            while let Some((_, change)) = outbox.changes.pop_front_if(|&mut (arrival, _)| arrival <= now) {
                self.index.set(change.key, instance, change.resident);
            }
            if let Some(first) = outbox.first() {
                self.first_report.push(Reverse((first, instance)));
            }
        }
    }

    /// Forgets what a shadow has not seen for too long.
    fn expire(&mut self, index: usize, now: SimTime) {
        let PrefixSignal::Shadow { ttl: Some(ttl), .. } = self.signal else { return };
        if now >= ttl {
            self.shadows[index].expire(SimTime(now.0 - ttl.0));
            self.drain_shadow(index);
        }
    }

    fn drain_shadow(&mut self, index: usize) {
        if self.indexed {
            let instance = u32::try_from(index).expect("instance ids are 32 bits");
            for change in self.shadows[index].drain_log() {
                self.index.set(change.key, instance, change.resident);
            }
            self.due[index] = self.next_expiry(index);
        }
    }

    fn next_expiry(&self, index: usize) -> SimTime {
        let PrefixSignal::Shadow { ttl: Some(ttl), .. } = self.signal else { return SimTime::MAX };
        self.shadows[index].oldest().and_then(|since| since.checked_add(ttl)).unwrap_or(SimTime::MAX)
    }
}
