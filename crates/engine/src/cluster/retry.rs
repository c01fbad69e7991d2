//! Requests that lose their instance or their client.

use trimtab_core::{InstanceId, SimTime};
use trimtab_sched::Hook;

use super::{Class, Simulation};
use crate::dynamics::Clients;
use crate::record::Outcome;
use crate::router::Books;
use crate::timeline::Stage;

impl Simulation<'_> {
    /// The router asks the scheduler about a request, after a while.
    pub(super) fn ask_later(&mut self, slot: u32, pause: SimTime) {
        let set = self.set(self.now + pause, Class::Decision, slot);
        self.seqs[slot].deciding = Some(set);
    }

    /// The time of a decision has come, unless the request is gone.
    pub(super) fn decide_due(&mut self, slot: u32, set: u32) {
        if self.seqs[slot].deciding == Some(set) {
            self.seqs[slot].deciding = None;
            self.wait_for(slot);
            if self.seqs[slot].let_in {
                self.decide(slot);
            } else {
                self.knock(slot, 0);
            }
        }
    }

    /// A client begins to wait, if it has limits and does not wait already.
    pub(super) fn wait_for(&mut self, slot: u32) {
        if let Some(Clients { patience, .. }) = self.config.clients
            && self.seqs[slot].patience.is_none()
        {
            let set = self.set(self.now + patience, Class::Patience, slot);
            self.seqs[slot].patience = Some(set);
        }
    }

    /// Takes a request off its instance or its way there, before it has started.
    pub(super) fn withdraw(&mut self, slot: u32) {
        let index = self.seqs[slot].instance;
        if self.seqs[slot].delivery.is_some() {
            self.call_back(slot);
            self.seqs[slot].fetch = None;
        } else {
            let cut = self.with_instance(index, |it, now, world| it.dequeue(slot, now, world.seqs));
            self.reschedule(index, cut);
        }
        self.take_off_the_books(slot);
    }

    /// The router's books and the scheduler take note that a request left its instance before its end.
    fn take_off_the_books(&mut self, slot: u32) {
        let (feedback, seq) = (&mut self.feedback, &mut self.seqs[slot]);
        let (index, prompt, request) = (seq.instance, seq.request.prompt.tokens, seq.request.id);
        let (replica, known, miss) = (seq.replica, seq.known, seq.booked_miss);
        // Nobody will hear of its first token any more.
        feedback.cancel(seq.feedback.take());
        self.keep(replica, |books| {
            if known {
                books.ended(index, prompt);
            } else {
                books.withdrawn(index, prompt, miss);
            }
        });
        self.note(request, Stage::Withdrawn);
        self.tell(replica, &Hook::Withdrawn { request, instance: Some(InstanceId::from_index(index)) });
        self.stir(Some(replica));
        self.gate.stir();
    }

    /// A request lost its instance, which has forgotten it already.
    pub(super) fn lose(&mut self, slot: u32) {
        if self.seqs[slot].delivery.is_some() {
            self.call_back(slot);
            self.seqs[slot].fetch = None;
        }
        self.rows[self.seqs[slot].request.id.index()].lost += 1;
        self.take_off_the_books(slot);
        if self.seqs[slot].hung_up {
            self.ask_again(slot);
            return;
        }
        let recovery = self.config.dynamics.recovery;
        if self.seqs[slot].retries.lost < recovery.retries {
            self.seqs[slot].retries.lost += 1;
            self.rows[self.seqs[slot].request.id.index()].retries += 1;
            self.ask_later(slot, recovery.delay);
        } else {
            self.fail_request(slot);
        }
    }

    /// The patience of a client ends.
    pub(super) fn lose_patience(&mut self, slot: u32, set: u32) {
        let seq = &self.seqs[slot];
        let Some(Clients { until_end, .. }) = self.config.clients else { return };
        let (request, served) = (seq.request.id, self.rows[seq.request.id.index()].first_token != SimTime::MAX);
        if seq.patience != Some(set) || (served && !until_end) {
            return;
        }
        let seq = &mut self.seqs[slot];
        seq.patience = None;
        if seq.deciding.take().is_some() {
            self.ask_again(slot);
        } else if seq.gate.is_some() {
            self.leave_gate(slot);
            self.ask_again(slot);
        } else if seq.parked {
            seq.parked = false;
            self.parked -= 1;
            self.tell(self.seqs[slot].replica, &Hook::Withdrawn { request, instance: None });
            self.ask_again(slot);
        } else if let Some(at) = self.stranded.iter().position(|&other| other == slot) {
            self.stranded.remove(at);
            self.ask_again(slot);
        } else if self.seqs[slot].delivery.is_some() {
            self.withdraw(slot);
            self.ask_again(slot);
        } else {
            self.hang_up(slot);
        }
    }

    /// The client of a request that is on an instance hangs up.
    fn hang_up(&mut self, slot: u32) {
        let index = self.seqs[slot].instance;
        self.seqs[slot].hung_up = true;
        let (gone, cut) = self.with_instance(index, |it, now, world| it.hang_up(slot, now, world));
        self.reschedule(index, cut);
        self.idle.push(InstanceId::from_index(index).0);
        if gone {
            self.dropped(slot);
        } else {
            self.spread_news();
        }
        self.stop_if_drained(index);
    }

    /// An instance has let go of a request whose client hung up.
    pub(super) fn dropped(&mut self, slot: u32) {
        self.take_off_the_books(slot);
        self.ask_again(slot);
    }

    /// A client that hung up asks again, from scratch, or not any more.
    fn ask_again(&mut self, slot: u32) {
        self.rows[self.seqs[slot].request.id.index()].hung_up += 1;
        if !self.come_back(slot) {
            self.fleet.record.abandoned += 1;
            self.fail_request(slot);
        }
    }

    /// A client is turned away, and asks again if that is its way.
    pub(super) fn turn_away(&mut self, slot: u32) {
        if self.config.clients.is_some_and(|clients| clients.retry_rejected) && self.come_back(slot) {
            self.fleet.record.turned_back += 1;
            self.recent.turned_away += 1;
        } else {
            self.conclude(slot, Outcome::Rejected);
        }
    }

    /// A client will ask again, from scratch, if it has not asked too often.
    fn come_back(&mut self, slot: u32) -> bool {
        let Some(clients) = self.config.clients else { return false };
        let seq = &mut self.seqs[slot];
        (seq.hung_up, seq.patience, seq.generated) = (false, None, 0);
        seq.let_in = false;
        seq.start_over();
        if seq.retries.hung_up == clients.retries {
            return false;
        }
        let pause = clients.backoff.0.saturating_mul(1 << seq.retries.hung_up.min(20));
        seq.retries.hung_up += 1;
        let row = &mut self.rows[seq.request.id.index()];
        row.retries += 1;
        row.first_token = SimTime::MAX;
        self.last = self.now;
        self.ask_later(slot, SimTime(pause));
        true
    }

    fn fail_request(&mut self, slot: u32) {
        self.conclude(slot, Outcome::Failed);
    }

    /// Nothing more will happen: requests that found no instance have failed, and so have those that the scheduler keeps
    /// while it has none.
    pub(super) fn give_up_stranded(&mut self) -> bool {
        let mut stranded = std::mem::take(&mut self.stranded);
        if self.fleet.members.is_empty() {
            let mut parked: Vec<u32> = self.slots.values().copied().filter(|&slot| self.seqs[slot].parked).collect();
            parked.sort_unstable_by_key(|&slot| self.seqs[slot].request.id);
            self.parked -= parked.len() as u64;
            stranded.extend(parked);
        }
        for &slot in &stranded {
            self.fail_request(slot);
        }
        self.close_gate() || !stranded.is_empty()
    }
}
