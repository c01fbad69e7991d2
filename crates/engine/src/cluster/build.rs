//! A simulation from its configuration: instances, tiers, beliefs, and what a scheduler may know.

use std::cell::RefCell;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;

use trimtab_core::{FixedWorkload, Gaps, RngStreams, SimTime, Workload};
use trimtab_sched::autoscalers::Recent;
use trimtab_sched::{Actions, BuildContext, Counters, InstanceInfo, Scheduler, SchedulerDef, Signals};

use super::{Feedback, Fleet, Gate, Replicas, Simulation, Tally};
use crate::beliefs::Beliefs;
use crate::channel::Lag;
use crate::config::{ClusterConfig, DecisionLog, InstanceConfig, PrefixSignal};
use crate::cost::Predictor;
use crate::eviction::{self, CacheContext, EvictionConfig, Future};
use crate::instance::{Behind, Instance};
use crate::links::Links;
use crate::meter::LoadSpread;
use crate::record::BeliefSample;
use crate::reports::Reports;
use crate::router::{Books, Slots};
use crate::seq::Seqs;
use crate::tier::Tier;

/// Puts a simulation together and hands it over: it borrows what is made here.
pub(super) fn simulation<R>(
    config: &ClusterConfig,
    def: &SchedulerDef,
    schedulers: Vec<Box<dyn Scheduler>>,
    workload: &mut dyn Workload,
    through: impl FnOnce(Simulation<'_>) -> R,
) -> R {
    let clairvoyant = config.instances.iter().any(|instance| instance.eviction.def.clairvoyant) && workload.is_open();
    let mut foreseen = clairvoyant.then(|| FixedWorkload::foreseen(workload));
    let future = foreseen.as_ref().map(|all| Arc::new(Future::new(&all.forest, &all.requests)));
    let workload = foreseen.as_mut().map_or(workload, |all| all);
    let order = |(index, instance): (usize, &InstanceConfig)| {
        let order = eviction_order(config, index, instance, future.as_ref());
        RefCell::new(Instance::new(instance.clone(), order, config.series))
    };
    let instances: Vec<_> = config.instances.iter().enumerate().map(order).collect();
    attach_tiers(config, &instances);
    let count = instances.len();
    assert!(count > 0, "a cluster has at least one instance");
    let readers = config.admission.iter().map(|admission| (admission.name, admission.signals));
    for (name, signals) in std::iter::once((def.name, def.signals)).chain(readers) {
        config.signals.check_reader(name, signals).unwrap_or_else(|refusal| panic!("{refusal}"));
    }
    let streams = RngStreams::new(config.seed);
    let guesses = matches!(config.signals.prefix, PrefixSignal::Shadow { .. });
    let pictures = if guesses { schedulers.len() } else { 1 };
    let picture = |_| RefCell::new(Beliefs::new(config.signals.prefix, &config.instances, streams));
    let mut beliefs: Vec<_> = (0..pictures).map(picture).collect();
    if matches!(config.signals.prefix, PrefixSignal::Events { .. }) {
        beliefs[0].get_mut().follow(&instances);
    }
    let prediction = config.signals.prediction;
    let fleet = Fleet::new(&config.dynamics, count, streams);
    let looked_at = |signals: Signals| signals.snapshots || signals.history;
    let by_gate = config.admission.iter().any(|admission| looked_at(admission.signals));
    let load = if by_gate || looked_at(def.signals) { config.signals.load } else { Lag::default() };
    through(Simulation {
        config,
        workload,
        gate: Gate::new(&config.admission),
        tally: Tally::default(),
        replicas: Replicas::new(&config.router, schedulers, count),
        signals: def.signals,
        hooks: def.hooks,
        now: SimTime::ZERO,
        events: BinaryHeap::new(),
        set: 0,
        transit: vec![Vec::new(); count],
        links: Links::new(config.transfer.as_ref(), count),
        decisions: (config.decisions != DecisionLog::Off).then(Vec::new),
        beliefs,
        predictor: (!prediction.is_none())
            .then(|| Predictor::new(prediction, &streams).expect("the prediction error is sound")),
        reports: Reports::new(load, &instances, streams),
        feedback: Feedback::new(&config.signals, streams),
        sample: config.signals.can_be_wrong().then(BeliefSample::default),
        spread: LoadSpread::new(fleet.members.len()),
        fleet,
        scaler: config.dynamics.scaling.as_ref().map(|scaling| (scaling.make)()),
        recent: Recent::default(),
        seen: 0,
        stranded: Vec::new(),
        idle: Vec::new(),
        seqs: Seqs::default(),
        slots: Slots::default(),
        counters: Counters::with_instances(count),
        parked: 0,
        actions: Actions::new(config.decisions != DecisionLog::Off),
        news: Vec::new(),
        rows: Vec::new(),
        gaps: Gaps::new(),
        last: SimTime::ZERO,
        timeline: None,
        instances,
    })
}

/// Puts the tiers behind the caches.
fn attach_tiers(config: &ClusterConfig, instances: &[RefCell<Instance>]) {
    let Some(tier) = config.tier else { return };
    let members = if tier.shared { instances.len() } else { 1 };
    let mut shared = None;
    for (index, instance) in instances.iter().enumerate() {
        let block = instance.borrow().config.block_tokens;
        assert!(
            !tier.shared || block == config.instances[0].block_tokens,
            "the instances of a pool have blocks of one size"
        );
        let new = || Rc::new(RefCell::new(Tier::new(tier, members, block)));
        let behind = if tier.shared {
            Behind { tier: Rc::clone(shared.get_or_insert_with(new)), member: index }
        } else {
            Behind { tier: new(), member: 0 }
        };
        instance.borrow_mut().attach(behind);
    }
}

/// The order of eviction of an instance.
fn eviction_order(
    config: &ClusterConfig,
    index: usize,
    instance: &InstanceConfig,
    future: Option<&Arc<Future>>,
) -> eviction::Order {
    let context = CacheContext {
        blocks: instance.kv_blocks,
        block_tokens: instance.block_tokens,
        rng: RngStreams::new(config.seed).stream(&format!("eviction/instance-{index}")),
        cost: instance.cost.clone(),
        max_batched_tokens: instance.max_batched_tokens,
        future: future.cloned(),
    };
    let EvictionConfig { def, params } = &instance.eviction;
    (def.build)(params, &context).unwrap_or_else(|error| panic!("eviction policy `{}`: {error}", def.name))
}

/// What a scheduler may know of a cluster when it is built.
pub fn build_context(config: &ClusterConfig) -> BuildContext {
    BuildContext {
        instances: config.instances.iter().map(info).collect(),
        streams: RngStreams::new(config.seed),
        slo_ttft: config.slo_ttft,
    }
}

/// Sustained prefill speed of an instance, in tokens per second, for prompts of typical length.
pub fn prefill_tokens_per_s(config: &InstanceConfig) -> u64 {
    // A typical prompt: 8,192 tokens, in steps of the instance's budget.
    let typical = 8_192;
    let ps = config.cost.prefill_time(typical, 0, config.max_batched_tokens).max(1);
    u64::try_from(u128::from(typical) * u128::from(trimtab_core::PS_PER_S) / u128::from(ps)).unwrap_or(u64::MAX)
}

fn info(config: &InstanceConfig) -> InstanceInfo {
    InstanceInfo {
        kv_blocks: config.kv_blocks,
        block_tokens: config.block_tokens,
        max_batched_tokens: config.max_batched_tokens,
        max_seqs: config.max_seqs,
        prefill_tokens_per_s: prefill_tokens_per_s(config),
    }
}
