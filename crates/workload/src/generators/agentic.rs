//! Agents in long tool loops: the same growing context again and again, seconds apart.
//!
//! Shaped after public traces of coding agents (Weka's Claude Code sessions: about 100 000 input and 900 output tokens per
//! request); the laws are a choice made here.

use super::multi_turn::{MEANINGS, Params, build};
use super::{WorkloadDef, docs_of, typed_over};
use crate::arrivals::ArrivalSpec;
use crate::law::Law;

pub(crate) static DEF: WorkloadDef = WorkloadDef {
    name: "agentic",
    summary: "agents in long tool loops, with a growing context and gaps of seconds",
    citation: "shape of kv-cache-tester's traces of coding agents; laws chosen here",
    params: || docs_of(&defaults(), MEANINGS),
    build: |params, setup| build(typed_over(defaults(), params)?, setup),
};

fn defaults() -> Params {
    Params {
        rate: 2.0,
        arrivals: ArrivalSpec::default(),
        system_tokens: 16_000,
        turns: Law::Lognormal(35.0, 0.8),
        max_turns: 400,
        first: Law::Lognormal(1500.0, 1.0),
        later: Law::Lognormal(700.0, 1.3),
        output: Law::Mix(vec![(0.85, Law::Lognormal(250.0, 0.8)), (0.15, Law::Lognormal(2500.0, 0.7))]),
        gap: Law::Mix(vec![(0.9, Law::Lognormal(12.0, 0.7)), (0.1, Law::Lognormal(120.0, 1.0))]),
        think: Law::Mix(vec![(0.9, Law::Lognormal(2.0, 1.2)), (0.1, Law::Lognormal(90.0, 1.0))]),
        context: 200_000,
        known_outputs: true,
    }
}
