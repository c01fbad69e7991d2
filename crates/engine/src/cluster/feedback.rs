//! How the router learns of first tokens and of ends.
//!
//! Its clients' answers pass through it, so by default it knows at once. With `signals.feedback` it is told by reports,
//! which take their time: its books and its scheduler lag behind. Of a first token whose report is lost it learns with the
//! end, and a lost end it takes for granted after a time-out. What the router does itself (sending, calling back) it knows.

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, RngStreams, SimTime};
use trimtab_sched::Hook;

use super::{Class, Simulation};
use crate::channel::Channel;
use crate::config::SignalsConfig;
use crate::record::Outcome;
use crate::router::Books;

/// What a report says of a request.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// Where the request is, until it has ended.
    slot: Option<u32>,
    /// Who is told.
    replica: usize,
    /// As it was booked.
    index: usize,
    prompt: u32,
    miss: u32,
    /// Its first token came: the hook that says so.
    first_token: Option<Hook>,
    /// It ended.
    end: Option<Hook>,
}

/// The reports on their way to the router.
pub(super) struct Feedback {
    channel: Option<Channel>,
    timeout: SimTime,
    /// By the event of their arrival.
    coming: FxHashMap<u32, (SimTime, Word)>,
}

impl Feedback {
    pub(super) fn new(signals: &SignalsConfig, streams: RngStreams) -> Self {
        let lag = signals.feedback;
        let channel = (!lag.is_none()).then(|| Channel::new(lag, streams.stream("signals/feedback")));
        Self { channel, timeout: signals.feedback_timeout, coming: FxHashMap::default() }
    }

    /// A report will not come any more.
    pub(super) fn cancel(&mut self, event: Option<u32>) {
        event.map(|event| self.coming.remove(&event));
    }
}

impl Simulation<'_> {
    /// A request's first token came out.
    pub(super) fn report_first_token(&mut self, slot: u32, ttft: SimTime) {
        let seq = &self.seqs[slot];
        let (replica, index, prompt, miss) = (seq.replica, seq.instance, seq.request.prompt.tokens, seq.booked_miss);
        let hook = Hook::FirstToken { request: seq.request.id, instance: InstanceId::from_index(index), ttft };
        let word = Word { slot: Some(slot), replica, index, prompt, miss, first_token: Some(hook), end: None };
        if let Some(arrival) = self.travel(slot, 0) {
            self.pass_on(arrival, word);
        }
    }

    /// A request ended with its last token.
    pub(super) fn report_end(&mut self, slot: u32, e2e: SimTime) {
        let seq = &self.seqs[slot];
        let (replica, index, prompt, miss) = (seq.replica, seq.instance, seq.request.prompt.tokens, seq.booked_miss);
        let (request, instance) = (seq.request, InstanceId::from_index(index));
        let end = Hook::Finished { request: request.id, instance, output_tokens: request.output_tokens, e2e };
        // The end says that there was a first token, if nothing has said that or will before.
        let unknown = !seq.known && seq.feedback.is_none();
        let ttft = self.rows[request.id.index()].first_token.saturating_since(request.arrival);
        let first_token = unknown.then_some(Hook::FirstToken { request: request.id, instance, ttft });
        let lost = || self.now.checked_add(self.feedback.timeout).unwrap_or(SimTime::MAX);
        let mut arrival = self.travel(slot, 1).unwrap_or_else(lost);
        if let Some((before, word)) = seq.feedback.and_then(|event| self.feedback.coming.get_mut(&event)) {
            word.slot = None;
            arrival = arrival.max(*before);
        }
        self.tally.note(Outcome::Completed);
        self.forget(slot);
        self.pass_on(arrival, Word { slot: None, replica, index, prompt, miss, first_token, end: Some(end) });
    }

    /// When the report of a request's first token (0) or end (1) arrives, if it does.
    fn travel(&self, slot: u32, what: u64) -> Option<SimTime> {
        let Some(channel) = &self.feedback.channel else { return Some(self.now) };
        let seq = &self.seqs[slot];
        // A request is sent to instances a few times at most.
        let tries = u64::from(seq.retries.lost + seq.retries.hung_up) & 0xff;
        channel.arrival((u64::from(seq.request.id.0) << 9) | (tries << 1) | what, channel.lag.sent(self.now))
    }

    /// The router is told now, or by an event later.
    fn pass_on(&mut self, arrival: SimTime, word: Word) {
        if arrival == self.now {
            self.learn(word);
            return;
        }
        let event = self.set(arrival, Class::Feedback, 0);
        self.feedback.coming.insert(event, (arrival, word));
        if let Some(slot) = word.slot {
            self.seqs[slot].feedback = Some(event);
        }
    }

    /// A report arrives, unless the router has called the request back.
    pub(super) fn hear(&mut self, event: u32) {
        if let Some((_, word)) = self.feedback.coming.remove(&event) {
            self.learn(word);
        }
    }

    /// The books and the scheduler take note.
    fn learn(&mut self, word: Word) {
        if let Some(slot) = word.slot {
            (self.seqs[slot].known, self.seqs[slot].feedback) = (true, None);
        }
        if let Some(hook) = word.first_token {
            self.keep(word.replica, |books| books.prefilled(word.index, word.prompt, word.miss));
            self.tell(word.replica, &hook);
        }
        if let Some(hook) = word.end {
            self.keep(word.replica, |books| books.ended(word.index, word.prompt));
            self.tell(word.replica, &hook);
            self.stir(Some(word.replica));
        }
        self.gate.stir();
    }

    /// What was on its way at the end still goes into the books.
    pub(super) fn hear_the_rest(&mut self) {
        for (_, word) in std::mem::take(&mut self.feedback.coming).into_values() {
            if word.first_token.is_some() {
                self.counters.prefilled(word.index, word.prompt, word.miss);
            }
            if word.end.is_some() {
                self.counters.ended(word.index, word.prompt);
            }
        }
    }
}
