//! AIBrix `least-latency`: the least latency by the means of what each engine has completed.

use serde::{Deserialize, Serialize};

use crate::parts::Ties;
use crate::{Actions, Arrival, ClusterView, Decision, History, Scheduler, SchedulerDef, Signals, params_doc, typed};

/// AIBrix `least-latency` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-least-latency",
    summary: "the least latency by mean queue, prefill and decode times so far, rescaled to a common request",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/least_latency.go at e3e10f9 (2026-08-22)",
    deviations: &[
        "means are over all requests that an engine has completed; the product's lengths come from Prometheus, whose range \
         is a setting",
        "an engine that has completed nothing has a latency of 0 and attracts requests, as one in the product does that is \
         scraped before its first request",
    ],
    signals: Signals { history: true, ..Signals::NONE },
    hooks: false,
    params: || {
        params_doc::<Params>(&[(
            "queue_time",
            "whether the mean queue time counts, as the formula says; a file read elsewhere takes the simple value of a \
             histogram there, which is 0",
        )])
    },
    build: |params, context| {
        Ok(Box::new(LeastLatency { params: typed(params)?, ties: Ties::new(&context.streams), histories: Vec::new() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    queue_time: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { queue_time: true }
    }
}

struct LeastLatency {
    params: Params,
    ties: Ties,
    histories: Vec<History>,
}

/// The mean over instances of what is known of them, or else a guess.
fn common(known: impl Iterator<Item = f64>, guess: f64) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for value in known.filter(|&value| value > 0.0) {
        sum += value;
        count += 1;
    }
    if count == 0 { guess } else { sum / f64::from(count) }
}

/// A mean time in seconds for requests of `own` tokens, rescaled to requests of `common` tokens.
fn rescaled(history: &History, total_ps: u128, own: f64, common: f64) -> f64 {
    let seconds = history.mean(total_ps) / 1e12;
    seconds / if own > 0.0 { own } else { common } * common
}

impl Scheduler for LeastLatency {
    fn route(&mut self, _: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        self.histories.clear();
        self.histories.extend(view.members().iter().map(|&i| view.history(i)));
        let prompt = |h: &History| h.mean(u128::from(h.prompt_tokens));
        let output = |h: &History| h.mean(u128::from(h.output_tokens));
        let prompts = common(self.histories.iter().map(prompt), 10.0);
        let outputs = common(self.histories.iter().map(output), 100.0);
        let mut histories = self.histories.iter();
        let least = self.ties.least(view.members().iter().copied(), |i| {
            let h = histories.next().expect("one for each member");
            let queue = if self.params.queue_time { h.mean(h.queue_ps) / 1e12 } else { 0.0 };
            let prefill = rescaled(h, h.prefill_ps, prompt(h), prompts);
            let latency = queue + prefill + rescaled(h, h.decode_ps, output(h), outputs);
            actions.score(i, latency);
            latency
        });
        Decision::Route(least.expect("a scheduler is asked only while there is a member"))
    }
}
