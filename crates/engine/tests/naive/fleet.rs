//! The changes of a cluster and the requests that they hit, as plainly as possible.

use trimtab_core::{RngStreams, SimTime, StreamRng, exponential};
use trimtab_engine::{Change, ClusterConfig, Faults, Scaling, Survives};

use super::super::common::scaler::Look;
use super::instance::Instance;
use super::{NaiveOutcome, NaiveResult, Turn};

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Off,
    Broken,
    Starting,
    Serving,
    /// The router cannot reach it.
    Unreachable,
    Draining,
    /// It starts again when it has drained.
    Restarting,
}

/// What is to happen, and in which life of the instance.
#[derive(Clone, Copy, Debug)]
enum Due {
    Asked(Change),
    Ready(usize, u32),
    Repaired(usize),
    Unpaced(usize, u32),
    Healed(usize, u32),
    /// An instance fails, in this life.
    Fault(usize, u32),
    /// The autoscaler is asked.
    Scale,
}

/// How a request that is not on an instance came there.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    lost: u32,
    hung_up: u32,
}

/// Everything but the instances themselves.
pub(crate) struct Fleet<'a> {
    config: &'a ClusterConfig,
    pub(crate) states: Vec<State>,
    lives: Vec<u32>,
    /// Time, serial number, what.
    agenda: Vec<(SimTime, u32, Due)>,
    /// Time, serial number, request.
    decisions: Vec<(SimTime, u32, usize)>,
    /// Time, serial number, request: one for each client that waits.
    patience: Vec<(SimTime, u32, usize)>,
    stranded: Vec<usize>,
    tries: Vec<Tries>,
    /// Tokens that a request has when it is sent anew.
    pub(crate) generated: Vec<u32>,
    serial: u32,
    /// Of each instance, the times of its failures and repairs.
    draws: Vec<StreamRng>,
    /// Requests that had arrived when the autoscaler was last asked.
    seen: usize,
    /// Blocks of memory that instances lost and kept.
    pub(crate) memory_lost: u64,
    pub(crate) memory_kept: u64,
}

/// The first of a list by time and serial number, if it is due.
fn take<T: Copy>(list: &mut Vec<(SimTime, u32, T)>, now: SimTime) -> Option<T> {
    let at = (0..list.len()).filter(|&i| list[i].0 <= now).min_by_key(|&i| (list[i].0, list[i].1))?;
    Some(list.remove(at).2)
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(config: &'a ClusterConfig, requests: usize) -> Self {
        let mut states = vec![State::Serving; config.instances.len()];
        for standby in &config.dynamics.standby {
            states[standby.index()] = State::Off;
        }
        let mut fleet = Self {
            config,
            lives: vec![0; states.len()],
            states,
            agenda: Vec::new(),
            decisions: Vec::new(),
            patience: Vec::new(),
            stranded: Vec::new(),
            tries: vec![Tries::default(); requests],
            generated: vec![0; requests],
            serial: 0,
            draws: Vec::new(),
            seen: 0,
            memory_lost: 0,
            memory_kept: 0,
        };
        let streams = RngStreams::new(config.seed);
        fleet.draws = (0..fleet.states.len()).map(|i| streams.stream(&format!("faults/instance-{i}"))).collect();
        for &(at, change) in &config.dynamics.events {
            fleet.plan(at, Due::Asked(change));
        }
        if let Some(Scaling { every, .. }) = config.dynamics.scaling {
            fleet.plan(every, Due::Scale);
        }
        for i in 0..fleet.states.len() {
            if fleet.states[i] == State::Serving {
                fleet.await_fault(i, SimTime::ZERO);
            }
        }
        fleet
    }

    /// Draws when an instance fails that serves from now on.
    fn await_fault(&mut self, i: usize, now: SimTime) {
        if let Some(Faults { mtbf, .. }) = self.config.dynamics.faults {
            let at = now + self.drawn(i, mtbf);
            self.plan(at, Due::Fault(i, self.lives[i]));
        }
    }

    /// An exponential time, rounded to the picosecond.
    fn drawn(&mut self, i: usize, mean: SimTime) -> SimTime {
        SimTime::from_secs_f64(mean.as_secs_f64() * exponential(&mut self.draws[i])).expect("a test is short")
    }

    fn plan(&mut self, at: SimTime, due: Due) {
        self.serial += 1;
        self.agenda.push((at, self.serial, due));
    }

    pub(crate) fn members(&self) -> Vec<usize> {
        (0..self.states.len()).filter(|&i| self.states[i] == State::Serving).collect()
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<SimTime> {
        let agenda = self.agenda.iter().map(|&(at, ..)| at);
        agenda.chain(self.decisions.iter().chain(&self.patience).map(|&(at, ..)| at)).min()
    }

    /// The next request that the router is to place now.
    pub(crate) fn next_decision(&mut self, now: SimTime) -> Option<usize> {
        take(&mut self.decisions, now)
    }

    pub(crate) fn strand(&mut self, request: usize) {
        self.stranded.push(request);
    }

    pub(crate) fn begin_to_wait(&mut self, request: usize, now: SimTime) {
        let Some(clients) = self.config.clients else { return };
        if self.patience.iter().all(|&(_, _, other)| other != request) {
            self.serial += 1;
            self.patience.push((now + clients.patience, self.serial, request));
        }
    }

    /// A request needs no client any more.
    pub(crate) fn ended(&mut self, request: usize) {
        self.patience.retain(|&(_, _, other)| other != request);
    }

    fn ask(&mut self, request: usize, at: SimTime) {
        self.serial += 1;
        self.decisions.push((at, self.serial, request));
    }

    /// Everything that changes now, and then every client whose patience ends.
    pub(crate) fn change(
        &mut self,
        now: SimTime,
        instances: &mut [Instance],
        scale: &mut dyn FnMut(&Look) -> u32,
        result: &mut NaiveResult,
    ) {
        while let Some(due) = take(&mut self.agenda, now) {
            match due {
                Due::Asked(change) => self.carry_out(change, now, instances, result),
                Due::Ready(i, life) if self.states[i] == State::Starting && self.lives[i] == life => {
                    self.serve(i, now, result);
                }
                Due::Repaired(i) => self.start(i, now, result),
                Due::Unpaced(i, serial) if instances[i].paced == Some(serial) => {
                    (instances[i].thousandths, instances[i].paced) = (1000, None);
                }
                Due::Healed(i, serial) if instances[i].cut == Some(serial) => {
                    (instances[i].cut, instances[i].frozen) = (None, None);
                    if self.states[i] == State::Unreachable {
                        self.join(i, now);
                    }
                }
                Due::Fault(i, life) if self.is_up(i) && self.lives[i] == life => {
                    let mttr = self.config.dynamics.faults.expect("there are faults").mttr;
                    let repair = self.drawn(i, mttr);
                    result.reached.faults += 1;
                    self.fail(i, Some(repair), now, instances, result);
                }
                Due::Scale => self.scale(now, instances, scale, result),
                _ => {}
            }
        }
        while let Some(request) = take(&mut self.patience, now) {
            let until_end = self.config.clients.is_some_and(|clients| clients.until_end);
            if until_end || result.rows[request].first_token.is_none() {
                self.lose_patience(request, now, instances, result);
            }
        }
    }

    /// Starts or drains instances until there are as many as the autoscaler says.
    fn scale(
        &mut self,
        now: SimTime,
        instances: &mut [Instance],
        scale: &mut dyn FnMut(&Look) -> u32,
        result: &mut NaiveResult,
    ) {
        let Some(Scaling { every, min, max, .. }) = self.config.dynamics.scaling else { return };
        let counts = |state: &&State| matches!(state, State::Starting | State::Serving | State::Unreachable);
        let current = u32::try_from(self.states.iter().filter(counts).count()).expect("a test is small");
        let recent = std::mem::take(&mut result.recent);
        let arrived = (result.rows.len() - self.seen) as u64;
        self.seen = result.rows.len();
        let members: Vec<usize> = self.members();
        result.reached.stale_looks += members.iter().filter(|&&i| instances[i].frozen.is_some()).count() as u64;
        let target = scale(&Look {
            current,
            recent: [arrived, recent.first_tokens, recent.in_time, recent.turned_away],
            members: members.iter().map(|&i| instances[i].report()).collect(),
        });
        let target = target.clamp(min, max);
        result.reached.scalings += u64::from(target != current);
        if target > current {
            let change = Change::Add { count: target - current, group: None };
            self.carry_out(change, now, instances, result);
        } else {
            let change = Change::Remove { count: current - target, group: None };
            self.carry_out(change, now, instances, result);
        }
        self.plan(now + every, Due::Scale);
    }

    /// Whether an instance may have requests.
    fn is_up(&self, i: usize) -> bool {
        use State::{Draining, Restarting, Serving, Unreachable};
        matches!(self.states[i], Serving | Unreachable | Draining | Restarting)
    }

    fn carry_out(&mut self, change: Change, now: SimTime, instances: &mut [Instance], result: &mut NaiveResult) {
        let of = |fleet: &Self, wanted: &[State], group: Option<u32>| -> Vec<usize> {
            let dynamics = &fleet.config.dynamics;
            let fits = |i: usize| group.is_none_or(|g| dynamics.groups.get(i).copied().unwrap_or(0) == g);
            (0..fleet.states.len()).filter(|&i| wanted.contains(&fleet.states[i]) && fits(i)).collect()
        };
        match change {
            Change::Add { count, group } => {
                for i in of(self, &[State::Off], group).into_iter().take(count as usize) {
                    result.reached.additions += 1;
                    self.start(i, now, result);
                }
            }
            Change::Remove { count, group } => {
                let mut chosen = of(self, &[State::Starting], group);
                chosen.reverse();
                chosen.extend(of(self, &[State::Serving, State::Unreachable], group).into_iter().rev());
                for i in chosen.into_iter().take(count as usize) {
                    self.drain(i, State::Draining, now, instances, result);
                }
            }
            Change::Drain(i) => self.drain(i.index(), State::Draining, now, instances, result),
            Change::Restart(i) => self.drain(i.index(), State::Restarting, now, instances, result),
            Change::Fail { instance, repair } => {
                let i = instance.index();
                if self.is_up(i) {
                    self.fail(i, repair, now, instances, result);
                }
            }
            Change::Slow { instance, thousandths, span } => {
                let i = instance.index();
                if self.is_up(i) {
                    self.plan(now + span, Due::Unpaced(i, self.serial + 1));
                    (instances[i].thousandths, instances[i].paced) = (thousandths, Some(self.serial));
                    result.reached.slow_instances += 1;
                }
            }
            Change::Cut { instance, span } => {
                let i = instance.index();
                if matches!(self.states[i], State::Serving | State::Unreachable) {
                    self.plan(now + span, Due::Healed(i, self.serial + 1));
                    instances[i].cut = Some(self.serial);
                    self.states[i] = State::Unreachable;
                    result.reached.cuts += 1;
                }
            }
            Change::Freeze { instance, span } => {
                // It mends a cut, as one connection replaces the other.
                let i = instance.index();
                if matches!(self.states[i], State::Serving | State::Unreachable) {
                    if self.states[i] == State::Unreachable {
                        self.join(i, now);
                    }
                    instances[i].frozen = None;
                    instances[i].frozen = Some(instances[i].report());
                    self.plan(now + span, Due::Healed(i, self.serial + 1));
                    instances[i].cut = Some(self.serial);
                }
            }
            Change::Flush(i) => {
                if self.is_up(i.index()) {
                    result.reached.flushed_blocks += instances[i.index()].flush(now);
                }
            }
        }
    }

    fn start(&mut self, i: usize, now: SimTime, result: &mut NaiveResult) {
        self.states[i] = State::Starting;
        result.turns.push((now, i, Turn::Starts));
        let startup = self.config.dynamics.startup;
        if startup == SimTime::ZERO {
            self.serve(i, now, result);
        } else {
            self.plan(now + startup, Due::Ready(i, self.lives[i]));
        }
    }

    fn serve(&mut self, i: usize, now: SimTime, result: &mut NaiveResult) {
        self.await_fault(i, now);
        result.turns.push((now, i, Turn::Serves));
        self.join(i, now);
    }

    fn join(&mut self, i: usize, now: SimTime) {
        self.states[i] = State::Serving;
        for request in std::mem::take(&mut self.stranded) {
            self.ask(request, now);
        }
    }

    fn drain(&mut self, i: usize, to: State, now: SimTime, instances: &mut [Instance], result: &mut NaiveResult) {
        match self.states[i] {
            State::Starting => {
                self.states[i] = State::Off;
                self.lives[i] += 1;
                result.turns.push((now, i, Turn::Stops));
                self.part_from_memory(&mut instances[i], false);
            }
            State::Serving | State::Unreachable => {
                if self.states[i] == State::Unreachable {
                    self.join(i, now);
                }
                (self.states[i], instances[i].frozen) = (to, None);
                for request in instances[i].give_back(&mut self.generated) {
                    result.rows[request].migrations += 1;
                    result.reached.drained_requests += 1;
                    self.ask(request, now);
                }
                self.stop_if_drained(i, now, instances, result);
            }
            _ => {}
        }
    }

    fn part_from_memory(&mut self, instance: &mut Instance, kept: bool) {
        if kept {
            self.memory_kept += instance.memory();
        } else {
            self.memory_lost += instance.memory();
            instance.lose_memory();
        }
    }

    fn survives(&self, these: &[Survives]) -> bool {
        self.config.tier.is_some_and(|tier| these.contains(&tier.survives))
    }

    pub(crate) fn stop_if_drained(
        &mut self,
        i: usize,
        now: SimTime,
        instances: &mut [Instance],
        result: &mut NaiveResult,
    ) {
        let back = self.states[i] == State::Restarting;
        if (back || self.states[i] == State::Draining) && instances[i].is_empty() {
            instances[i].forget();
            let kept = back && self.survives(&[Survives::Restart, Survives::Failure]);
            self.part_from_memory(&mut instances[i], kept);
            self.lives[i] += 1;
            self.states[i] = State::Off;
            result.turns.push((now, i, Turn::Stops));
            if back {
                self.start(i, now, result);
            }
        }
    }

    fn fail(
        &mut self,
        i: usize,
        repair: Option<SimTime>,
        now: SimTime,
        instances: &mut [Instance],
        result: &mut NaiveResult,
    ) {
        self.states[i] = if repair.is_some() { State::Broken } else { State::Off };
        self.lives[i] += 1;
        result.turns.push((now, i, Turn::Fails));
        if let Some(repair) = repair {
            self.plan(now + repair, Due::Repaired(i));
        }
        let recovery = self.config.dynamics.recovery;
        let lost = instances[i].fail(&mut self.generated, result);
        let kept = repair.is_some() && self.survives(&[Survives::Failure]);
        self.part_from_memory(&mut instances[i], kept);
        for (request, hung_up) in lost {
            result.reached.lost_requests += 1;
            result.rows[request].lost += 1;
            if hung_up {
                self.ask_again(request, now, result);
            } else if self.tries[request].lost < recovery.retries {
                self.tries[request].lost += 1;
                result.rows[request].retries += 1;
                self.ask(request, now + recovery.delay);
            } else {
                self.give_up(request, result);
            }
        }
    }

    fn lose_patience(&mut self, request: usize, now: SimTime, instances: &mut [Instance], result: &mut NaiveResult) {
        let outside = self.decisions.iter().any(|&(_, _, other)| other == request) || self.stranded.contains(&request);
        if outside {
            self.decisions.retain(|&(_, _, other)| other != request);
            self.stranded.retain(|&other| other != request);
            self.ask_again(request, now, result);
            return;
        }
        let i = instances.iter().position(|instance| instance.has(request)).expect("a live request is somewhere");
        if instances[i].hang_up(request) || instances[i].drop_hung_up() == [request] {
            self.ask_again(request, now, result);
        }
        self.stop_if_drained(i, now, instances, result);
    }

    /// A client that hung up asks again, from scratch, or not any more.
    pub(crate) fn ask_again(&mut self, request: usize, now: SimTime, result: &mut NaiveResult) {
        result.reached.hang_ups += 1;
        result.rows[request].hung_up += 1;
        let Some(clients) = self.config.clients else { return };
        result.rows[request].recomputed = result.hit_or_prefilled[request];
        self.generated[request] = 0;
        self.ended(request);
        if self.tries[request].hung_up == clients.retries {
            self.give_up(request, result);
            return;
        }
        let pause = clients.backoff.0 << self.tries[request].hung_up;
        self.tries[request].hung_up += 1;
        let row = &mut result.rows[request];
        (row.first_token, row.output) = (None, 0);
        row.retries += 1;
        self.ask(request, now + SimTime(pause));
    }

    fn give_up(&mut self, request: usize, result: &mut NaiveResult) {
        self.ended(request);
        result.recent.turned_away += 1;
        let row = &mut result.rows[request];
        (row.outcome, row.output) = (NaiveOutcome::Failed, 0);
        result.reached.failures += 1;
    }

    /// Nothing more will happen: those that wait for an instance have failed.
    pub(crate) fn give_up_stranded(&mut self, result: &mut NaiveResult) {
        for request in std::mem::take(&mut self.stranded) {
            self.give_up(request, result);
        }
    }
}
