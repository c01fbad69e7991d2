//! Sessions of several turns with a known number of turns: the plain shape, with every law free.

use serde::{Deserialize, Serialize};
use trimtab_core::{PrefixForest, PrefixId, SimTime, StreamRng};

use super::{
    Built, ParamError, Setup, WorkloadDef, docs, require, require_arrivals, require_law, require_rate, seconds, typed,
};
use crate::arrivals::ArrivalSpec;
use crate::law::Law;
use crate::sessions::{Content, Plan, Source, Turn};

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "multi-turn",
    summary: "sessions whose turns contain all earlier turns and answers",
    citation: "plain shape; defaults are a chat of a few short turns",
    params: || docs::<Params>(MEANINGS),
    build: |params, setup| build(typed(params)?, setup),
};

/// What the parameters mean.
pub(super) const MEANINGS: &[(&str, &str)] = &[
    ("rate", "requests per second, in the long run"),
    ("arrivals", "how sessions arrive"),
    ("system_tokens", "prefix that all sessions share; 0 for none"),
    ("turns", "turns of a session"),
    ("max_turns", "at most"),
    ("first", "tokens that the first turn adds"),
    ("later", "tokens that a later turn adds, besides the answer before it"),
    ("output", "output tokens"),
    ("gap", "seconds from one turn to the next (open loop)"),
    ("think", "seconds from the end of a turn to the next (closed loop)"),
    ("context", "a session ends before its prompt exceeds this"),
    ("known_outputs", "whether later turns contain earlier outputs, so that these can be cached"),
];

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Params {
    pub(super) rate: f64,
    pub(super) arrivals: ArrivalSpec,
    pub(super) system_tokens: u32,
    pub(super) turns: Law,
    pub(super) max_turns: u32,
    pub(super) first: Law,
    pub(super) later: Law,
    pub(super) output: Law,
    pub(super) gap: Law,
    pub(super) think: Law,
    pub(super) context: u32,
    pub(super) known_outputs: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: 5.0,
            arrivals: ArrivalSpec::default(),
            system_tokens: 500,
            turns: Law::Uniform(1.0, 10.0),
            max_turns: 100,
            first: Law::Lognormal(200.0, 1.0),
            later: Law::Lognormal(60.0, 1.0),
            output: Law::Lognormal(250.0, 0.8),
            gap: Law::Lognormal(60.0, 0.8),
            think: Law::Lognormal(30.0, 0.8),
            context: 32_768,
            known_outputs: true,
        }
    }
}

/// Sessions that a mean is taken over, to turn a rate of requests into one of sessions.
const PILOT: u32 = 20_000;

/// Sessions with these parameters.
pub(super) fn build(p: Params, setup: &mut Setup) -> Result<Built, ParamError> {
    let rate = setup.rate.unwrap_or(p.rate);
    require_rate(rate)?;
    require_arrivals(&p.arrivals)?;
    for (law, name) in [
        (&p.turns, "turns"),
        (&p.first, "first"),
        (&p.later, "later"),
        (&p.output, "output"),
        (&p.gap, "gap"),
        (&p.think, "think"),
    ] {
        require_law(law, name)?;
    }
    require((1..=100_000).contains(&p.max_turns), "max_turns", "1 to 100 000")?;
    require(p.context > p.system_tokens && p.context < 1 << 30, "context", "more than system_tokens, below 2^30")?;
    let base = (p.system_tokens > 0).then(|| setup.prefix(p.system_tokens));
    let spec = p.arrivals.clone();
    let mut pilot = MultiTurn { params: p.clone(), base: None, rng: setup.rng("pilot") };
    let mut plan = Plan::default();
    let mut forest = PrefixForest::new();
    let mut turns = 0;
    for _ in 0..PILOT {
        plan.turns.clear();
        pilot.next(&mut forest, &mut plan);
        turns += plan.turns.len();
    }
    let sessions = rate * f64::from(PILOT) / turns as f64;
    let source = MultiTurn { params: p, base, rng: setup.rng("lengths") };
    Ok(Built::one(setup.stream(source, &spec, sessions, "sessions", "sessions")))
}

struct MultiTurn {
    params: Params,
    base: Option<PrefixId>,
    rng: StreamRng,
}

impl Source for MultiTurn {
    fn next(&mut self, _: &mut PrefixForest, plan: &mut Plan) -> Option<()> {
        let (p, rng) = (&self.params, &mut self.rng);
        plan.base = self.base;
        let count = p.turns.tokens(rng, 1, p.max_turns);
        let mut tokens = p.system_tokens + p.first.tokens(rng, 1, p.context - p.system_tokens);
        let (mut keep, mut gap, mut think) = (0, SimTime::ZERO, SimTime::ZERO);
        for _ in 0..count {
            let output = p.output.tokens(rng, 1, p.context);
            plan.turns.push(Turn { gap, think, content: Content::Grown { keep, tokens }, output });
            keep = if p.known_outputs { tokens + output } else { tokens };
            tokens = tokens + output + p.later.tokens(rng, 1, p.context);
            if tokens > p.context {
                break;
            }
            gap = seconds(p.gap.draw(rng));
            think = seconds(p.think.draw(rng));
        }
        Some(())
    }

    fn output_known(&self) -> bool {
        self.params.known_outputs
    }
}
