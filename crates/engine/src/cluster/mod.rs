//! The simulation: the event loop over a cluster of instances and one router.
//!
//! At one instant things happen in this order: steps end (by instance), requests reach their instances (in the order of
//! sending), the cluster changes, clients hang up, reports reach the router, the router takes up requests that waited for it
//! and then those that arrive, timers fire, the gate lets in or turns away who waited there, and at last every instance that
//! has work and no step forms its next batch (by instance). So everything that reaches an instance at an instant, or at the end of a step, can join the batch that is
//! formed then.

mod build;
mod change;
mod dispatch;
mod feedback;
mod fleet;
mod gate;
mod replicas;
mod retry;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use trimtab_core::{ClockRanOut, Gaps, InstanceId, RequestId, SimTime, Workload};
use trimtab_sched::autoscalers::{Autoscaler, Recent};
use trimtab_sched::{Actions, Counters, Hook, Scheduler, SchedulerDef, Signals};

use crate::beliefs::Beliefs;
use crate::config::{ClusterConfig, Stepping};
use crate::cost::Predictor;
use crate::decisions::DecisionRow;
use crate::instance::{Instance, News, World};
use crate::links::Links;
use crate::meter::LoadSpread;
use crate::record::{BeliefSample, InstanceTotals, Outcome, Row, RunResult};
use crate::reports::Reports;
use crate::router::Slots;
use crate::seq::Seqs;
use crate::timeline::{Stage, StepSpan, Timeline};
pub use build::{build_context, prefill_tokens_per_s};
use feedback::Feedback;
use fleet::Fleet;
use gate::Gate;
use replicas::Replicas;

/// What happens at an instant, in this order. Ties within a class go by the key: the instance, or the order of setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    StepEnd,
    Delivery,
    Patience,
    Feedback,
    Decision,
    Timer,
}

/// When, what, whose (or the order of setting), and which epoch, request or tag.
type Event = (SimTime, Class, u32, u32);

/// How many requests ended how, counted as they ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    completed: u64,
    rejected: u64,
    failed: u64,
}

impl Tally {
    fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Rejected => self.rejected += 1,
            // Abandoned ones are counted apart among these.
            Outcome::Failed => self.failed += 1,
            Outcome::Open => unreachable!("a request ends somehow"),
        }
    }

    /// Every request that arrived was served, rejected, abandoned or failed, and its row says so.
    fn check(self, rows: &[Row]) {
        let of = |outcome| rows.iter().filter(|row| row.outcome == outcome).count() as u64;
        let Self { completed, rejected, failed } = self;
        let by_rows = (of(Outcome::Completed), of(Outcome::Rejected), of(Outcome::Failed));
        assert_eq!((completed, rejected, failed), by_rows, "invariant: every request ends exactly once");
        assert_eq!(completed + rejected + failed, rows.len() as u64, "invariant: every request ends exactly once");
    }
}

/// A simulation in progress.
struct Simulation<'a> {
    config: &'a ClusterConfig,
    workload: &'a mut dyn Workload,
    gate: Gate,
    replicas: Replicas,
    signals: Signals,
    hooks: bool,
    now: SimTime,
    events: BinaryHeap<Reverse<Event>>,
    /// How many events were set whose order is the order of setting.
    set: u32,
    /// The requests on their way to each instance, in the order of sending.
    transit: Vec<Vec<u32>>,
    links: Links,
    decisions: Option<Vec<DecisionRow>>,
    /// One for all, or one for each replica that guesses.
    beliefs: Vec<RefCell<Beliefs>>,
    predictor: Option<Predictor>,
    reports: Reports,
    feedback: Feedback,
    /// How requests ended.
    tally: Tally,
    /// Where beliefs can be wrong.
    sample: Option<BeliefSample>,
    instances: Vec<RefCell<Instance>>,
    fleet: Fleet,
    scaler: Option<Box<dyn Autoscaler>>,
    /// What happened since the autoscaler was asked, and how many requests had arrived then.
    recent: Recent,
    seen: usize,
    /// Requests that found no instance to go to.
    stranded: Vec<u32>,
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
    /// Absent unless somebody wants to look.
    timeline: Option<Timeline>,
}

/// Runs a workload through a cluster to its end.
///
/// # Panics
/// When an invariant of ARCHITECTURE.md is broken, when the clock runs out of its range, when the scheduler leaves requests
/// parked for ever, when it reads a signal that is off ([`crate::SignalsConfig::check`] tells before), or when an eviction
/// policy refuses its parameters or does not know the future that it needs.
pub fn run(
    config: &ClusterConfig,
    def: &SchedulerDef,
    scheduler: Box<dyn Scheduler>,
    workload: &mut dyn Workload,
) -> RunResult {
    run_replicas(config, def, vec![scheduler], workload)
}

/// The same with several routers, each with a scheduler of its own: as many as the configuration says.
///
/// # Panics
/// As [`run`], and when there are more or fewer schedulers.
pub fn run_replicas(
    config: &ClusterConfig,
    def: &SchedulerDef,
    schedulers: Vec<Box<dyn Scheduler>>,
    workload: &mut dyn Workload,
) -> RunResult {
    try_run(config, def, schedulers, workload).unwrap_or_else(|ran_out| panic!("{ran_out}"))
}

/// The same; a run that needs more time than the clock holds is an error.
pub fn try_run(
    config: &ClusterConfig,
    def: &SchedulerDef,
    schedulers: Vec<Box<dyn Scheduler>>,
    workload: &mut dyn Workload,
) -> Result<RunResult, ClockRanOut> {
    simulated(config, def, schedulers, workload, |mut simulation| {
        while simulation.advance() {}
        simulation.finish()
    })
}

/// Runs a workload up to the end of a window, step by step whatever `config` says, and returns what happened in it. `None`
/// as soon as that is more than `most` steps, levels and turns of requests.
///
/// # Panics
/// As [`run`] does.
pub fn run_timeline(
    config: &ClusterConfig,
    def: &SchedulerDef,
    schedulers: Vec<Box<dyn Scheduler>>,
    workload: &mut dyn Workload,
    (from, to): (SimTime, SimTime),
    most: usize,
) -> Result<Option<Timeline>, ClockRanOut> {
    let config = ClusterConfig { stepping: Stepping::Every, ..config.clone() };
    simulated(&config, def, schedulers, workload, |mut simulation| {
        simulation.timeline = Some(Timeline::new(from, to));
        while simulation.now <= to && simulation.advance() {
            if simulation.timeline.as_ref().is_some_and(|timeline| timeline.kept() > most) {
                return None;
            }
        }
        let fleet = std::mem::take(&mut simulation.fleet.record.events);
        simulation.timeline.take().map(|timeline| timeline.close(fleet))
    })
}

/// Puts a simulation together and does something with it; that it runs out of time is an error.
fn simulated<R>(
    config: &ClusterConfig,
    def: &SchedulerDef,
    schedulers: Vec<Box<dyn Scheduler>>,
    workload: &mut dyn Workload,
    through: impl FnOnce(Simulation<'_>) -> R,
) -> Result<R, ClockRanOut> {
    let run = || build::simulation(config, def, schedulers, workload, through);
    // Nothing that the run has touched is looked at after it was thrown.
    catch_unwind(AssertUnwindSafe(run)).map_err(|thrown| match thrown.downcast::<ClockRanOut>() {
        Ok(ran_out) => *ran_out,
        Err(panic) => resume_unwind(panic),
    })
}

impl Simulation<'_> {
    /// Handles everything that happens at the next instant. False when nothing is left.
    fn advance(&mut self) -> bool {
        let arrival = self.workload.peek();
        if arrival.is_none() && self.seqs.live() == 0 {
            return false;
        }
        let event = self.next_event();
        let next = self.fleet.next(event.into_iter().chain(arrival).min());
        let waits = (self.parked > 0 && self.hooks) || self.gate.is_waited_at();
        let next = next.into_iter().chain(self.gate.wake().filter(|&wake| wake > self.now)).min();
        let next = self.reports.next(next, waits);
        let Some(next) = self.replicas.next(next, waits) else {
            return self.give_up_stranded();
        };
        assert!(next >= self.now, "invariant: time never goes back");
        self.now = next;
        loop {
            if let Some(event) = self.due(Class::StepEnd) {
                self.end_step(event);
            } else if let Some((_, _, set, slot)) = self.due(Class::Delivery) {
                self.deliver(slot, set);
            } else if let Some(change) = self.fleet.take_due(self.now) {
                self.change(change);
            } else if let Some((_, _, set, slot)) = self.due(Class::Patience) {
                self.lose_patience(slot, set);
            } else if let Some((_, _, set, _)) = self.due(Class::Feedback) {
                self.hear(set);
            } else if self.reports.pass(self.now, &self.instances) {
                self.gate.stir();
                self.tell_all(&Hook::Snapshots);
            } else if self.sync() {
            } else if let Some((_, _, set, slot)) = self.due(Class::Decision) {
                self.decide_due(slot, set);
            } else if self.workload.peek() == Some(self.now) {
                let request = self.workload.next().expect("a request that was announced");
                self.arrive(request);
            } else if let Some((_, _, set, tag)) = self.due(Class::Timer) {
                let replica = self.replicas.take_timer(set);
                self.tell(replica, &Hook::Timer { tag });
            } else if !self.open_gate() {
                break;
            }
        }
        self.plan_idle();
        true
    }

    /// When the next event is due. Ends of steps that an interruption made void are no events.
    fn next_event(&mut self) -> Option<SimTime> {
        while let Some(&Reverse((at, class, instance, epoch))) = self.events.peek() {
            if class != Class::StepEnd || self.instances[instance as usize].borrow().epoch() == epoch {
                return Some(at);
            }
            self.events.pop();
        }
        None
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
        self.stop_if_drained(index);
    }

    /// Runs `change` on one instance and books what it does to the load.
    fn with_instance<R>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Instance, SimTime, &mut World<'_>) -> R,
    ) -> R {
        if self.config.tier.is_some_and(|tier| tier.shared) {
            for instance in &self.instances {
                instance.borrow_mut().tell_tier(self.now);
            }
        }
        let mut it = self.instances[index].borrow_mut();
        let before = it.pending();
        let mut stages = Vec::new();
        let mut world = World {
            forest: self.workload.forest(),
            seqs: &mut self.seqs,
            rows: &mut self.rows,
            gaps: &mut self.gaps,
            stepping: self.config.stepping,
            news: &mut self.news,
            stages: self.timeline.is_some().then_some(&mut stages),
        };
        let result = change(&mut it, self.now, &mut world);
        self.spread.change(self.now, before, it.pending());
        self.beliefs[0].get_mut().note(index, &mut it);
        if let Some(timeline) = &mut self.timeline {
            timeline.level(self.now, InstanceId::from_index(index), it.levels());
            for (slot, stage) in stages {
                timeline.request(self.now, self.seqs[slot].request.id, stage);
            }
        }
        result
    }

    /// For a timeline: something happens to a request.
    fn note(&mut self, request: RequestId, stage: Stage) {
        if let Some(timeline) = &mut self.timeline {
            timeline.request(self.now, request, stage);
        }
    }

    /// Takes note of first tokens and ends, and tells the scheduler and closed loops.
    fn spread_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        for (slot, kind) in news.drain(..) {
            let seq = &self.seqs[slot];
            let request = seq.request;
            let since_arrival = self.now - request.arrival;
            match kind {
                News::FirstToken => {
                    // A request that lost its instance after its first token prefills again without another one.
                    if self.rows[request.id.index()].first_token == self.now {
                        self.recent.served += 1;
                        let in_time = self.config.slo_ttft.is_some_and(|slo| since_arrival <= slo);
                        self.recent.in_time += u64::from(in_time);
                    }
                    self.report_first_token(slot, since_arrival);
                }
                News::Finished => {
                    self.note(request.id, Stage::Ended(Outcome::Completed));
                    self.report_end(slot, since_arrival);
                    self.workload.ended(request.id, self.now);
                }
                News::Dropped => self.dropped(slot),
            }
        }
        self.news = news;
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
                if let Some(timeline) = &mut self.timeline {
                    let (instance, batch) = (InstanceId(instance), self.instances[index].borrow().batch());
                    timeline.step(StepSpan { instance, start: self.now, end, batch });
                }
                self.schedule_end(index, end);
            }
        }
        idle.clear();
        self.idle = idle;
    }

    /// Sets an event whose order among others of its time and class is the order of setting, and returns that.
    fn set(&mut self, at: SimTime, class: Class, what: u32) -> u32 {
        assert!(at >= self.now, "a timer cannot be set in the past");
        let set = self.set;
        self.set += 1;
        self.events.push(Reverse((at, class, set, what)));
        set
    }

    fn schedule_end(&mut self, index: usize, end: SimTime) {
        let epoch = self.instances[index].borrow().epoch();
        let instance = InstanceId::from_index(index).0;
        self.events.push(Reverse((end, Class::StepEnd, instance, epoch)));
    }

    /// The step in progress has a new end, if it was cut short.
    fn reschedule(&mut self, index: usize, cut: Option<SimTime>) {
        if let Some(end) = cut {
            self.schedule_end(index, end);
        }
    }

    fn finish(mut self) -> RunResult {
        self.hear_the_rest();
        assert_eq!(self.parked, 0, "the scheduler left requests parked for ever");
        assert_eq!(self.seqs.live(), 0, "invariant: every request ends exactly once");
        let booked = self.counters.in_flight_tokens.iter().chain(&self.counters.pending_prefill_tokens).sum::<u64>();
        self.tally.check(&self.rows);
        assert_eq!(booked, 0, "invariant: the router's books are even at the end");
        let end = self.last;
        let dynamic = !self.config.dynamics.is_static() || self.config.clients.is_some();
        let fleet = dynamic.then(|| self.fleet.close(end));
        let instances = self
            .instances
            .into_iter()
            .map(|cell| {
                let mut it = cell.into_inner();
                let meter = it.close(end);
                InstanceTotals {
                    requests: it.history.requests,
                    prompt_tokens: it.prompt_tokens,
                    hit_tokens: it.hit_tokens,
                    loaded_tokens: it.loaded_tokens,
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
        let decisions = self.decisions.map(|mut decisions| {
            for decision in &mut decisions {
                decision.conclude(&self.rows[decision.request.index()]);
            }
            decisions
        });
        RunResult {
            load_cv: self.spread.mean(end),
            rows: self.rows,
            instances,
            gaps: self.gaps,
            makespan: end,
            decisions,
            beliefs: self.sample,
            admission: self.gate.records(),
            fleet,
        }
    }
}
