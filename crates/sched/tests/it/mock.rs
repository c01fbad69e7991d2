//! A cluster without engine: every instance prefills one request after the other at a fixed speed, and an LRU of blocks is
//! its cache. Enough to ask schedulers questions with known answers.

use rustc_hash::FxHashMap;
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use trimtab_core::{InstanceId, PS_PER_S, PrefixForest, PrefixId, Prompt, Request, RequestId, RngStreams, SimTime};
use trimtab_sched::{
    Action, Actions, Arrival, BuildContext, ClusterView, Counters, Decision, History, Hook, InstanceInfo, Probe,
    Queued, Registry, Scheduler, SchedulerDef, Snapshot,
};

pub(crate) const BLOCK: u32 = 512;
/// Prefill speed, tokens per second.
pub(crate) const SPEED: u64 = 4_000;

/// A block cache with least-recently-used eviction.
#[derive(Default)]
struct Lru {
    capacity: usize,
    clock: u64,
    stamps: FxHashMap<PrefixId, u64>,
    order: BTreeMap<u64, PrefixId>,
}

impl Lru {
    fn hit_blocks(&self, path: &[PrefixId]) -> usize {
        path.iter().take_while(|id| self.stamps.contains_key(id)).count()
    }

    /// Uses all blocks of a path, the first one last, so that tails are evicted before heads.
    fn touch(&mut self, path: &[PrefixId]) {
        for &id in path.iter().rev() {
            self.clock += 1;
            if let Some(old) = self.stamps.insert(id, self.clock) {
                self.order.remove(&old);
            }
            self.order.insert(self.clock, id);
        }
        while self.stamps.len() > self.capacity {
            let (_, id) = self.order.pop_first().unwrap();
            self.stamps.remove(&id);
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Job {
    id: RequestId,
    dispatched: SimTime,
    hit: u32,
    miss: u32,
}

#[derive(Default)]
struct Instance {
    cache: Lru,
    jobs: Vec<Job>,
    free_at: SimTime,
}

/// The state of the cluster and of everything that arrived.
pub(crate) struct Cluster {
    pub(crate) now: SimTime,
    pub(crate) members: Vec<InstanceId>,
    pub(crate) counters: Counters,
    pub(crate) forest: PrefixForest,
    pub(crate) requests: Vec<Request>,
    /// Prefill never progresses: a static replay.
    pub(crate) frozen: bool,
    /// Tokens per second between any two instances.
    pub(crate) link: Option<u64>,
    pub(crate) slo: Option<SimTime>,
    /// Where set, what instances report instead of their state here, by id.
    pub(crate) reports: Vec<(Snapshot, History)>,
    /// Where set, the tokens believed cached of any prompt, by instance.
    pub(crate) believed: Vec<u32>,
    pub(crate) seed: u64,
    /// How often a scheduler looked.
    pub(crate) looks: Cell<u64>,
    instances: Vec<Instance>,
}

impl Cluster {
    pub(crate) fn new(instances: u32, capacity_blocks: usize) -> Self {
        let zeros = vec![0; instances as usize];
        Self {
            now: SimTime::ZERO,
            members: (0..instances).map(InstanceId).collect(),
            counters: Counters {
                dispatched: zeros.clone(),
                in_flight: vec![0; instances as usize],
                in_flight_tokens: zeros.clone(),
                active_prefill_tokens: zeros.clone(),
                pending_prefill_tokens: zeros,
            },
            forest: PrefixForest::new(),
            requests: Vec::new(),
            frozen: false,
            link: None,
            slo: None,
            reports: Vec::new(),
            believed: Vec::new(),
            seed: 1,
            looks: Cell::new(0),
            instances: (0..instances)
                .map(|_| Instance { cache: Lru { capacity: capacity_blocks, ..Lru::default() }, ..Instance::default() })
                .collect(),
        }
    }

    /// Adds a chain of blocks after `parent` and returns its last one.
    pub(crate) fn chain(&mut self, parent: Option<PrefixId>, blocks: u32) -> Option<PrefixId> {
        (0..blocks).fold(parent, |parent, _| {
            let end = parent.map_or(0, |p| self.forest.end(p)) + BLOCK;
            Some(self.forest.add(parent, end).unwrap())
        })
    }

    /// Announces a request whose prompt is the whole path to `leaf`.
    pub(crate) fn request(&mut self, at: SimTime, leaf: Option<PrefixId>) -> RequestId {
        let tokens = leaf.map_or(0, |leaf| self.forest.end(leaf));
        self.request_of(at, Prompt { leaf, tokens })
    }

    pub(crate) fn request_of(&mut self, at: SimTime, prompt: Prompt) -> RequestId {
        let id = u32::try_from(self.requests.len()).unwrap();
        self.requests.push(Request::new(id, at, prompt, 50 + id % 100));
        RequestId(id)
    }

    pub(crate) fn context(&self) -> BuildContext {
        let info = InstanceInfo {
            kv_blocks: self.instances[0].cache.capacity as u64,
            block_tokens: BLOCK,
            max_batched_tokens: 2048,
            max_seqs: 256,
            prefill_tokens_per_s: SPEED,
        };
        BuildContext {
            instances: vec![info; self.instances.len()],
            streams: RngStreams::new(self.seed),
            slo_ttft: self.slo,
        }
    }

    fn path(&self, id: RequestId) -> Vec<PrefixId> {
        let mut path = Vec::new();
        self.forest.path(self.requests[id.index()].prompt, &mut path);
        path
    }

    /// Shows a request as schedulers see it.
    pub(crate) fn with_arrival<T>(&self, id: RequestId, look: impl FnOnce(&Arrival<'_>) -> T) -> T {
        let request = self.requests[id.index()];
        let path = self.path(id);
        look(&Arrival {
            id,
            arrival: request.arrival,
            prompt: request.prompt,
            path: &path,
            forest: &self.forest,
            session: request.session,
            turn: request.turn,
            tenant: request.tenant,
            model: request.model,
            priority: request.priority,
        })
    }

    /// Cached tokens, without counting as a look.
    pub(crate) fn hit(&self, id: RequestId, at: InstanceId) -> u32 {
        let blocks = self.instances[at.index()].cache.hit_blocks(&self.path(id));
        (u32::try_from(blocks).unwrap() * BLOCK).min(self.requests[id.index()].prompt.tokens)
    }

    /// Makes a prefix resident.
    pub(crate) fn warm(&mut self, at: InstanceId, leaf: Option<PrefixId>) {
        let mut path = Vec::new();
        self.forest.path(Prompt { leaf, tokens: 0 }, &mut path);
        self.instances[at.index()].cache.touch(&path);
    }

    /// Where a request waits or runs.
    pub(crate) fn home(&self, id: RequestId) -> Option<InstanceId> {
        let at = self.instances.iter().position(|i| i.jobs.iter().any(|job| job.id == id))?;
        Some(InstanceId::from_index(at))
    }

    /// The TTFT of a waiting request if nothing else moves.
    fn predicted_ttft(&self, id: RequestId) -> SimTime {
        let home = self.home(id).expect("it waits somewhere");
        let jobs = &self.instances[home.index()].jobs;
        let position = jobs.iter().position(|job| job.id == id).unwrap();
        let behind: u64 = jobs[position + 1..].iter().map(|job| work_ps(job.miss)).sum();
        let waited = self.now.saturating_since(self.requests[id.index()].arrival);
        SimTime(waited.0 + self.queue_ps(home) - behind)
    }

    /// The wait at an instance, without counting as a look.
    pub(crate) fn wait_ps(&self, at: InstanceId) -> u64 {
        let jobs = &self.instances[at.index()].jobs;
        let behind: u64 = jobs.iter().skip(usize::from(!self.frozen)).map(|job| work_ps(job.miss)).sum();
        behind + self.head_end(at.index()).map_or(0, |end| end.saturating_since(self.now).0)
    }

    fn look(&self) {
        self.looks.set(self.looks.get() + 1);
    }

    /// Puts a request on an instance.
    pub(crate) fn dispatch(&mut self, id: RequestId, to: InstanceId) {
        let tokens = self.requests[id.index()].prompt.tokens;
        let hit = self.hit(id, to);
        let miss = if tokens == 0 { 0 } else { (tokens - hit).max(1) };
        self.count(to, 1, tokens, miss);
        self.counters.dispatched[to.index()] += 1;
        let path = self.path(id);
        let instance = &mut self.instances[to.index()];
        instance.cache.touch(&path);
        instance.jobs.push(Job { id, dispatched: self.now, hit, miss });
    }

    /// Takes a request off an instance.
    fn take(&mut self, from: InstanceId, position: usize) -> Job {
        let job = self.instances[from.index()].jobs.remove(position);
        self.count(from, -1, self.requests[job.id.index()].prompt.tokens, job.miss);
        job
    }

    fn count(&mut self, at: InstanceId, sign: i64, tokens: u32, miss: u32) {
        let add = |slot: &mut u64, by: u32| *slot = slot.checked_add_signed(sign * i64::from(by)).unwrap();
        let i = at.index();
        let in_flight = &mut self.counters.in_flight[i];
        *in_flight = in_flight.checked_add_signed(i32::try_from(sign).unwrap()).unwrap();
        add(&mut self.counters.in_flight_tokens[i], tokens);
        add(&mut self.counters.active_prefill_tokens[i], tokens);
        add(&mut self.counters.pending_prefill_tokens[i], miss);
    }

    /// The end of the request that an instance prefills now.
    fn head_end(&self, at: usize) -> Option<SimTime> {
        let instance = &self.instances[at];
        let job = instance.jobs.first().filter(|_| !self.frozen)?;
        Some(instance.free_at.max(job.dispatched) + SimTime(work_ps(job.miss)))
    }
}

fn work_ps(tokens: u32) -> u64 {
    u64::from(tokens) * (PS_PER_S / SPEED)
}

impl Probe for Cluster {
    fn snapshot(&self, at: InstanceId) -> Snapshot {
        self.look();
        if let Some(&(report, _)) = self.reports.get(at.index()) {
            return report;
        }
        let instance = &self.instances[at.index()];
        Snapshot {
            at: self.now,
            waiting: u32::try_from(instance.jobs.len().saturating_sub(1)).unwrap(),
            running: u32::from(!instance.jobs.is_empty()),
            used_blocks: 0,
            total_blocks: instance.cache.capacity as u64,
            pending_prefill_tokens: instance.jobs.iter().map(|job| u64::from(job.miss)).sum(),
            last_prefill_end: instance.free_at,
        }
    }

    fn history(&self, at: InstanceId) -> History {
        self.look();
        self.reports.get(at.index()).map_or(History::default(), |&(_, history)| history)
    }

    fn hit_tokens(&self, request: RequestId, at: InstanceId) -> u32 {
        self.look();
        self.hit(request, at)
    }

    fn all_hit_tokens(&self, request: RequestId, out: &mut Vec<u32>) {
        self.look();
        out.clear();
        if !self.believed.is_empty() {
            out.extend(&self.believed);
            return;
        }
        out.extend((0..self.instances.len()).map(|at| self.hit(request, InstanceId::from_index(at))));
    }

    fn prefill_ps(&self, _: InstanceId, new: u32, _: u32) -> u64 {
        self.look();
        work_ps(new)
    }

    fn queue_ps(&self, at: InstanceId) -> u64 {
        self.look();
        self.wait_ps(at)
    }

    fn queued(&self, at: InstanceId, out: &mut Vec<Queued>) {
        self.look();
        out.clear();
        out.extend(self.instances[at.index()].jobs.iter().skip(1).map(|job| {
            let request = &self.requests[job.id.index()];
            Queued { id: job.id, arrival: request.arrival, prompt_tokens: request.prompt.tokens, hit_tokens: job.hit }
        }));
    }

    fn transfer_ps(&self, _: InstanceId, _: InstanceId, tokens: u32) -> Option<u64> {
        self.look();
        self.link.map(|speed| u64::from(tokens) * (PS_PER_S / speed))
    }
}

/// What a scheduler did with one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Did {
    pub(crate) decision: Decision,
    pub(crate) actions: Vec<Action>,
    pub(crate) hit: u32,
    pub(crate) moves: Vec<Moved>,
    /// What it logged of the candidates.
    pub(crate) scores: Vec<(InstanceId, f64)>,
    /// How many tokens it expects to find cached.
    pub(crate) expected: Option<u32>,
}

/// A queued request that was moved, with its predicted TTFT before and after.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moved {
    pub(crate) request: RequestId,
    pub(crate) to: InstanceId,
    pub(crate) before: SimTime,
    pub(crate) after: SimTime,
}

/// A scheduler at work on a cluster.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) def: SchedulerDef,
    /// Of everything that ended, in that order.
    pub(crate) ttfts: Vec<SimTime>,
    /// What the scheduler parked and did not yet place.
    pub(crate) parked: Vec<RequestId>,
    /// What it turned away.
    pub(crate) rejected: Vec<RequestId>,
    timers: BTreeSet<(SimTime, u32)>,
    scheduler: Box<dyn Scheduler>,
}

impl Run {
    /// A built-in scheduler.
    pub(crate) fn new(name: &str, params: &Value, cluster: Cluster) -> Self {
        let registry = Registry::default();
        let def = *registry.get(name).unwrap_or_else(|| panic!("no scheduler `{name}`"));
        Self::of(def, params, cluster)
    }

    pub(crate) fn of(def: SchedulerDef, params: &Value, cluster: Cluster) -> Self {
        let scheduler = (def.build)(params, &cluster.context()).unwrap_or_else(|e| panic!("{}: {e}", def.name));
        Self {
            cluster,
            def,
            ttfts: Vec::new(),
            parked: Vec::new(),
            rejected: Vec::new(),
            timers: BTreeSet::new(),
            scheduler,
        }
    }

    /// Routes a request at its arrival time and carries out what the scheduler answers.
    pub(crate) fn offer(&mut self, id: RequestId) -> Did {
        self.advance(self.cluster.requests[id.index()].arrival);
        self.place(id)
    }

    /// Routes a request now.
    pub(crate) fn place(&mut self, id: RequestId) -> Did {
        let mut actions = Actions::new(true);
        let (cluster, scheduler) = (&self.cluster, &mut self.scheduler);
        let view = ClusterView::new(cluster.now, &cluster.members, self.def.signals, &cluster.counters, cluster);
        let decision = cluster.with_arrival(id, |arrival| scheduler.route(arrival, &view, &mut actions));
        let moves = self.apply(id, decision, &actions);
        let mut hit = 0;
        match decision {
            Decision::Route(to) => {
                hit = self.cluster.hit(id, to);
                self.send(id, to);
            }
            Decision::Park => self.parked.push(id),
            Decision::Reject => self.rejected.push(id),
        }
        Did {
            decision,
            actions: actions.list().to_vec(),
            hit,
            moves,
            scores: actions.logged().1.to_vec(),
            expected: actions.expected(id),
        }
    }

    /// Tells the scheduler where another replica of the router sent a request.
    pub(crate) fn learn(&mut self, id: RequestId, to: InstanceId) {
        let (cluster, scheduler) = (&self.cluster, &mut self.scheduler);
        cluster.with_arrival(id, |arrival| scheduler.learn(arrival, to, cluster.now));
    }

    fn send(&mut self, id: RequestId, to: InstanceId) {
        assert!(self.cluster.members.contains(&to), "{} routed to {to:?}, which is not there", self.def.name);
        self.cluster.dispatch(id, to);
        self.tell(Hook::Dispatched { request: id, instance: to });
    }

    fn unpark(&mut self, id: RequestId) {
        let at = self.parked.iter().position(|&parked| parked == id);
        self.parked.remove(at.unwrap_or_else(|| panic!("{id:?} was never parked")));
    }

    fn apply(&mut self, at_hand: RequestId, decision: Decision, actions: &Actions) -> Vec<Moved> {
        let mut moves = Vec::new();
        for action in actions.list() {
            match *action {
                Action::Migrate { request, to } => {
                    assert!(self.cluster.members.contains(&to), "moved to an instance that is not there");
                    let from = self.cluster.home(request).expect("moved a request that is not queued");
                    let jobs = &self.cluster.instances[from.index()].jobs;
                    let position = jobs.iter().position(|job| job.id == request).unwrap();
                    assert!(position > 0, "moved a request that has started");
                    assert_ne!(from, to, "moved nowhere");
                    let before = self.cluster.predicted_ttft(request);
                    self.cluster.take(from, position);
                    self.cluster.dispatch(request, to);
                    moves.push(Moved { request, to, before, after: self.cluster.predicted_ttft(request) });
                }
                Action::Fetch { request, from, tokens } => {
                    assert_eq!(request, at_hand, "fetched for another request");
                    assert!(tokens <= self.cluster.hit(request, from), "fetched more than the holder has");
                    let path = self.cluster.path(request);
                    let Decision::Route(to) = decision else { panic!("fetched without a place to go") };
                    self.cluster.instances[to.index()].cache.touch(&path[..tokens.div_ceil(BLOCK) as usize]);
                }
                Action::Timer { at, tag } => {
                    assert!(at >= self.cluster.now, "a timer in the past");
                    self.timers.insert((at, tag));
                }
                Action::Route { request, to } => {
                    self.unpark(request);
                    self.send(request, to);
                }
                Action::Reject { request } => {
                    self.unpark(request);
                    self.rejected.push(request);
                }
            }
        }
        moves
    }

    /// Lets time pass, telling the scheduler what ends.
    pub(crate) fn advance(&mut self, to: SimTime) {
        loop {
            let ends = (0..self.cluster.instances.len()).filter_map(|at| Some((self.cluster.head_end(at)?, at)));
            let end = ends.min().filter(|&(end, _)| end <= to);
            if let Some(&(due, tag)) = self.timers.first()
                && due <= to
                && end.is_none_or(|(end, _)| due < end)
            {
                self.timers.pop_first();
                self.cluster.now = self.cluster.now.max(due);
                self.tell(Hook::Timer { tag });
                continue;
            }
            let Some((end, at)) = end else { break };
            self.cluster.now = end;
            self.cluster.instances[at].free_at = end;
            let instance = InstanceId::from_index(at);
            let request = self.cluster.take(instance, 0).id;
            let since = end.saturating_since(self.cluster.requests[request.index()].arrival);
            self.ttfts.push(since);
            let output_tokens = self.cluster.requests[request.index()].output_tokens;
            self.tell(Hook::FirstToken { request, instance, ttft: since });
            self.tell(Hook::Finished { request, instance, output_tokens, e2e: since });
        }
        self.cluster.now = self.cluster.now.max(to);
    }

    /// Lets the first token of a request come out; it stays where it is.
    pub(crate) fn first_token(&mut self, request: RequestId, instance: InstanceId) {
        self.tell(Hook::FirstToken { request, instance, ttft: SimTime::ZERO });
    }

    /// Ends a request now, whatever it still had to do.
    pub(crate) fn finish(&mut self, request: RequestId, instance: InstanceId) {
        let jobs = &self.cluster.instances[instance.index()].jobs;
        let position = jobs.iter().position(|job| job.id == request).expect("it is there");
        self.cluster.take(instance, position);
        self.tell(Hook::FirstToken { request, instance, ttft: SimTime::ZERO });
        self.tell(Hook::Finished { request, instance, output_tokens: 1, e2e: SimTime::ZERO });
    }

    /// Takes an instance out of the choice and places its queue anew.
    pub(crate) fn leave(&mut self, instance: InstanceId) {
        self.cluster.members.retain(|&i| i != instance);
        self.tell(Hook::Left { instance });
        while !self.cluster.instances[instance.index()].jobs.is_empty() {
            let job = self.cluster.take(instance, 0);
            self.place(job.id);
        }
    }

    /// Puts an instance back into the choice.
    pub(crate) fn join(&mut self, instance: InstanceId) {
        self.cluster.members.push(instance);
        self.cluster.members.sort_unstable();
        self.tell(Hook::Joined { instance });
    }

    fn tell(&mut self, hook: Hook) {
        if self.def.hooks {
            let cluster = &self.cluster;
            let view = ClusterView::new(cluster.now, &cluster.members, self.def.signals, &cluster.counters, cluster);
            let mut actions = Actions::new(false);
            self.scheduler.hook(&hook, &view, &mut actions);
            for action in actions.list() {
                assert!(
                    !matches!(action, Action::Migrate { .. } | Action::Fetch { .. }),
                    "no policy moves on hooks yet"
                );
            }
            self.apply(RequestId(u32::MAX), Decision::Park, &actions);
        }
    }
}

pub(crate) fn secs(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds).unwrap()
}
