//! Asking the scheduler, and carrying out what it decides.

use trimtab_core::{InstanceId, Request, RequestId, SimTime};
use trimtab_sched::parts::mix64;
use trimtab_sched::{Action, Actions, Arrival, ClusterView, Decision, Hook, LONGEST_PS, Probe, Scheduler};

use super::{Class, Simulation};
use crate::config::{DecisionLog, PrefixSignal};
use crate::decisions::{Decided, DecisionRow, Regret};
use crate::record::{Outcome, Row};
use crate::router::{Books, Looks};
use crate::seq::Seq;
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
        self.seqs[slot].replica = self.replicas.of(&request);
        self.note(request.id, Stage::Arrived { prompt_tokens: request.prompt.tokens });
        self.wait_for(slot);
        self.knock(slot, 0);
    }

    /// A request comes to its router.
    pub(super) fn come_in(&mut self, slot: u32) {
        let router = self.config.router;
        let replica = self.seqs[slot].replica;
        let free = &mut self.replicas.all[replica].free;
        if router.serial && router.decision > SimTime::ZERO {
            let start = self.now.max(*free);
            *free = start + router.decision;
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
        let replica = self.seqs[slot].replica;
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
                let asked = Asked::of(self.seqs[slot].request.id, &actions);
                self.sample_beliefs(slot);
                self.dispatch(slot, to, self.config.router.decision, asked);
            }
            Decision::Park => {
                self.note(self.seqs[slot].request.id, Stage::Parked);
                self.seqs[slot].parked = true;
                self.parked += 1;
            }
            Decision::Reject => self.turn_away(slot),
        }
        self.carry_out(replica, &actions);
    }

    fn ask(&mut self, slot: u32) -> Decision {
        let Seq { request, replica, .. } = self.seqs[slot];
        self.consult(replica, request.id, |scheduler, looks, view, actions| {
            let seq = &looks.seqs[slot];
            scheduler.route(&Arrival::new(&request, seq.path.nodes(), looks.forest), view, actions)
        })
    }

    pub(super) fn tell(&mut self, replica: usize, hook: &Hook) {
        if self.hooks {
            let because = self.last_arrival();
            self.consult(replica, because, |scheduler, _, view, actions| scheduler.hook(hook, view, actions));
            let actions = self.take_actions();
            self.carry_out(replica, &actions);
        }
    }

    pub(super) fn last_arrival(&self) -> RequestId {
        RequestId(u32::try_from(self.rows.len().saturating_sub(1)).expect("ids have 32 bits"))
    }

    /// Shows the scheduler of a replica the cluster, because of a request.
    fn consult<R>(
        &mut self,
        replica: usize,
        because: RequestId,
        question: impl FnOnce(&mut dyn Scheduler, &Looks<'_>, &ClusterView<'_>, &mut Actions) -> R,
    ) -> R {
        let asked = &mut self.replicas.all[replica].scheduler;
        let mut scheduler = asked.take().expect("a scheduler is asked one thing at a time");
        let mut actions = std::mem::take(&mut self.actions);
        let several = self.replicas.are_several();
        let looks = self.looks(because, several.then_some(replica));
        let books = if several { &self.replicas.all[replica].books } else { &self.counters };
        let view = ClusterView::new(self.now, &self.fleet.members, self.signals, books, &looks);
        let answer = question(&mut *scheduler, &looks, &view, &mut actions);
        self.replicas.all[replica].scheduler = Some(scheduler);
        self.actions = actions;
        answer
    }

    pub(super) fn looks(&self, because: RequestId, replica: Option<usize>) -> Looks<'_> {
        Looks {
            replica,
            because,
            predictor: self.predictor.as_ref(),
            now: self.now,
            instances: &self.instances,
            seqs: &self.seqs,
            slots: &self.slots,
            forest: self.workload.forest(),
            beliefs: &self.beliefs[self.picture(replica.unwrap_or(0))],
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
            let looks = self.looks(request, None);
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

    /// Does what the scheduler of a replica wants.
    fn carry_out(&mut self, replica: usize, actions: &Actions) {
        for &action in actions.list() {
            match action {
                Action::Route { request, to } => {
                    let Some(slot) = self.unpark(replica, request) else { continue };
                    self.log(slot, Decided::Route(to), actions);
                    self.sample_beliefs(slot);
                    self.dispatch(slot, to, SimTime::ZERO, Asked::of(request, actions));
                }
                Action::Reject { request } => {
                    let Some(slot) = self.unpark(replica, request) else { continue };
                    self.log(slot, Decided::Reject, actions);
                    self.turn_away(slot);
                }
                Action::Migrate { request, to } => {
                    let slot = self.slot(request);
                    assert_eq!(self.seqs[slot].replica, replica, "a scheduler moves what came to it");
                    self.log(slot, Decided::Migrate(to), actions);
                    self.migrate(slot, to, Asked { fetch: None, ..Asked::of(request, actions) });
                }
                // The request that is routed by the same call takes it along.
                Action::Fetch { .. } => {}
                Action::Timer { at, tag } => {
                    let event = self.set(at, Class::Timer, tag);
                    self.replicas.set_timer(event, replica);
                }
            }
        }
    }

    /// A request is parked no more. `None` when it is not, because its client hung up.
    fn unpark(&mut self, replica: usize, request: RequestId) -> Option<u32> {
        let own = |slot: u32| self.seqs[slot].parked && self.seqs[slot].replica == replica;
        let slot = self.slots.get(&request).copied().filter(|&slot| own(slot));
        assert!(slot.is_some() || self.config.clients.is_some(), "a scheduler acted on a request that is not parked");
        self.seqs[slot?].parked = false;
        self.parked -= 1;
        slot
    }

    fn slot(&self, request: RequestId) -> u32 {
        *self.slots.get(&request).expect("schedulers act on requests that are in the system")
    }

    /// Sends a request to an instance. It leaves the router after `work`.
    fn dispatch(&mut self, slot: u32, to: InstanceId, work: SimTime, asked: Asked) {
        let Asked { fetch, expected } = asked;
        // One token is always computed.
        let most = self.seqs[slot].request.prompt.tokens - 1;
        let index = to.index();
        assert!(self.fleet.members.binary_search(&to).is_ok(), "a scheduler chose an instance that cannot be chosen");
        if !self.instances[index].borrow().fits(&self.seqs[slot]) {
            let Seq { request: Request { id, arrival, .. }, replica, .. } = self.seqs[slot];
            self.rows[id.index()].instance = to;
            self.conclude(slot, Outcome::Rejected);
            // A scheduler that booked the request there must learn that it is gone.
            let e2e = self.now - arrival;
            self.tell(replica, &Hook::Finished { request: id, instance: to, output_tokens: 0, e2e });
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
        let picture = self.picture(self.seqs[slot].replica);
        let beliefs = self.beliefs[picture].get_mut();
        let seq = &mut self.seqs[slot];
        (seq.instance, seq.started, seq.prefilled) = (index, false, false);
        (seq.known, seq.feedback) = (false, None);
        if seen {
            let believed = beliefs.hit_tokens(seq, index, self.now, &self.instances);
            seq.booked_miss = seq.request.prompt.tokens - believed;
            beliefs.sent(index, seq, self.now);
            let mut it = self.instances[index].borrow_mut();
            it.settle(self.now);
            let cached = it.hit_tokens(seq);
            drop(it);
            self.note_belief(slot, expected.map_or(believed, |tokens| tokens.min(most)), cached);
        }
        if there > self.now {
            self.transit[index].push(slot);
            let set = self.set(there, Class::Delivery, slot);
            self.seqs[slot].delivery = Some((there, set));
            self.book(slot);
        } else {
            self.enqueue(slot);
            if !seen {
                let seq = &mut self.seqs[slot];
                seq.booked_miss = seq.pending;
                let cached = seq.target - seq.pending;
                self.note_belief(slot, expected.map_or(cached, |tokens| tokens.min(most)), cached);
            }
            self.book(slot);
            self.greet(slot);
        }
    }

    /// Writes down what is believed of a request's cached tokens where it goes, and what is so.
    fn note_belief(&mut self, slot: u32, believed: u32, cached: u32) {
        let row = &mut self.rows[self.seqs[slot].request.id.index()];
        if row.admitted == SimTime::MAX {
            (row.believed_tokens, row.cached_tokens) = (believed, cached);
        }
    }

    /// Of one request in 16, drawn by its number: what is believed of its prompt on all instances, against what is so.
    fn sample_beliefs(&mut self, slot: u32) {
        let seq = &self.seqs[slot];
        let picture = self.picture(seq.replica);
        let Some(sample) = self.sample.as_mut().filter(|_| mix64(seq.request.id.0.into()).is_multiple_of(16)) else {
            return;
        };
        let beliefs = self.beliefs[picture].get_mut();
        for &member in &self.fleet.members {
            let believed = beliefs.hit_tokens(seq, member.index(), self.now, &self.instances);
            let mut it = self.instances[member.index()].borrow_mut();
            it.settle(self.now);
            let cached = it.hit_tokens(seq);
            sample.prompt_tokens += u64::from(seq.request.prompt.tokens);
            sample.cached += u64::from(cached);
            sample.absent += u64::from(believed.saturating_sub(cached));
            sample.unknown += u64::from(cached.saturating_sub(believed));
        }
    }

    fn book(&mut self, slot: u32) {
        let seq = &self.seqs[slot];
        let (replica, index, prompt, miss) = (seq.replica, seq.instance, seq.request.prompt.tokens, seq.booked_miss);
        self.keep(replica, |books| books.dispatched(index, prompt, miss));
        self.note_sent(slot);
    }

    /// Books the transfer of a cached prefix that an instance lacks, and returns when the request can join it.
    fn fetch(&mut self, slot: u32, to: usize, work: SimTime, (from, tokens): Fetch) -> Option<SimTime> {
        let seq = &self.seqs[slot];
        let hit = |index: usize| {
            let mut it = self.instances[index].borrow_mut();
            it.settle(self.now);
            it.hit_tokens(seq)
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
        let looks = self.looks(self.seqs[slot].request.id, Some(self.seqs[slot].replica));
        let seq = &self.seqs[slot];
        let fetched = seq.fetch.map_or(0, |(_, tokens)| tokens);
        let hit = looks.hit_tokens(seq.request.id, to).max(fetched);
        let work = looks.prefill_ps(to, seq.request.prompt.tokens - hit, hit);
        let ahead = looks.queue_ps(to).saturating_add(work).min(LONGEST_PS);
        let ttft = (there - seq.request.arrival) + SimTime(ahead);
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
            holder.hit_tokens(&self.seqs[slot]).min(tokens)
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
        self.tell(seq.replica, &Hook::Dispatched { request, instance });
    }

    fn migrate(&mut self, slot: u32, to: InstanceId, asked: Asked) {
        let seq = &self.seqs[slot];
        let (from, prompt, miss, id) = (seq.instance, seq.request.prompt.tokens, seq.booked_miss, seq.request.id);
        let replica = seq.replica;
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
        self.keep(replica, |books| books.withdrawn(from, prompt, miss));
        self.note(id, Stage::Withdrawn);
        self.note_move(from, id);
        self.dispatch(slot, to, SimTime::ZERO, asked);
    }

    /// A request that has not started leaves an instance for another one.
    pub(super) fn note_move(&mut self, from: usize, id: RequestId) {
        self.rows[id.index()].migrations += 1;
        self.instances[from].borrow_mut().note_move(self.now);
    }

    /// A request ends without its tokens.
    pub(super) fn conclude(&mut self, slot: u32, outcome: Outcome) {
        let seq = &self.seqs[slot];
        let request = seq.request;
        let row = &mut self.rows[request.id.index()];
        assert_eq!(row.outcome, Outcome::Open, "invariant: every request ends exactly once");
        (row.outcome, row.recomputed_tokens) = (outcome, seq.recomputed);
        self.tally.note(outcome);
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

/// What a scheduler said of a request beside where it goes.
#[derive(Clone, Copy)]
struct Asked {
    /// The cached prefix that it takes along.
    fetch: Option<Fetch>,
    /// The tokens that the scheduler expects cached there by books of its own.
    expected: Option<u32>,
}

impl Asked {
    fn of(request: RequestId, actions: &Actions) -> Self {
        let fetch = actions.list().iter().find_map(|&action| match action {
            Action::Fetch { request: of, from, tokens } if of == request => Some((from, tokens)),
            _ => None,
        });
        Self { fetch, expected: actions.expected(request) }
    }
}
