//! Chat in several turns, as in Mooncake's conversation trace.
//!
//! Fitted to that trace (kvcache-ai/Mooncake, FAST'25, 12 031 requests in one hour; see docs/workloads.md for what the fit
//! achieves). A session's first prompt is what the window shows first, so it may already be long. The trace has sharing
//! in blocks of 512 tokens; here it is exact to the token.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trimtab_core::{PrefixForest, PrefixId, SimTime, StreamRng, normal, uniform01};

use super::{
    Built, ParamError, Setup, WorkloadDef, docs, require, require_arrivals, require_law, require_rate, seconds, typed,
};
use crate::arrivals::{ArrivalSpec, Drift};
use crate::law::{EvenPairs, Law, beta, whole};
use crate::sessions::{Content, Plan, Source, Turn};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "conversation",
    summary: "multi-turn chat fitted to Mooncake's conversation trace",
    citation: "Qin et al., Mooncake, FAST'25; laws fitted here to its public trace",
    params: || {
        docs::<Params>(&[
            ("rate", "requests per second, as reached within the first hour"),
            ("arrivals", "how sessions arrive"),
            ("tick_ms", "arrival times are rounded down to multiples of this"),
            ("base_tokens", "system prompt that all prompts share"),
            ("first", "tokens of a session's first prompt beyond the system prompt"),
            ("output", "output tokens"),
            ("max_output", "longest output"),
            ("user", "tokens that the user adds in a later turn"),
            ("stop", "a and b: after turn n a session stops with probability a / (a + b + n - 1)"),
            ("gap", "seconds from one turn to the next"),
            ("edit_share", "share of later turns that go back and keep only a part"),
            ("edit_keep", "a and b of the beta law of the part that they keep"),
            ("edit_sigma", "spread of the logarithm of their length relative to the turn before"),
            ("context", "a session ends before its prompt exceeds this"),
            ("known_outputs", "whether later turns are known to contain earlier outputs, so that these can be cached"),
        ])
    },
    build: |params, setup| {
        let p: Params = typed(params)?;
        let rate = setup.rate.unwrap_or(p.rate);
        let tick = p.tick();
        let spec = p.arrivals.clone();
        let source = Conversation::new(p, setup, "")?;
        let stream = setup.stream(source, &spec, rate / TURNS_IN_AN_HOUR, "sessions", "sessions");
        Ok(Built { streams: vec![stream], tick })
    },
};

/// Requests per session that fall into the first hour with the default laws, by simulation over 200 seeds. It turns a rate
/// of requests into one of sessions.
pub(super) const TURNS_IN_AN_HOUR: f64 = 1.665;

/// Longest session.
const MAX_TURNS: u32 = 10_000;
/// Blocks of the fitted trace, at which edits cut.
const BLOCK: u32 = 512;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Params {
    rate: f64,
    arrivals: ArrivalSpec,
    tick_ms: u32,
    base_tokens: u32,
    pub(super) first: Law,
    pub(super) output: Law,
    max_output: u32,
    user: Law,
    stop: [f64; 2],
    gap: Law,
    edit_share: f64,
    edit_keep: [f64; 2],
    edit_sigma: f64,
    context: u32,
    known_outputs: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 3.4,
            arrivals: ArrivalSpec { drift: Some(Drift { cv: 0.05, tau_s: 300.0 }), ..ArrivalSpec::default() },
            tick_ms: 3000,
            base_tokens: 890,
            first: first_prompts(1.0),
            output: Law::Mix(vec![
                (0.145, Law::Lognormal(18.0, 0.9)),
                (0.83, Law::Normal(374.0, 165.0)),
                (0.025, Law::Lognormal(950.0, 0.45)),
            ]),
            max_output: 2000,
            user: Law::Mix(vec![(0.796, Law::Lognormal(18.0, 1.2)), (0.204, Law::Lognormal(3075.0, 0.742))]),
            stop: [2.88, 1.70],
            gap: Law::Lognormal(152.0, 1.10),
            edit_share: 0.18,
            edit_keep: [0.60, 1.22],
            edit_sigma: 0.38,
            context: 126_200,
            known_outputs: false,
        }
    }
}

/// First prompts of the conversation trace, all lengths times `scale`.
pub(super) fn first_prompts(scale: f64) -> Law {
    Law::Mix(vec![
        (0.150, Law::Lognormal(12.0 * scale, 1.1)),
        (0.110, Law::Lognormal(420.0 * scale, 0.85)),
        (0.705, Law::Lognormal(7500.0 * scale, 0.943)),
        (0.035, Law::Lognormal(55_000.0 * scale, 0.55)),
    ])
}

impl Params {
    pub(super) fn tick(&self) -> SimTime {
        SimTime(u64::from(self.tick_ms) * trimtab_core::PS_PER_MS)
    }

    fn check(&self) -> Result<(), ParamError> {
        require_rate(self.rate)?;
        require_arrivals(&self.arrivals)?;
        for (law, name) in [(&self.first, "first"), (&self.output, "output"), (&self.user, "user"), (&self.gap, "gap")]
        {
            require_law(law, name)?;
        }
        require(self.base_tokens > 0, "base_tokens", "at least 1")?;
        require(self.max_output > 0, "max_output", "at least 1")?;
        require(self.stop[0] > 0.0 && self.stop[1] >= 0.0, "stop", "a positive and a non-negative number")?;
        require((0.0..=1.0).contains(&self.edit_share), "edit_share", "a share")?;
        require(self.edit_keep.iter().all(|&k| k > 0.0 && k < 1e6), "edit_keep", "two positive numbers")?;
        require((0.0..=3.0).contains(&self.edit_sigma), "edit_sigma", "between 0 and 3")?;
        let room = self.context > self.base_tokens && self.context < u32::MAX / 4;
        require(room, "context", "more than base_tokens, and below 2^30")
    }
}

/// Draws conversations.
pub(super) struct Conversation {
    params: Params,
    base: PrefixId,
    rng: StreamRng,
    even: EvenPairs,
}

impl Conversation {
    pub(super) fn new(params: Params, setup: &mut Setup, name: &str) -> Result<Self, ParamError> {
        params.check()?;
        let base = setup.prefix(params.base_tokens);
        let even = EvenPairs::new(&mut setup.rng(&format!("even{name}")));
        Ok(Self { base, rng: setup.rng(&format!("lengths{name}")), even, params })
    }

    /// Length of the first prompt: at an even position of its law, redrawn where it exceeds the context.
    fn first_length(&mut self, u: f64) -> u32 {
        let p = &self.params;
        let mut first = p.first.quantile(u);
        for _ in 0..50 {
            let tokens = f64::from(p.base_tokens) + first.max(1.0);
            if tokens <= f64::from(p.context) {
                return whole(tokens);
            }
            first = p.first.draw(&mut self.rng);
        }
        p.context
    }

    /// Turns of a session, at an even position of their law.
    fn turns(&self, u: f64) -> u32 {
        let [a, b] = self.params.stop;
        let (mut n, mut more) = (1, 1.0);
        loop {
            more *= 1.0 - a / (a + b + f64::from(n - 1));
            if 1.0 - u > more || n == MAX_TURNS {
                return n;
            }
            n += 1;
        }
    }

    /// Length of the next prompt, and how much of the last one (and its output) it keeps.
    fn next_lengths(&mut self, tokens: u32, output: u32) -> (u32, u32) {
        let (p, rng) = (&self.params, &mut self.rng);
        let blocks = tokens / BLOCK;
        if uniform01(rng) < p.edit_share && blocks > 2 {
            let kept = whole(beta(rng, p.edit_keep[0], p.edit_keep[1]) * f64::from(blocks)).max(2) * BLOCK;
            let length = f64::from(tokens) * libm::exp(p.edit_sigma * normal(rng));
            return (kept.max(p.base_tokens), whole(length).max(kept.max(p.base_tokens) + 1));
        }
        let user = whole(p.user.draw(rng)).max(1);
        let kept = if p.known_outputs { tokens + output } else { tokens };
        (kept, tokens.saturating_add(output).saturating_add(user))
    }
}

impl Source for Conversation {
    fn next(&mut self, _: &mut PrefixForest, plan: &mut Plan) -> Option<()> {
        plan.base = Some(self.base);
        let (u, v) = self.even.draw();
        let mut tokens = self.first_length(u);
        let (mut gap, mut keep) = (SimTime::ZERO, 0);
        for _ in 0..self.turns(v) {
            let output = self.params.output.tokens(&mut self.rng, 1, self.params.max_output);
            plan.turns.push(Turn { gap, think: SimTime::ZERO, content: Content::Grown { keep, tokens }, output });
            gap = seconds(self.params.gap.draw(&mut self.rng));
            (keep, tokens) = self.next_lengths(tokens, output);
            if tokens > self.params.context {
                break;
            }
        }
        Some(())
    }

    fn output_known(&self) -> bool {
        self.params.known_outputs
    }
}

/// Parameters of the conversation part of another workload.
pub(super) fn typed_params(params: &Value) -> Result<Params, ParamError> {
    typed(params)
}
