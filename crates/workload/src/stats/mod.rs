//! What a workload is like: lengths, arrivals, sharing, reuse, sessions, and the hit ratio of an LRU cache of any size.
//!
//! All of it comes from one pass over the requests.

mod arrivals;
mod curves;
mod recency;
mod sharing;
mod table;

use serde::Serialize;
use trimtab_core::{PrefixForest, PrefixId, Request};

use crate::trace::Trace;
pub use arrivals::{Arrivals, Burstiness};
pub use curves::Curves;
use recency::Recency;
pub use sharing::{Popularity, PrefixShare, Quantiles, Reuse, SessionShape, Sharing, Zipf};

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct StatsOptions {
    /// LRU capacities in blocks; empty for round ones up to the number of unique blocks.
    pub capacities: Vec<u64>,
    /// Tokens per block; the trace's own when absent.
    pub block_tokens: Option<u32>,
    /// Whether the partial last block of a prompt is cached and matched too.
    pub partial_tail: bool,
}

/// Block size of workloads that are exact to the token, which is vLLM's default.
const DEFAULT_BLOCK: u32 = 16;

/// The statistics of a workload. The names of the fields are those of the JSON output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Requests.
    pub rows: u64,
    /// From the first arrival to the last.
    pub span_s: f64,
    /// Requests over span; `None` without a span.
    pub rate_rps: Option<f64>,
    /// Prompt lengths.
    pub input_tokens: Lengths,
    /// Output lengths.
    pub output_tokens: Lengths,
    /// Blocks of all prompts, partial ones included.
    pub blocks: u64,
    /// Different cacheable blocks: full ones, and partial ones if they are matched.
    pub unique_blocks: u64,
    /// Tokens per block.
    pub block_tokens: u32,
    /// Different arrival times.
    pub distinct_times: u64,
    /// With an infinite cache.
    pub hit_ratio: HitRatio,
    /// With LRU caches.
    pub lru: Vec<LruPoint>,
    /// Whether partial last blocks are matched.
    pub partial_tail: bool,
    /// How requests arrive.
    pub arrivals: Arrivals,
    /// Who shares how much with whom.
    pub sharing: Sharing,
    /// How long until a block is used again.
    pub reuse: Reuse,
    /// The most common prefixes.
    pub popularity: Popularity,
    /// Sessions, as far as shared prefixes show them.
    pub sessions: SessionShape,
    /// Sessions, as recorded; 0 when the workload has none.
    pub recorded_sessions: u32,
    /// What a figure draws.
    #[serde(skip)]
    pub curves: Curves,
}

/// A distribution of lengths; quantiles by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90 % quantile.
    pub p90: u64,
    /// 99 % quantile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

impl Lengths {
    fn of(values: impl Iterator<Item = u32>) -> Self {
        let mut values: Vec<u64> = values.map(u64::from).collect();
        let summary = trimtab_core::Summary::of(&mut values);
        Self { mean: summary.mean, p50: summary.p50, p90: summary.p90, p99: summary.p99, max: summary.max }
    }
}

/// The same hits over four denominators; papers rarely say which they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct HitRatio {
    /// Tokens hit over all prompt tokens.
    pub tokens: f64,
    /// Blocks hit over all blocks.
    pub blocks: f64,
    /// Blocks hit over full blocks.
    pub full_blocks: f64,
    /// Mean over requests of the share of the prompt that was hit.
    pub per_request: f64,
}

/// The hit ratio of one LRU cache.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LruPoint {
    /// Its capacity.
    pub capacity_blocks: u64,
    /// Blocks hit over all blocks.
    pub hit_blocks: f64,
    /// Tokens hit over all prompt tokens.
    pub hit_tokens: f64,
}

fn block_of(trace: &Trace, options: &StatsOptions) -> u32 {
    let own = if trace.block_tokens > 1 { trace.block_tokens } else { DEFAULT_BLOCK };
    options.block_tokens.unwrap_or(own)
}

impl Stats {
    /// Of a trace.
    pub fn of_trace(trace: &Trace, options: &StatsOptions) -> Self {
        Self::of(&trace.forest, &trace.requests, block_of(trace, options), options)
    }

    /// How many different blocks a trace has: the statistics take some bytes for each.
    pub fn blocks_of(trace: &Trace, options: &StatsOptions) -> u64 {
        let (forest, block) = (&trace.forest, block_of(trace, options));
        let of = |id: PrefixId| u64::from(forest.end(id) / block - forest.start(id) / block);
        (0..).map(PrefixId).take(forest.len()).map(of).sum()
    }

    /// Of requests in arrival order.
    pub fn of(forest: &PrefixForest, requests: &[Request], block: u32, options: &StatsOptions) -> Self {
        let mut recency = Recency::new(forest, requests.len(), block, options.partial_tail);
        let mut infinite = Infinite::default();
        let mut sharing = sharing::Collector::new(forest, requests, block, options.partial_tail);
        for (index, request) in (0..).zip(requests) {
            let found = recency.access(index, request.prompt);
            infinite.add(found, request.prompt.tokens);
            sharing.add(index, found);
        }
        let unique_blocks = recency.unique();
        let capacities = match options.capacities.as_slice() {
            [] => round_capacities(unique_blocks),
            given => given.to_vec(),
        };
        let (blocks, tokens) = (infinite.blocks, infinite.tokens);
        let point = |(&capacity_blocks, (hit, hit_tokens)): (&u64, (u64, u64))| LruPoint {
            capacity_blocks,
            hit_blocks: ratio(hit, blocks),
            hit_tokens: ratio(hit_tokens, tokens),
        };
        let lru_at = |capacities: &[u64]| -> Vec<LruPoint> {
            capacities.iter().zip(recency.distances.hits(capacities)).map(point).collect()
        };
        let arrivals = Arrivals::of(requests);
        let (sharing, reuse, popularity, sessions, mut curves) = sharing.finish(recency.unique());
        let visible = |capacity: &u64| *capacity >= unique_blocks / curves::LEAST;
        curves.lru = lru_at(&curves::log_spaced(unique_blocks).into_iter().filter(visible).collect::<Vec<_>>());
        let mut recorded: Vec<u32> = requests.iter().filter_map(|r| r.session.map(|s| s.0)).collect();
        recorded.sort_unstable();
        recorded.dedup();
        Self {
            rows: requests.len() as u64,
            span_s: arrivals.span_s,
            rate_rps: (arrivals.span_s > 0.0).then(|| requests.len() as f64 / arrivals.span_s),
            input_tokens: Lengths::of(requests.iter().map(|r| r.prompt.tokens)),
            output_tokens: Lengths::of(requests.iter().map(|r| r.output_tokens)),
            blocks,
            unique_blocks,
            block_tokens: block,
            distinct_times: arrivals.distinct_times,
            hit_ratio: infinite.ratio(requests.len()),
            lru: lru_at(&capacities),
            partial_tail: options.partial_tail,
            arrivals,
            sharing,
            reuse,
            popularity,
            sessions,
            recorded_sessions: u32::try_from(recorded.len()).expect("sessions are numbered with 32 bits"),
            curves,
        }
    }
}

/// Blocks and tokens that LRU caches of these capacities hit, in one pass over the requests. Their numbers don't matter.
pub fn lru_hits(
    forest: &PrefixForest,
    requests: &[Request],
    block: u32,
    partial_tail: bool,
    capacities: &[u64],
) -> Vec<(u64, u64)> {
    let mut recency = Recency::new(forest, requests.len(), block, partial_tail);
    for (index, request) in (0..).zip(requests) {
        recency.access(index, request.prompt);
    }
    recency.distances.hits(capacities)
}

/// Sums over an infinite cache.
#[derive(Default)]
struct Infinite {
    blocks: u64,
    full_blocks: u64,
    tokens: u64,
    hit_blocks: u64,
    hit_tokens: u64,
    shares: f64,
}

impl Infinite {
    fn add(&mut self, found: &recency::Found, tokens: u32) {
        self.blocks += u64::from(found.blocks);
        self.full_blocks += u64::from(found.full_blocks);
        self.tokens += u64::from(tokens);
        self.hit_blocks += u64::from(found.hit_blocks);
        self.hit_tokens += u64::from(found.hit_tokens);
        self.shares += f64::from(found.hit_tokens) / f64::from(tokens);
    }

    fn ratio(&self, requests: usize) -> HitRatio {
        HitRatio {
            tokens: ratio(self.hit_tokens, self.tokens),
            blocks: ratio(self.hit_blocks, self.blocks),
            full_blocks: ratio(self.hit_blocks, self.full_blocks),
            per_request: if requests == 0 { 0.0 } else { self.shares / requests as f64 },
        }
    }
}

/// 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// 1, 2, 5, 10, ... thousand blocks up to the first that holds everything.
fn round_capacities(unique: u64) -> Vec<u64> {
    let mut capacities = Vec::new();
    for power in 3..12 {
        for digit in [1, 2, 5] {
            let capacity = digit * 10u64.pow(power);
            capacities.push(capacity);
            if capacity >= unique {
                return capacities;
            }
        }
    }
    capacities
}
