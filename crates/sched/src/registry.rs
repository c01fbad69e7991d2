//! The list of schedulers, and how one is built from its parameters.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use trimtab_core::params::{ParamError, documented};
use trimtab_core::{RngStreams, SimTime, nearest_name};

use crate::{Scheduler, Signals, policies};

/// What a policy may know when it is built.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The instances at the start, by id; more may join.
    pub instances: Vec<InstanceInfo>,
    /// Seeded streams; a policy draws from `scheduler`.
    pub streams: RngStreams,
    /// The TTFT objective, when the spec has one.
    pub slo_ttft: Option<SimTime>,
}

/// The public facts of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceInfo {
    /// KV cache blocks.
    pub kv_blocks: u64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step.
    pub max_batched_tokens: u32,
    /// Sequence limit of a step.
    pub max_seqs: u32,
    /// Sustained prefill speed, tokens per second, for prompts of typical length.
    pub prefill_tokens_per_s: u64,
}

/// Builds a scheduler from a JSON object of parameters.
pub type BuildFn = fn(&Value, &BuildContext) -> Result<Box<dyn Scheduler>, ParamError>;

/// A scheduler in the registry.
#[derive(Clone, Copy)]
pub struct SchedulerDef {
    /// Its name on the command line, lower-case kebab.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Where it comes from: paper, product and version.
    pub citation: &'static str,
    /// How it differs from its source, one entry each.
    pub deviations: &'static [&'static str],
    /// The signals it reads.
    pub signals: Signals,
    /// Whether it wants [`Scheduler::hook`] calls.
    pub hooks: bool,
    /// Its parameters with their defaults.
    pub params: fn() -> ParamsDoc,
    /// Builds it from a JSON object of parameters.
    pub build: BuildFn,
}

impl fmt::Debug for SchedulerDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerDef").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The documentation of a parameter struct.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParamsDoc {
    /// For each parameter, in order: name, default, meaning and the source of the default.
    pub params: Vec<(&'static str, Value, &'static str)>,
}

/// Documents a parameter struct: its defaults come from `Default`, its text from `docs` (name, meaning and source), which
/// must name every field once.
pub fn params_doc<P: Default + Serialize>(docs: &[(&'static str, &'static str)]) -> ParamsDoc {
    ParamsDoc { params: documented(&P::default(), docs) }
}

/// The parameters of a policy that has none.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// The documentation of [`NoParams`].
pub fn no_params() -> ParamsDoc {
    ParamsDoc::default()
}

/// Lays the user's parameters over a named set of defaults: `preset = "..."` chooses among `sets`, the first of which is
/// that of the parameter struct itself and changes nothing. What the user writes out wins. Then read them with [`crate::typed`].
pub fn preset(params: &Value, sets: &[(&str, Value)]) -> Result<Value, ParamError> {
    let Some(name) = params.get("preset").and_then(Value::as_str) else { return Ok(params.clone()) };
    let Some((_, set)) = sets.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = sets.iter().map(|&(known, _)| known).collect();
        let hint = match nearest_name(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        return Err(ParamError(format!("parameter `preset`: there is no `{name}`; {hint}")));
    };
    let mut merged = set.as_object().cloned().unwrap_or_default();
    merged.extend(params.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    Ok(Value::Object(merged))
}

/// The schedulers that a run can choose from.
#[derive(Clone, Debug)]
pub struct Registry {
    defs: Vec<SchedulerDef>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { defs: policies::ALL.to_vec() }
    }
}

impl Registry {
    /// The built-in schedulers and one more, defined elsewhere: how a crate of your own adds a policy without a fork.
    #[must_use]
    pub fn with(mut self, def: SchedulerDef) -> Self {
        assert!(self.get(def.name).is_none(), "a scheduler named `{}` is already registered", def.name);
        self.defs.push(def);
        self
    }

    /// All schedulers, in the order of the list.
    pub fn all(&self) -> &[SchedulerDef] {
        &self.defs
    }

    /// The scheduler of this name.
    pub fn get(&self, name: &str) -> Option<&SchedulerDef> {
        self.defs.iter().find(|def| def.name == name)
    }
}
