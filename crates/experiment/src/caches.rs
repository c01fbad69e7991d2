//! Replays of the caches alone: policies by capacities, no timing.

use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::{PrefixForest, Request, RngStreams};
use trimtab_engine::{CacheContext, CacheHits, EvictionConfig, Future, Stepping, replay_cache};
use trimtab_workload::stats::lru_hits;

use crate::build::ScenarioError;
use crate::scenario::Scenario;

/// Where each request goes, decided by the request alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StaticRouter {
    /// One after the other.
    #[default]
    RoundRobin,
    /// A session stays where its first request went, round robin; as does a prompt without session that begins alike.
    Session,
    /// Prompts that begin with the same node stay together, round robin by first sight.
    Prefix,
}

/// What to replay.
#[derive(Clone, Debug)]
pub struct CacheStudy {
    /// The policies, by the names they get in the result.
    pub policies: Vec<(String, EvictionConfig)>,
    /// Blocks of each instance's cache.
    pub capacities: Vec<u64>,
    /// Tokens of a block.
    pub block_tokens: u32,
    /// Whether the partial last block of a prompt is cached and matched too.
    pub partial_tail: bool,
    /// How many caches.
    pub instances: usize,
    /// Who goes where.
    pub router: StaticRouter,
    /// Seed of the random policies.
    pub seed: u64,
}

/// The hit ratio of one policy at one capacity. The names of the fields are those of the JSON output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CachePoint {
    /// The policy.
    pub policy: String,
    /// Blocks of each cache.
    pub capacity_blocks: u64,
    /// Blocks hit over all blocks.
    pub hit_blocks: f64,
    /// Tokens hit over all prompt tokens.
    pub hit_tokens: f64,
}

/// Replays requests in order through every policy at every capacity. LRU takes one pass for all capacities, the rest one
/// for each, in parallel.
pub fn study(
    forest: &PrefixForest,
    requests: &[Request],
    study: &CacheStudy,
) -> Result<Vec<CachePoint>, ScenarioError> {
    let parts = route(forest, requests, study.instances, study.router);
    let clairvoyant = study.policies.iter().any(|(_, policy)| policy.def.clairvoyant);
    let future = clairvoyant.then(|| Arc::new(Future::new(forest, requests)));
    let instance = &Scenario::default().cluster_config(Stepping::Macro, false)?.instances[0];
    let (blocks, tokens) = requests.iter().fold((0, 0), |(blocks, tokens), request| {
        let prompt = request.prompt.tokens;
        (blocks + u64::from(prompt.div_ceil(study.block_tokens)), tokens + u64::from(prompt))
    });
    let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let point = |policy: &str, capacity_blocks, hit_blocks, hit_tokens| CachePoint {
        policy: policy.into(),
        capacity_blocks,
        hit_blocks: ratio(hit_blocks, blocks),
        hit_tokens: ratio(hit_tokens, tokens),
    };
    let one_pass = || {
        let passes = parts
            .par_iter()
            .map(|part| lru_hits(forest, part, study.block_tokens, study.partial_tail, &study.capacities));
        passes.reduce(
            || vec![(0, 0); study.capacities.len()],
            |a, b| a.iter().zip(&b).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect(),
        )
    };
    let replay = |policy: &EvictionConfig, capacity: u64| -> Result<CacheHits, ScenarioError> {
        parts
            .par_iter()
            .enumerate()
            .try_fold(CacheHits::default, |sum, (index, part)| {
                let context = CacheContext {
                    blocks: capacity,
                    block_tokens: study.block_tokens,
                    rng: RngStreams::new(study.seed).stream(&format!("eviction/instance-{index}")),
                    cost: instance.cost.clone(),
                    max_batched_tokens: instance.max_batched_tokens,
                    future: future.clone(),
                };
                let order = (policy.def.build)(&policy.params, &context).map_err(|error| ScenarioError::Invalid {
                    field: "eviction",
                    detail: format!("`{}`: {error}", policy.def.name),
                })?;
                let size = (capacity, study.block_tokens);
                Ok(sum.plus(replay_cache(forest, part.iter(), size, study.partial_tail, order)))
            })
            .try_reduce(CacheHits::default, |a, b| Ok(a.plus(b)))
    };
    let curves = study.policies.par_iter().map(|(name, policy)| {
        if policy.def.name == "lru" {
            let hits = one_pass();
            let points = study.capacities.iter().zip(hits);
            return Ok(points.map(|(&capacity, (b, t))| point(name, capacity, b, t)).collect());
        }
        let points = study.capacities.par_iter().map(|&capacity| {
            replay(policy, capacity).map(|hits| point(name, capacity, hits.hit_blocks, hits.hit_tokens))
        });
        points.collect::<Result<Vec<_>, _>>()
    });
    Ok(curves.collect::<Result<Vec<_>, ScenarioError>>()?.concat())
}

/// The requests of each instance, in order.
fn route(forest: &PrefixForest, requests: &[Request], instances: usize, router: StaticRouter) -> Vec<Vec<Request>> {
    let mut parts = vec![Vec::new(); instances];
    let mut homes: FxHashMap<(bool, u32), usize> = FxHashMap::default();
    let mut next = 0;
    for (index, request) in requests.iter().enumerate() {
        let head = || forest.node_at(request.prompt, 1).map(|node| (false, node.0));
        let key = match router {
            StaticRouter::RoundRobin => None,
            StaticRouter::Session => request.session.map(|session| (true, session.0)).or_else(head),
            StaticRouter::Prefix => head(),
        };
        let home = match key {
            None => index % instances,
            Some(key) => *homes.entry(key).or_insert_with(|| {
                next += 1;
                (next - 1) % instances
            }),
        };
        parts[home].push(*request);
    }
    parts
}
