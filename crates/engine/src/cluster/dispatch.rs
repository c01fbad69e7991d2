//! Asking the scheduler, and carrying out what it decides.

use trimtab_core::{InstanceId, Request, RequestId, SimTime};
use trimtab_sched::{Action, Actions, Arrival, ClusterView, Decision, Hook, Probe, Scheduler};

use super::{Class, Simulation};
use crate::config::{DecisionLog, PrefixSignal};
use crate::decisions::{Decided, DecisionRow, Regret};
use crate::record::{Outcome, Row};
use crate::router::{Books, Looks};
use crate::timeline::Stage;

/// A cached prefix that a request takes along: from which instance, and at most how many tokens.
type Fetch = (InstanceId, u32);

impl Simulation<'_> {
    pub(super) fn arrive(&mut self, request: Request) {
        assert_eq!(request.id.index(), self.rows.len(), "invariant: requests arrive in the order of their ids");
        assert!(request.output_tokens > 0 && request.prompt.tokens > 0, "a request has tokens in and out");
        self.last = self.now;
        let slot = self.seqs.insert(request, self.workload.forest());
        self.slots.insert(request.id, slot);
        self.rows.push(Row::open(&request));
        self.note(request.id, Stage::Arrived { prompt_tokens: request.prompt.tokens });
        self.wait_for(slot);
        let router = self.config.router;
        if router.serial && router.decision > SimTime::ZERO {
            let start = self.now.max(self.router_free);
            self.router_free = start + router.decision;
            if start > self.now {
                self.ask_later(slot, start - self.now);
                return;
            }
        }
        self.decide(slot);
    }

    pub(super) fn decide(&mut self, slot: u32) {
        if self.fleet.members.is_empty() {
            self.stranded.push(slot);
            return;
        }
        let decision = self.ask(slot);
        let decided = match decision {
            Decision::Route(to) => Decided::Route(to),
            Decision::Park => Decided::Park,
            Decision::Reject => Decided::Reject,
        };
        let actions = self.take_actions();
        self.log(slot, decided, &actions);
        match decision {
            Decision::Route(to) => {
                let fetch = fetch_of(self.seqs[slot].request.id, actions.list());
                self.dispatch(slot, to, self.config.router.decision, fetch);
            }
            Decision::Park => {
                self.note(self.seqs[slot].request.id, Stage::Parked);
                self.seqs[slot].parked = true;
                self.parked += 1;
            }
            Decision::Reject => self.reject(slot),
        }
        self.carry_out(&actions);
    }

    fn ask(&mut self, slot: u32) -> Decision {
        let request = self.seqs[slot].request;
        self.consult(request.id, |scheduler, looks, view, actions| {
            let seq = &looks.seqs[slot];
            let arrival = Arrival {
                id: request.id,
                arrival: request.arrival,
                prompt: request.prompt,
                path: &seq.path,
                forest: looks.forest,
                session: request.session,
                turn: request.turn,
                tenant: request.tenant,
                model: request.model,
                priority: request.priority,
            };
            scheduler.route(&arrival, view, actions)
        })
    }

    pub(super) fn tell(&mut self, hook: &Hook) {
        if self.hooks {
            self.consult(self.last_arrival(), |scheduler, _, view, actions| scheduler.hook(hook, view, actions));
            let actions = self.take_actions();
            self.carry_out(&actions);
        }
    }

    pub(super) fn last_arrival(&self) -> RequestId {
        RequestId(u32::try_from(self.rows.len().saturating_sub(1)).expect("ids have 32 bits"))
    }

    /// Shows the scheduler the cluster, because of a request.
    fn consult<R>(
        &mut self,
        because: RequestId,
        question: impl FnOnce(&mut dyn Scheduler, &Looks<'_>, &ClusterView<'_>, &mut Actions) -> R,
    ) -> R {
        let mut scheduler = self.scheduler.take().expect("a scheduler is asked one thing at a time");
        let mut actions = std::mem::take(&mut self.actions);
        let looks = self.looks(because);
        let view = ClusterView::new(self.now, &self.fleet.members, self.signals, &self.counters, &looks);
        let answer = question(&mut *scheduler, &looks, &view, &mut actions);
        self.scheduler = Some(scheduler);
        self.actions = actions;
        answer
    }

    pub(super) fn looks(&self, because: RequestId) -> Looks<'_> {
        Looks {
            because,
            predictor: self.predictor.as_ref(),
            now: self.now,
            instances: &self.instances,
            seqs: &self.seqs,
            slots: &self.slots,
            forest: self.workload.forest(),
            beliefs: &self.beliefs,
            reports: &self.reports,
            transit: &self.transit,
            links: &self.links,
            router: self.config.router,
        }
    }

    /// Writes a decision down before it is carried out.
    fn log(&mut self, slot: u32, decided: Decided, actions: &Actions) {
        if self.config.decisions == DecisionLog::Off {
            return;
        }
        let seq = &self.seqs[slot];
        let (request, prompt) = (seq.request.id, seq.request.prompt.tokens);
        let to = decided.instance();
        let regret = to.filter(|_| self.config.decisions == DecisionLog::Regret).map(|to| {
            let looks = self.looks(request);
            let mut tried = self.fleet.members.iter().map(|&i| (looks.trial_ps(request, prompt, i), i));
            let (best_ps, best) = tried.by_ref().min().expect("there is a member");
            Regret { best, best_ttft: SimTime(best_ps), chosen_ttft: SimTime(looks.trial_ps(request, prompt, to)) }
        });
        let (reason, candidates) = actions.logged();
        let row = DecisionRow::new(self.now, request, decided, candidates.to_vec(), reason, regret);
        self.decisions.as_mut().expect("there is a log").push(row);
    }

    /// What the scheduler asked for beside its answer.
    fn take_actions(&mut self) -> Actions {
        std::mem::replace(&mut self.actions, Actions::new(self.config.decisions != DecisionLog::Off))
    }

    fn carry_out(&mut self, actions: &Actions) {
        for &action in actions.list() {
            match action {
                Action::Route { request, to } => {
                    let Some(slot) = self.unpark(request) else { continue };
                    self.log(slot, Decided::Route(to), actions);
                    self.dispatch(slot, to, SimTime::ZERO, fetch_of(request, actions.list()));
                }
                Action::Reject { request } => {
                    let Some(slot) = self.unpark(request) else { continue };
                    self.log(slot, Decided::Reject, actions);
                    self.reject(slot);
                }
                Action::Migrate { request, to } => {
                    let slot = self.slot(request);
                    self.log(slot, Decided::Migrate(to), actions);
                    self.migrate(slot, to);
                }
                // The request that is routed by the same call takes it along.
                Action::Fetch { .. } => {}
                Action::Timer { at, tag } => {
                    self.set(at, Class::Timer, tag);
                }
            }
        }
    }

    /// A request is parked no more. `None` when it is not, because its client hung up.
    fn unpark(&mut self, request: RequestId) -> Option<u32> {
        let slot = self.slots.get(&request).copied().filter(|&slot| self.seqs[slot].parked);
        assert!(slot.is_some() || self.config.clients.is_some(), "a scheduler acted on a request that is not parked");
        self.seqs[slot?].parked = false;
        self.parked -= 1;
        slot
    }

    fn slot(&self, request: RequestId) -> u32 {
        *self.slots.get(&request).expect("schedulers act on requests that are in the system")
    }

    /// Sends a request to an instance. It leaves the router after `work`.
    fn dispatch(&mut self, slot: u32, to: InstanceId, work: SimTime, fetch: Option<Fetch>) {
        let index = to.index();
        assert!(self.fleet.members.binary_search(&to).is_ok(), "a scheduler chose an instance that cannot be chosen");
        if !self.instances[index].borrow().fits(&self.seqs[slot]) {
            let Request { id, arrival, .. } = self.seqs[slot].request;
            self.rows[id.index()].instance = to;
            self.reject(slot);
            // A scheduler that booked the request there must learn that it is gone.
            let e2e = self.now - arrival;
            self.tell(&Hook::Finished { request: id, instance: to, output_tokens: 0, e2e });
            return;
        }
        let mut there = self.now + work + self.config.router.network;
        if let Some(ready) = fetch.and_then(|fetch| self.fetch(slot, index, work, fetch)) {
            there = there.max(ready);
        }
        self.predict(slot, to, there);
        self.note(self.seqs[slot].request.id, Stage::Sent(to));
        let row = &mut self.rows[self.seqs[slot].request.id.index()];
        (row.routed, row.instance) = (self.now, to);
        // The router's books go by what it believes. A look into the true cache can be left to the instance.
        let seen = there > self.now || self.config.signals.prefix != PrefixSignal::Oracle;
        let (beliefs, seq, forest) = (self.beliefs.get_mut(), &mut self.seqs[slot], self.workload.forest());
        (seq.instance, seq.started, seq.prefilled) = (index, false, false);
        if seen {
            seq.booked_miss =
                seq.request.prompt.tokens - beliefs.hit_tokens(seq, forest, index, self.now, &self.instances);
            beliefs.sent(index, seq, forest, self.now);
        }
        if there > self.now {
            self.transit[index].push(slot);
            let set = self.set(there, Class::Delivery, slot);
            self.seqs[slot].delivery = Some((there, set));
            self.book(slot);
        } else {
            self.enqueue(slot);
            if !seen {
                self.seqs[slot].booked_miss = self.seqs[slot].pending;
            }
            self.book(slot);
            self.greet(slot);
        }
    }

    fn book(&mut self, slot: u32) {
        let seq = &self.seqs[slot];
        self.counters.dispatched(seq.instance, seq.request.prompt.tokens, seq.booked_miss);
    }

    /// Books the transfer of a cached prefix that an instance lacks, and returns when the request can join it.
    fn fetch(&mut self, slot: u32, to: usize, work: SimTime, (from, tokens): Fetch) -> Option<SimTime> {
        let forest = self.workload.forest();
        let seq = &self.seqs[slot];
        let hit = |index: usize| {
            let mut it = self.instances[index].borrow_mut();
            it.settle(self.now);
            it.hit_tokens(seq, forest)
        };
        let held = hit(from.index()).min(tokens);
        let lacking = held.saturating_sub(hit(to));
        if lacking == 0 {
            return None;
        }
        let end = self.links.book(from.index(), to, lacking, self.now + work)?;
        let it = self.instances[to].borrow();
        let head_start = if self.config.transfer.as_ref().is_some_and(|transfer| transfer.overlapped) {
            it.config.cost.prefill_time(seq.target - held, held, it.config.max_batched_tokens)
        } else {
            0
        };
        drop(it);
        self.seqs[slot].fetch = Some((from.index(), held));
        Some(SimTime(end.0.saturating_sub(head_start)))
    }

    /// For the log: when the first token of a request that gets to an instance at `there` should come.
    fn predict(&mut self, slot: u32, to: InstanceId, there: SimTime) {
        if self.config.decisions == DecisionLog::Off {
            return;
        }
        let looks = self.looks(self.seqs[slot].request.id);
        let seq = &self.seqs[slot];
        let fetched = seq.fetch.map_or(0, |(_, tokens)| tokens);
        let hit = looks.hit_tokens(seq.request.id, to).max(fetched);
        let work = looks.prefill_ps(to, seq.request.prompt.tokens - hit, hit);
        let ttft = (there - seq.request.arrival) + SimTime(looks.queue_ps(to) + work);
        let row = self.decisions.as_mut().and_then(|log| log.last_mut()).expect("the decision was logged");
        (row.predicted_ttft, row.predicted_hit) = (Some(ttft), hit);
    }

    /// A request gets to its instance, unless it was called back on its way.
    pub(super) fn deliver(&mut self, slot: u32, set: u32) {
        if self.seqs[slot].delivery.is_none_or(|(_, event)| event != set) {
            return;
        }
        self.last = self.now;
        self.call_back(slot);
        if let Some((from, tokens)) = self.seqs[slot].fetch.take() {
            self.unload(slot, from, tokens);
        }
        self.enqueue(slot);
        self.greet(slot);
    }

    /// Takes a request off its way.
    pub(super) fn call_back(&mut self, slot: u32) {
        let seq = &mut self.seqs[slot];
        seq.delivery = None;
        self.transit[seq.instance].retain(|&other| other != slot);
    }

    /// The cached prefix that came with a request becomes resident, as far as its holder still has it: what was evicted
    /// there meanwhile must be computed again.
    fn unload(&mut self, slot: u32, from: usize, tokens: u32) {
        let held = {
            let mut holder = self.instances[from].borrow_mut();
            holder.settle(self.now);
            holder.hit_tokens(&self.seqs[slot], self.workload.forest()).min(tokens)
        };
        let to = self.seqs[slot].instance;
        self.with_instance(to, |it, now, world| it.receive(slot, held, now, world));
    }

    fn enqueue(&mut self, slot: u32) {
        let index = self.seqs[slot].instance;
        self.note(self.seqs[slot].request.id, Stage::Queued);
        let cut = self.with_instance(index, |it, now, world| it.enqueue(slot, now, world));
        self.reschedule(index, cut);
        self.idle.push(InstanceId::from_index(index).0);
    }

    fn greet(&mut self, slot: u32) {
        let seq = &self.seqs[slot];
        let (request, instance) = (seq.request.id, InstanceId::from_index(seq.instance));
        self.tell(&Hook::Dispatched { request, instance });
    }

    fn migrate(&mut self, slot: u32, to: InstanceId) {
        let seq = &self.seqs[slot];
        let (from, prompt, miss, id) = (seq.instance, seq.request.prompt.tokens, seq.booked_miss, seq.request.id);
        assert!(!seq.started, "a request that has started cannot be moved");
        if from == to.index() {
            return;
        }
        if seq.delivery.is_some() {
            self.call_back(slot);
            self.seqs[slot].fetch = None;
        } else {
            let cut = self.with_instance(from, |it, now, world| it.dequeue(slot, now, world.seqs));
            self.reschedule(from, cut);
        }
        self.counters.withdrawn(from, prompt, miss);
        self.note(id, Stage::Withdrawn);
        self.note_move(from, id);
        self.dispatch(slot, to, SimTime::ZERO, None);
    }

    /// A request that has not started leaves an instance for another one.
    pub(super) fn note_move(&mut self, from: usize, id: RequestId) {
        self.rows[id.index()].migrations += 1;
        self.instances[from].borrow_mut().note_move(self.now);
    }

    fn reject(&mut self, slot: u32) {
        self.conclude(slot, Outcome::Rejected);
    }

    /// A request ends without its tokens.
    pub(super) fn conclude(&mut self, slot: u32, outcome: Outcome) {
        let seq = &self.seqs[slot];
        let request = seq.request;
        let row = &mut self.rows[request.id.index()];
        assert_eq!(row.outcome, Outcome::Open, "invariant: every request ends exactly once");
        (row.outcome, row.recomputed_tokens) = (outcome, seq.recomputed);
        self.note(request.id, Stage::Ended(outcome));
        let row = &mut self.rows[request.id.index()];
        self.recent.turned_away += 1;
        row.finish = self.now;
        self.last = self.now;
        self.forget(slot);
        self.workload.ended(request.id, self.now);
    }

    pub(super) fn forget(&mut self, slot: u32) {
        let seq = &mut self.seqs[slot];
        (seq.patience, seq.deciding) = (None, None);
        self.slots.remove(&seq.request.id);
        self.seqs.remove(slot);
    }
}

/// The fetch that was asked for beside the routing of a request.
fn fetch_of(request: RequestId, actions: &[Action]) -> Option<Fetch> {
    actions.iter().find_map(|&action| match action {
        Action::Fetch { request: of, from, tokens } if of == request => Some((from, tokens)),
        _ => None,
    })
}
