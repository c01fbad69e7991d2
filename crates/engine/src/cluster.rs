//! The simulation: the event loop over a cluster of instances and one router.
//!
//! At one instant things happen in this order: steps end (by instance), requests arrive (in order), timers fire, and
//! then every instance that has work and no step forms its next batch (by instance). So everything that arrives at an
//! instant, or at the end of a step, can join the batch that is formed then.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use trimtab_core::{Gaps, InstanceId, Request, RequestId, RngStreams, SimTime, Workload};
use trimtab_sched::{
    Action, Actions, Arrival, BuildContext, ClusterView, Counters, Decision, Hook, InstanceInfo, Scheduler,
    SchedulerDef, Signals,
};

use crate::config::{ClusterConfig, InstanceConfig};
use crate::instance::{Instance, News, World};
use crate::meter::LoadSpread;
use crate::record::{InstanceTotals, Outcome, Row, RunResult};
use crate::router::{Books, Looks, Slots};
use crate::seq::Seqs;

/// What happens at an instant, in this order. Ties within a class go by the key: the instance, or the order of setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    StepEnd,
    Timer,
}

/// When, what, whose, and which epoch (or tag).
type Event = (SimTime, Class, u32, u32);

/// A simulation in progress.
struct Simulation<'a> {
    config: &'a ClusterConfig,
    workload: &'a mut dyn Workload,
    scheduler: Box<dyn Scheduler>,
    signals: Signals,
    hooks: bool,
    now: SimTime,
    events: BinaryHeap<Reverse<Event>>,
    timers: u32,
    instances: Vec<RefCell<Instance>>,
    members: Vec<InstanceId>,
    /// Instances that must look for work before time goes on.
    idle: Vec<u32>,
    seqs: Seqs,
    slots: Slots,
    counters: Counters,
    parked: u64,
    actions: Actions,
    news: Vec<(u32, News)>,
    rows: Vec<Row>,
    gaps: Gaps,
    spread: LoadSpread,
    last: SimTime,
}

/// Runs a workload through a cluster to its end.
///
/// # Panics
/// When an invariant of ARCHITECTURE.md is broken, or when the scheduler leaves requests parked for ever.
pub fn run(
    config: &ClusterConfig,
    def: &SchedulerDef,
    scheduler: Box<dyn Scheduler>,
    workload: &mut dyn Workload,
) -> RunResult {
    let instances: Vec<_> =
        config.instances.iter().map(|c| RefCell::new(Instance::new(c.clone(), config.series))).collect();
    let count = instances.len();
    assert!(count > 0, "a cluster has at least one instance");
    let mut simulation = Simulation {
        config,
        workload,
        scheduler,
        signals: def.signals,
        hooks: def.hooks,
        now: SimTime::ZERO,
        events: BinaryHeap::new(),
        timers: 0,
        members: (0..count).map(InstanceId::from_index).collect(),
        idle: Vec::new(),
        seqs: Seqs::default(),
        slots: Slots::default(),
        counters: Counters::with_instances(count),
        parked: 0,
        actions: Actions::new(false),
        news: Vec::new(),
        rows: Vec::new(),
        gaps: Gaps::new(),
        spread: LoadSpread::new(count),
        last: SimTime::ZERO,
        instances,
    };
    while simulation.advance() {}
    simulation.finish()
}

/// What a scheduler may know of a cluster when it is built.
pub fn build_context(config: &ClusterConfig) -> BuildContext {
    BuildContext {
        instances: config.instances.iter().map(info).collect(),
        streams: RngStreams::new(config.seed),
        slo_ttft: config.slo_ttft,
    }
}

fn info(config: &InstanceConfig) -> InstanceInfo {
    // A typical prompt: 8,192 tokens, in steps of the instance's budget.
    let typical = 8_192;
    let ps = config.cost.prefill_time(typical, 0, config.max_batched_tokens).max(1);
    InstanceInfo {
        kv_blocks: config.kv_blocks,
        block_tokens: config.block_tokens,
        max_batched_tokens: config.max_batched_tokens,
        max_seqs: config.max_seqs,
        prefill_tokens_per_s: u64::try_from(u128::from(typical) * u128::from(trimtab_core::PS_PER_S) / u128::from(ps))
            .unwrap_or(u64::MAX),
    }
}

impl Simulation<'_> {
    /// Handles everything that happens at the next instant. False when nothing is left.
    fn advance(&mut self) -> bool {
        let event = self.events.peek().map(|Reverse(event)| event.0);
        let next = match (event, self.workload.peek()) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => return false,
        };
        assert!(next >= self.now, "invariant: time never goes back");
        self.now = next;
        loop {
            if let Some(event) = self.due(Class::StepEnd) {
                self.end_step(event);
            } else if self.workload.peek() == Some(self.now) {
                let request = self.workload.next().expect("a request that was announced");
                self.arrive(request);
            } else if let Some((_, _, _, tag)) = self.due(Class::Timer) {
                self.tell(&Hook::Timer { tag });
            } else {
                break;
            }
        }
        self.plan_idle();
        true
    }

    /// The next event, if it is due now and not of a later class.
    fn due(&mut self, class: Class) -> Option<Event> {
        let &Reverse(event) = self.events.peek()?;
        if event.0 != self.now || event.1 > class {
            return None;
        }
        self.events.pop();
        Some(event)
    }

    fn end_step(&mut self, (_, _, instance, epoch): Event) {
        let index = instance as usize;
        if self.instances[index].borrow().epoch() != epoch {
            return;
        }
        self.with_instance(index, Instance::finish_step);
        self.idle.push(instance);
        self.last = self.now;
        self.spread_news();
    }

    /// Runs `change` on one instance and books what it does to the load.
    fn with_instance<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Instance, SimTime, &mut World<'_>) -> R,
    ) -> R {
        let mut it = self.instances[index].borrow_mut();
        let before = it.pending();
        let mut world = World {
            forest: self.workload.forest(),
            seqs: &mut self.seqs,
            rows: &mut self.rows,
            gaps: &mut self.gaps,
            stepping: self.config.stepping,
            news: &mut self.news,
        };
        let result = change(&mut it, self.now, &mut world);
        self.spread.change(self.now, before, it.pending());
        result
    }

    /// Takes note of first tokens and ends, and tells the scheduler and closed loops.
    fn spread_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        for (slot, kind) in news.drain(..) {
            let seq = &self.seqs[slot];
            let (request, index, prompt) = (seq.request, seq.instance, seq.request.prompt.tokens);
            let since_arrival = self.now - request.arrival;
            let instance = InstanceId::from_index(index);
            match kind {
                News::FirstToken => {
                    self.counters.prefilled(index, prompt, seq.booked_miss);
                    self.tell(&Hook::FirstToken { request: request.id, instance, ttft: since_arrival });
                }
                News::Finished => {
                    self.counters.ended(index, prompt);
                    self.forget(slot);
                    let output_tokens = request.output_tokens;
                    self.tell(&Hook::Finished { request: request.id, instance, output_tokens, e2e: since_arrival });
                    self.workload.ended(request.id, self.now);
                }
            }
        }
        self.news = news;
    }

    fn forget(&mut self, slot: u32) {
        self.slots.remove(&self.seqs[slot].request.id);
        self.seqs.remove(slot);
    }

    fn arrive(&mut self, request: Request) {
        assert_eq!(request.id.index(), self.rows.len(), "invariant: requests arrive in the order of their ids");
        assert!(request.output_tokens > 0 && request.prompt.tokens > 0, "a request has tokens in and out");
        self.last = self.now;
        let slot = self.seqs.insert(request, self.workload.forest());
        self.slots.insert(request.id, slot);
        self.rows.push(Row {
            arrival: request.arrival,
            routed: SimTime::MAX,
            admitted: SimTime::MAX,
            first_token: SimTime::MAX,
            finish: SimTime::MAX,
            instance: InstanceId(0),
            prompt_tokens: request.prompt.tokens,
            hit_tokens: 0,
            hit_blocks: 0,
            recomputed_tokens: 0,
            output_tokens: request.output_tokens,
            preemptions: 0,
            migrations: 0,
            outcome: Outcome::Open,
        });
        let decision = self.ask(slot);
        match decision {
            Decision::Route(to) => self.dispatch(slot, to),
            Decision::Park => self.parked += 1,
            Decision::Reject => self.reject(slot),
        }
        self.act();
    }

    fn ask(&mut self, slot: u32) -> Decision {
        let seq = &self.seqs[slot];
        let request = seq.request;
        let arrival = Arrival {
            id: request.id,
            arrival: request.arrival,
            prompt: request.prompt,
            path: &seq.path,
            forest: self.workload.forest(),
            session: request.session,
            turn: request.turn,
            tenant: request.tenant,
            model: request.model,
            priority: request.priority,
        };
        let looks = Looks {
            now: self.now,
            instances: &self.instances,
            seqs: &self.seqs,
            slots: &self.slots,
            forest: self.workload.forest(),
        };
        let view = ClusterView::new(self.now, &self.members, self.signals, &self.counters, &looks);
        self.scheduler.route(&arrival, &view, &mut self.actions)
    }

    fn tell(&mut self, hook: &Hook) {
        if !self.hooks {
            return;
        }
        let looks = Looks {
            now: self.now,
            instances: &self.instances,
            seqs: &self.seqs,
            slots: &self.slots,
            forest: self.workload.forest(),
        };
        let view = ClusterView::new(self.now, &self.members, self.signals, &self.counters, &looks);
        self.scheduler.hook(hook, &view, &mut self.actions);
        self.act();
    }

    /// Carries out what the scheduler asked for.
    fn act(&mut self) {
        if self.actions.list().is_empty() {
            self.actions.clear();
            return;
        }
        let actions = self.actions.list().to_vec();
        self.actions.clear();
        for action in actions {
            match action {
                Action::Route { request, to } => {
                    self.parked -= 1;
                    self.dispatch(self.slot(request), to);
                }
                Action::Reject { request } => {
                    self.parked -= 1;
                    self.reject(self.slot(request));
                }
                Action::Migrate { request, to } => self.migrate(self.slot(request), to),
                // Without a transfer model a fetch copies nothing: the prefix is recomputed.
                Action::Fetch { .. } => {}
                Action::Timer { at, tag } => {
                    assert!(at >= self.now, "a timer cannot be set in the past");
                    self.events.push(Reverse((at, Class::Timer, self.timers, tag)));
                    self.timers += 1;
                }
            }
        }
    }

    fn slot(&self, request: RequestId) -> u32 {
        *self.slots.get(&request).expect("schedulers act on requests that are in the system")
    }

    fn dispatch(&mut self, slot: u32, to: InstanceId) {
        let index = to.index();
        assert!(self.members.binary_search(&to).is_ok(), "a scheduler chose an instance that cannot be chosen");
        if !self.instances[index].borrow().fits(&self.seqs[slot]) {
            self.rows[self.seqs[slot].request.id.index()].instance = to;
            self.reject(slot);
            return;
        }
        self.seqs[slot].instance = index;
        let cut = self.with_instance(index, |it, now, world| it.enqueue(slot, now, world));
        if let Some(end) = cut {
            self.schedule_end(index, end);
        }
        self.idle.push(to.0);
        let seq = &mut self.seqs[slot];
        seq.booked_miss = seq.pending;
        self.counters.dispatched(index, seq.request.prompt.tokens, seq.pending);
        let row = &mut self.rows[seq.request.id.index()];
        row.routed = self.now;
        row.instance = to;
        let request = seq.request.id;
        self.tell(&Hook::Dispatched { request, instance: to });
    }

    fn migrate(&mut self, slot: u32, to: InstanceId) {
        let seq = &self.seqs[slot];
        let (from, prompt, miss, id) = (seq.instance, seq.request.prompt.tokens, seq.booked_miss, seq.request.id);
        assert!(self.rows[id.index()].admitted == SimTime::MAX, "a request that has started cannot be moved");
        if from == to.index() {
            return;
        }
        let cut = self.with_instance(from, |it, now, world| it.dequeue(slot, now, world.seqs));
        if let Some(end) = cut {
            self.schedule_end(from, end);
        }
        self.counters.withdrawn(from, prompt, miss);
        self.rows[id.index()].migrations += 1;
        self.dispatch(slot, to);
    }

    fn reject(&mut self, slot: u32) {
        let request = self.seqs[slot].request;
        let row = &mut self.rows[request.id.index()];
        assert_eq!(row.outcome, Outcome::Open, "invariant: every request ends exactly once");
        row.outcome = Outcome::Rejected;
        row.finish = self.now;
        self.forget(slot);
        self.workload.ended(request.id, self.now);
    }

    /// Lets every instance that has no step look for work.
    fn plan_idle(&mut self) {
        let mut idle = std::mem::take(&mut self.idle);
        idle.sort_unstable();
        idle.dedup();
        for &instance in &idle {
            let index = instance as usize;
            if !self.instances[index].borrow().is_idle() {
                continue;
            }
            if let Some(end) = self.with_instance(index, Instance::plan) {
                self.schedule_end(index, end);
            }
        }
        idle.clear();
        self.idle = idle;
    }

    fn schedule_end(&mut self, index: usize, end: SimTime) {
        let epoch = self.instances[index].borrow().epoch();
        let instance = InstanceId::from_index(index).0;
        self.events.push(Reverse((end, Class::StepEnd, instance, epoch)));
    }

    fn finish(mut self) -> RunResult {
        assert_eq!(self.parked, 0, "the scheduler left requests parked for ever");
        assert_eq!(self.seqs.live(), 0, "invariant: every request ends exactly once");
        let end = self.last;
        let instances = self
            .instances
            .into_iter()
            .map(|cell| {
                let mut it = cell.into_inner();
                let meter = it.close(end);
                InstanceTotals {
                    requests: it.requests,
                    prompt_tokens: it.prompt_tokens,
                    hit_tokens: it.hit_tokens,
                    iterations: it.iterations,
                    evicted_blocks: it.cache().evicted(),
                    total_blocks: it.cache().total(),
                    block_tokens: it.config.block_tokens,
                    integrals: meter.total,
                    first_busy_window: meter.first_busy,
                    busy_windows: meter.busy,
                    windows: meter.windows,
                }
            })
            .collect();
        RunResult { load_cv: self.spread.mean(end), rows: self.rows, instances, gaps: self.gaps, makespan: end }
    }
}
