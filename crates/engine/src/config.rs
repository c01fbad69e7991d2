//! What an instance is.

use std::sync::Arc;

use trimtab_core::SimTime;

use crate::cost::StepCost;

/// One serving instance.
#[derive(Clone)]
pub struct InstanceConfig {
    /// How long a step takes.
    pub cost: Arc<dyn StepCost>,
    /// KV cache blocks.
    pub kv_blocks: u64,
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Token budget of a step: one for each decode, the rest for prefill chunks. At least `max_seqs`.
    pub max_batched_tokens: u32,
    /// Sequence limit of a step.
    pub max_seqs: u32,
    /// Whether decodes share a step with prefill chunks.
    pub mixing: Mixing,
    /// Which waiting request is admitted next.
    pub order: Order,
    /// Blocks that admission leaves free, so that running decodes can grow.
    pub watermark_blocks: u64,
    /// The prefix cache.
    pub cache: CacheConfig,
}

/// The prefix cache of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Off: nothing is ever reused.
    pub enabled: bool,
    /// Whether the final partial block of a prompt can be reused too, by a prompt that ends in the same tokens.
    pub partial_tail: bool,
    /// When a block can be hit.
    pub visible: Visible,
    /// What happens to the full blocks of generated tokens that no later prompt can name.
    pub generated: Generated,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { enabled: true, partial_tail: false, visible: Visible::Computed, generated: Generated::Free }
    }
}

/// When a block can be hit by another request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visible {
    /// Once the step that computes it has ended.
    #[default]
    Computed,
    /// As soon as it is scheduled, as vLLM does; a later request of the same step can hit it.
    Scheduled,
}

/// What happens at the end to generated blocks without identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generated {
    /// They are free at once.
    #[default]
    Free,
    /// Full ones take room in the cache until they are evicted, as in vLLM, though nothing can hit them.
    Keep,
}

/// Whether decodes share a step with prefill chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mixing {
    /// Every step decodes all running sequences and fills the rest of the budget with prefill chunks (vLLM v1).
    #[default]
    DecodeFirst,
    /// A step that can prefill anything does nothing else; decodes wait (vLLM v0 and older engines).
    PrefillFirst,
}

/// Which waiting request is admitted next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// First come, first served; preempted requests first.
    #[default]
    Fcfs,
    /// The longest cached prefix (in tokens, at the time of the step) first, then first come; preempted requests first.
    LongestPrefix,
}

/// How time advances. Both give the same results to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stepping {
    /// Runs of decode steps over an unchanged batch are computed in closed form.
    #[default]
    Macro,
    /// One step at a time.
    Every,
}

/// A whole run.
#[derive(Clone)]
pub struct ClusterConfig {
    /// The instances, by id.
    pub instances: Vec<InstanceConfig>,
    /// The seed of every random stream.
    pub seed: u64,
    /// How time advances.
    pub stepping: Stepping,
    /// The TTFT objective, for attainment and for schedulers that use one.
    pub slo_ttft: Option<SimTime>,
    /// Whether to keep all measurements by 10 s window.
    pub series: bool,
}
