//! Two machine templates and chat, as in Mooncake's tool and agent trace.
//!
//! From published shares of that trace (DualMap: 37.8 % and 14.9 % of requests start with one of two block chains) and
//! 92 rows of its older release; lengths of suffixes and outputs are indicative. The rest is the conversation process
//! with slightly shorter first prompts.

use serde::{Deserialize, Serialize};
use trimtab_core::{PrefixForest, PrefixId, StreamRng};

use super::conversation::{Conversation, TURNS_IN_AN_HOUR, first_prompts, typed_params};
use super::{Built, WorkloadDef, docs, require, require_arrivals, require_law, require_rate, typed};
use crate::arrivals::{ArrivalSpec, Drift};
use crate::law::Law;
use crate::sessions::{Plan, Source, Turn};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "toolagent",
    summary: "two hot templates and chat, fitted to Mooncake's tool and agent trace",
    citation: "Qin et al., Mooncake, FAST'25; hot shares as DualMap publishes them",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second, as reached within the first hour"),
            ("arrivals", "how sessions of each class arrive; add `bursts` or `states` to stress a scheduler"),
            ("shared_bursts", "whether the two templates drift and burst together"),
            ("tick_ms", "arrival times are rounded down to multiples of this"),
            ("a_share", "share of requests with the first template"),
            ("a_prefix", "tokens of the first template"),
            ("a_suffix", "tokens after it"),
            ("a_output", "output tokens after it"),
            ("b_share", "share of requests with the second template"),
            ("b_prefix", "tokens of the second template"),
            ("b_suffix", "tokens after it"),
            ("b_output", "output tokens after it"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let chat_share = 1.0 - p.a_share - p.b_share;
        require(p.a_share >= 0.0 && p.b_share >= 0.0 && chat_share > 0.0, "a_share", "a share, with b_share below 1")?;
        require_arrivals(&p.arrivals)?;
        let rate = setup.rate.unwrap_or(p.rate);
        require_rate(rate)?;
        let mut chat = typed_params(&serde_json::json!({ "tick_ms": p.tick_ms }))?;
        chat.first = first_prompts(0.94);
        chat.output = Law::Mix(vec![
            (0.145, Law::Lognormal(18.0, 0.9)),
            (0.82, Law::Normal(405.0, 165.0)),
            (0.035, Law::Lognormal(950.0, 0.45)),
        ]);
        let tick = chat.tick();
        let chat = Conversation::new(chat, setup, "/chat")?;
        let sessions = rate * chat_share / TURNS_IN_AN_HOUR;
        let mut streams = vec![setup.stream(chat, &p.arrivals, sessions, "chat", "chat")];
        for (name, share, prefix, suffix, output) in [
            ("a", p.a_share, p.a_prefix, &p.a_suffix, &p.a_output),
            ("b", p.b_share, p.b_prefix, &p.b_suffix, &p.b_output),
        ] {
            require(prefix > 0, "a_prefix", "at least 1, like b_prefix")?;
            require_law(suffix, "a_suffix or b_suffix")?;
            require_law(output, "a_output or b_output")?;
            let (suffix, output) = (suffix.clone(), output.clone());
            let rng = setup.rng(&format!("lengths/{name}"));
            let source = Template { prefix: setup.prefix(prefix), prefix_tokens: prefix, suffix, output, rng };
            let modulation = if p.shared_bursts { "templates" } else { name };
            if share > 0.0 {
                streams.push(setup.stream(source, &p.arrivals, rate * share, name, modulation));
            }
        }
        Ok(Built { streams, tick })
    },
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    shared_bursts: bool,
    tick_ms: u32,
    a_share: f64,
    a_prefix: u32,
    a_suffix: Law,
    a_output: Law,
    b_share: f64,
    b_prefix: u32,
    b_suffix: Law,
    b_output: Law,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 6.67,
            arrivals: ArrivalSpec { drift: Some(Drift { cv: 0.05, tau_s: 300.0 }), ..ArrivalSpec::default() },
            shared_bursts: false,
            tick_ms: 3000,
            a_share: 0.378,
            // 13 blocks of 512, and 8 tokens of the next.
            a_prefix: 13 * 512 + 8,
            a_suffix: Law::Mix(vec![(0.42, Law::Lognormal(27.0, 0.15)), (0.58, Law::Lognormal(560.0, 0.85))]),
            a_output: Law::Mix(vec![(0.62, Law::Constant(3.0)), (0.38, Law::Lognormal(30.0, 0.3))]),
            b_share: 0.149,
            b_prefix: 6 * 512 + 440,
            b_suffix: Law::Lognormal(130.0, 0.6),
            b_output: Law::Lognormal(20.5, 0.12),
        }
    }
}

/// One prefix with suffixes that share nothing.
struct Template {
    prefix: PrefixId,
    prefix_tokens: u32,
    suffix: Law,
    output: Law,
    rng: StreamRng,
}

/// Longest suffix and output.
const LONGEST: u32 = 1 << 20;

impl Source for Template {
    fn next(&mut self, _: &mut PrefixForest, plan: &mut Plan) -> Option<()> {
        plan.base = Some(self.prefix);
        let tokens = self.prefix_tokens + self.suffix.tokens(&mut self.rng, 1, LONGEST);
        plan.turns.push(Turn::first(tokens, self.output.tokens(&mut self.rng, 1, LONGEST)));
        Some(())
    }

    fn output_known(&self) -> bool {
        false
    }
}
