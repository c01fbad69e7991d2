//! SGLang's least load: the fewest characters of prompts that were sent and not yet answered.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trimtab_core::SimTime;

use super::sglang_power_of_two::PolledLoads;
use crate::parts::characters;
use crate::{
    Actions, Arrival, BuildContext, ClusterView, Decision, Hook, ParamError, Scheduler, SchedulerDef, Signals,
    params_doc, require, typed,
};

/// SGLang's least-load policy in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "sglang-least-load",
    summary: "the worker with the fewest characters of unanswered prompts, answers assumed in the order of sending",
    citation: "SGLang model gateway, `least_load`: sgl-model-gateway/src/policies/least_load.rs (3c2eb5a), read 2026-11",
    deviations: &[
        "a worker that leaves takes its load along; the source keeps it until the failed requests are counted as answered",
        "a poll happens at the first decision after its time",
    ],
    signals: Signals { snapshots: true, ..Signals::NONE },
    hooks: true,
    params: || {
        params_doc::<Params>(&[
            ("chars_per_token", "characters of a token; 4 is usual for English"),
            ("poll_s", "seconds between two polls whose token loads overwrite the character counts, units mixed as in the \
              source; 0, the default: never, since its monitor runs for `power_of_two` alone"),
            ("answers", "`fifo`: an answer takes the oldest load off, as in the source; `exact`: its own"),
        ])
    },
    build,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    chars_per_token: f64,
    poll_s: f64,
    answers: Answers,
}

impl Default for Params {
    fn default() -> Self {
        Self { chars_per_token: 4.0, poll_s: 0.0, answers: Answers::Fifo }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Answers {
    Fifo,
    Exact,
}

fn build(params: &serde_json::Value, context: &BuildContext) -> Result<Box<dyn Scheduler>, ParamError> {
    let params: Params = typed(params)?;
    require(params.chars_per_token > 0.0 && params.chars_per_token < 1e3, "chars_per_token", "positive")?;
    let period = SimTime::from_secs_f64(params.poll_s)
        .ok_or_else(|| ParamError("parameter `poll_s` must be a span of time".into()))?;
    let block_tokens = context.instances.iter().map(|info| info.block_tokens).collect();
    let polled = (period > SimTime::ZERO).then(|| PolledLoads::new(period, block_tokens));
    Ok(Box::new(LeastLoad { params, polled, workers: Vec::new() }))
}

struct LeastLoad {
    params: Params,
    polled: Option<PolledLoads>,
    workers: Vec<Worker>,
}

#[derive(Default)]
struct Worker {
    load: u64,
    /// Request and characters, in the order of sending.
    pending: VecDeque<(trimtab_core::RequestId, u64)>,
}

impl Scheduler for LeastLoad {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let highest = view.members().last().expect("a scheduler is asked only while there is a member");
        if self.workers.len() <= highest.index() {
            self.workers.resize_with(highest.index() + 1, Worker::default);
        }
        if let Some(polled) = &mut self.polled
            && polled.refresh(view)
        {
            for &i in view.members() {
                self.workers[i.index()].load = polled.of(i).unwrap_or(0);
            }
        }
        let chosen = view.argmin(|i| {
            let load = self.workers[i.index()].load;
            actions.score(i, load as f64);
            load
        });
        let load = characters(arrival.prompt.tokens, self.params.chars_per_token);
        let worker = &mut self.workers[chosen.index()];
        worker.load += load;
        worker.pending.push_back((arrival.id, load));
        Decision::Route(chosen)
    }

    fn hook(&mut self, hook: &Hook, _: &ClusterView<'_>, _: &mut Actions) {
        match *hook {
            Hook::Finished { request, instance, .. } | Hook::Withdrawn { request, instance: Some(instance) } => {
                let Some(worker) = self.workers.get_mut(instance.index()) else { return };
                let position = match self.params.answers {
                    Answers::Fifo => 0,
                    Answers::Exact => match worker.pending.iter().position(|&(id, _)| id == request) {
                        Some(position) => position,
                        // Sent before the worker was lost and found again.
                        None => return,
                    },
                };
                // An answer that nothing is known of counts as one character.
                let load = worker.pending.remove(position).map_or(1, |(_, load)| load);
                worker.load = worker.load.saturating_sub(load);
            }
            Hook::Left { instance } => {
                if let Some(worker) = self.workers.get_mut(instance.index()) {
                    *worker = Worker::default();
                }
            }
            _ => {}
        }
    }
}
