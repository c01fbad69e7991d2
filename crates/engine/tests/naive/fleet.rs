//! The changes of a cluster and the requests that they hit, as plainly as possible.

use trimtab_core::SimTime;
use trimtab_engine::{Change, ClusterConfig};

use super::instance::Instance;
use super::{NaiveOutcome, NaiveResult};

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
        };
        for &(at, change) in &config.dynamics.events {
            fleet.plan(at, Due::Asked(change));
        }
        fleet
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
    pub(crate) fn change(&mut self, now: SimTime, instances: &mut [Instance], result: &mut NaiveResult) {
        while let Some(due) = take(&mut self.agenda, now) {
            match due {
                Due::Asked(change) => self.carry_out(change, now, instances, result),
                Due::Ready(i, life) if self.states[i] == State::Starting && self.lives[i] == life => self.join(i, now),
                Due::Repaired(i) => self.start(i, now),
                Due::Unpaced(i, serial) if instances[i].paced == Some(serial) => {
                    (instances[i].thousandths, instances[i].paced) = (1000, None);
                }
                Due::Healed(i, serial) if instances[i].cut == Some(serial) => {
                    instances[i].cut = None;
                    if self.states[i] == State::Unreachable {
                        self.join(i, now);
                    }
                }
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

    fn carry_out(&mut self, change: Change, now: SimTime, instances: &mut [Instance], result: &mut NaiveResult) {
        let of = |fleet: &Self, wanted: &[State], group: Option<u32>| -> Vec<usize> {
            let dynamics = &fleet.config.dynamics;
            let fits = |i: usize| group.is_none_or(|g| dynamics.groups.get(i).copied().unwrap_or(0) == g);
            (0..fleet.states.len()).filter(|&i| wanted.contains(&fleet.states[i]) && fits(i)).collect()
        };
        let up = |fleet: &Self, i: usize| {
            use State::{Draining, Restarting, Serving, Unreachable};
            matches!(fleet.states[i], Serving | Unreachable | Draining | Restarting)
        };
        match change {
            Change::Add { count, group } => {
                for i in of(self, &[State::Off], group).into_iter().take(count as usize) {
                    result.reached.additions += 1;
                    self.start(i, now);
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
                if up(self, i) {
                    self.fail(i, repair, now, instances, result);
                }
            }
            Change::Slow { instance, thousandths, span } => {
                let i = instance.index();
                if up(self, i) {
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
                // Nobody looks at reports here. It mends a cut, as one connection replaces the other.
                let i = instance.index();
                if matches!(self.states[i], State::Serving | State::Unreachable) {
                    if self.states[i] == State::Unreachable {
                        self.join(i, now);
                    }
                    self.plan(now + span, Due::Healed(i, self.serial + 1));
                    instances[i].cut = Some(self.serial);
                }
            }
            Change::Flush(i) => {
                if up(self, i.index()) {
                    result.reached.flushed_blocks += instances[i.index()].flush();
                }
            }
        }
    }

    fn start(&mut self, i: usize, now: SimTime) {
        self.states[i] = State::Starting;
        let startup = self.config.dynamics.startup;
        if startup == SimTime::ZERO {
            self.join(i, now);
        } else {
            self.plan(now + startup, Due::Ready(i, self.lives[i]));
        }
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
            }
            State::Serving | State::Unreachable => {
                if self.states[i] == State::Unreachable {
                    self.join(i, now);
                }
                self.states[i] = to;
                for request in instances[i].give_back(&mut self.generated) {
                    result.rows[request].migrations += 1;
                    result.reached.drained_requests += 1;
                    self.ask(request, now);
                }
                self.stop_if_drained(i, now, instances);
            }
            _ => {}
        }
    }

    pub(crate) fn stop_if_drained(&mut self, i: usize, now: SimTime, instances: &mut [Instance]) {
        let back = self.states[i] == State::Restarting;
        if (back || self.states[i] == State::Draining) && instances[i].is_empty() {
            instances[i].forget();
            self.lives[i] += 1;
            self.states[i] = State::Off;
            if back {
                self.start(i, now);
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
        if let Some(repair) = repair {
            self.plan(now + repair, Due::Repaired(i));
        }
        let recovery = self.config.dynamics.recovery;
        for (request, hung_up) in instances[i].fail(&mut self.generated, result) {
            result.reached.lost_requests += 1;
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
        self.stop_if_drained(i, now, instances);
    }

    /// A client that hung up asks again, from scratch, or not any more.
    pub(crate) fn ask_again(&mut self, request: usize, now: SimTime, result: &mut NaiveResult) {
        result.reached.hang_ups += 1;
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
