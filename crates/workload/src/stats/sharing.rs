//! Who shares prefixes with whom, and what that says about popularity and sessions.

use rustc_hash::FxHashMap;
use serde::Serialize;
use trimtab_core::{PrefixForest, PrefixId, Request};

use super::curves::{self, Curves};
use super::recency::Found;

/// How much of their prompts requests share.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sharing {
    /// Share of requests with at least one block of an earlier request.
    pub one_block_earlier: f64,
    /// Share of requests with at least two blocks of an earlier request.
    pub two_blocks_earlier: f64,
    /// Share of requests that share half of their blocks with an earlier one.
    pub half_earlier: f64,
    /// The same with any other request, earlier or later.
    pub half_any: f64,
    /// The same with any other request, and at least two blocks: a block that all requests share counts for nothing.
    pub half_any_two_blocks: f64,
    /// Requests whose whole prompt an infinite cache holds.
    pub fully_cached: u64,
    /// Blocks shared with any other request.
    pub depth_blocks: Quantiles,
    /// Nodes on the way of a prompt where other prompts turn off.
    pub branches: Quantiles,
    /// Most continuations of one prefix, but for the most branching one.
    pub fan_out: u64,
    /// Share of unique blocks that only one request uses.
    pub used_once: f64,
    /// Uses of the most used blocks.
    pub most_used: Vec<u64>,
    /// Blocks used 10 to 99 times.
    pub used_10_to_99: u64,
}

/// Time between two uses of a block, over all hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reuse {
    /// In milliseconds.
    pub ms: Quantiles,
    /// In requests.
    pub requests: Quantiles,
}

/// Quantiles by nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// 5 % quantile.
    pub p5: u64,
    /// Median.
    pub p50: u64,
    /// 75 % quantile.
    pub p75: u64,
    /// 90 % quantile.
    pub p90: u64,
    /// 99 % quantile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// How unequal the demand for prefixes is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Popularity {
    /// By number of leading blocks.
    pub prefixes: Vec<PrefixShare>,
    /// Over all blocks used at least twice.
    pub all_blocks: Option<Zipf>,
}

/// Prefixes of one length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrefixShare {
    /// How many blocks.
    pub blocks: u32,
    /// Share of requests that start with the most common one.
    pub top: f64,
    /// Share of requests that start with one of the ten most common.
    pub top_10: f64,
    /// Over those used at least twice.
    pub zipf: Option<Zipf>,
}

/// Least squares of log count on log rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Zipf {
    /// Exponent: count falls as rank to this power.
    pub s: f64,
    /// Share of variance explained.
    pub r2: f64,
    /// Ranks fitted.
    pub ranks: u64,
    /// The count that the line gives to the first rank.
    pub first: f64,
}

/// Sessions inferred from prefixes: a request continues the last one that used the deepest of its known blocks, if that
/// is at least the second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SessionShape {
    /// Requests that continue none.
    pub roots: u64,
    /// Requests that continue one.
    pub follow_ups: u64,
    /// Shares of sessions with 1, 2, 3, 4 turns.
    pub turns: [f64; 4],
    /// Turns of a session.
    pub turns_quantiles: Quantiles,
    /// Requests that are turn n + 1 of a session over those that are turn n, from n = 1.
    pub continuation: Vec<f64>,
    /// Share of follow-ups that keep all full blocks of the request they continue.
    pub keep_all: f64,
    /// Growth of the prompt of such follow-ups, in tokens.
    pub growth: Quantiles,
    /// The same, less the output of the request they continue (0 where that is longer).
    pub growth_less_output: Quantiles,
    /// Mean share of the full blocks that the other follow-ups keep.
    pub kept_part: f64,
    /// Requests that more than one other continues.
    pub forked: u64,
    /// From one turn to the next, in milliseconds.
    pub gap_ms: Quantiles,
}

/// Leading blocks whose popularity is shown.
const POPULAR: [u32; 5] = [1, 2, 3, 6, 13];
const PS_PER_MS: u64 = trimtab_core::PS_PER_MS;

pub(super) struct Collector<'a> {
    forest: &'a PrefixForest,
    requests: &'a [Request],
    block: u32,
    blocks: BlockUses,
    branching: Vec<u32>,
    path: Vec<PrefixId>,
    sharing: Sharing,
    depths: Vec<u64>,
    branches: Vec<u64>,
    reuse_ms: Vec<(u64, u32)>,
    reuse_requests: Vec<(u64, u32)>,
    session: Vec<u32>,
    turns: Vec<u64>,
    /// By request: its place in its session, from 0; and how many requests have each place.
    place: Vec<u32>,
    places: Vec<u64>,
    keep_all: u64,
    growth: Vec<u64>,
    growth_less_output: Vec<u64>,
    kept_part: f64,
    continued: Vec<u32>,
    gaps: Vec<u64>,
}

/// How many requests use each block.
struct BlockUses {
    /// Index of a node's first block.
    base: Vec<usize>,
    counts: Vec<u32>,
    tails: FxHashMap<(PrefixId, u32), u32>,
}

impl BlockUses {
    fn new(forest: &PrefixForest, requests: &[Request], block: u32, partial_tail: bool) -> Self {
        let mut base = Vec::with_capacity(forest.len() + 1);
        let mut total = 0usize;
        for index in 0..forest.len() {
            let id = PrefixId(u32::try_from(index).expect("nodes are numbered with 32 bits"));
            base.push(total);
            total += (forest.end(id) / block - forest.start(id) / block) as usize;
        }
        base.push(total);
        let mut uses = Self { base, counts: vec![0; total + 1], tails: FxHashMap::default() };
        let mut path = Vec::new();
        for request in requests {
            forest.path(request.prompt, &mut path);
            for &node in &path {
                let blocks = forest.end(node).min(request.prompt.tokens) / block - forest.start(node) / block;
                let first = uses.base[node.index()];
                // Differences; the sums follow.
                uses.counts[first] = uses.counts[first].wrapping_add(1);
                let after = first + blocks as usize;
                uses.counts[after] = uses.counts[after].wrapping_sub(1);
            }
            if let (true, 1.., Some(leaf)) = (partial_tail, request.prompt.tokens % block, request.prompt.leaf) {
                *uses.tails.entry((leaf, request.prompt.tokens)).or_default() += 1;
            }
        }
        let mut running = 0u32;
        for count in &mut uses.counts {
            running = running.wrapping_add(*count);
            *count = running;
        }
        uses.counts.truncate(total);
        uses
    }

    /// Every block's uses, in no order that matters: callers sort.
    fn all(&self) -> Vec<u64> {
        #[expect(clippy::iter_over_hash_type, reason = "sorted below")]
        let mut all: Vec<u64> = {
            let mut all: Vec<u64> = self.counts.iter().filter(|&&c| c > 0).map(|&c| u64::from(c)).collect();
            for &count in self.tails.values() {
                all.push(u64::from(count));
            }
            all
        };
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    /// Uses of all prefixes of `k` blocks, most used first.
    fn of_length(&self, forest: &PrefixForest, block: u32, k: u32) -> Vec<u64> {
        let mut counts = Vec::new();
        for (index, &base) in self.base[..forest.len()].iter().enumerate() {
            let id = PrefixId(u32::try_from(index).expect("nodes are numbered with 32 bits"));
            let (from, to) = (forest.start(id) / block, forest.end(id) / block);
            if from < k && k <= to {
                counts.push(u64::from(self.counts[base + (k - 1 - from) as usize]));
            }
        }
        let tails = self.tails.iter().filter(|((_, tokens), _)| tokens / block == k - 1);
        counts.extend(tails.map(|(_, &count)| u64::from(count)));
        counts.retain(|&count| count > 0);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(forest: &'a PrefixForest, requests: &'a [Request], block: u32, partial_tail: bool) -> Self {
        let blocks = BlockUses::new(forest, requests, block, partial_tail);
        Self {
            forest,
            requests,
            block,
            blocks,
            branching: children(forest, requests),
            path: Vec::new(),
            sharing: Sharing::default(),
            depths: Vec::new(),
            branches: Vec::new(),
            reuse_ms: Vec::new(),
            reuse_requests: Vec::new(),
            session: Vec::with_capacity(requests.len()),
            turns: Vec::new(),
            place: Vec::with_capacity(requests.len()),
            places: Vec::new(),
            keep_all: 0,
            growth: Vec::new(),
            growth_less_output: Vec::new(),
            kept_part: 0.0,
            continued: vec![0; requests.len()],
            gaps: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, index: u32, found: &Found) {
        let request = &self.requests[index as usize];
        for run in &found.runs {
            let before = &self.requests[run.owner as usize];
            self.reuse_ms.push(((request.arrival.0 - before.arrival.0) / PS_PER_MS, run.blocks));
            self.reuse_requests.push((u64::from(index - run.owner), run.blocks));
        }
        let (hit, all) = (found.hit_blocks, found.blocks);
        let any = self.shared_with_any(request);
        self.depths.push(u64::from(any));
        let sharing = &mut self.sharing;
        sharing.one_block_earlier += f64::from(u8::from(hit >= 1));
        sharing.two_blocks_earlier += f64::from(u8::from(hit >= 2));
        sharing.half_earlier += f64::from(u8::from(2 * hit >= all));
        sharing.half_any += f64::from(u8::from(2 * any >= all));
        sharing.half_any_two_blocks += f64::from(u8::from(2 * any >= all && any >= 2));
        sharing.fully_cached += u64::from(found.hit_tokens == request.prompt.tokens);
        self.follow(index, found);
    }

    /// How many leading blocks another request has too; notes the branches on the way.
    fn shared_with_any(&mut self, request: &Request) -> u32 {
        self.forest.path(request.prompt, &mut self.path);
        let mut shared = 0;
        let mut open = true;
        let mut branches = 0;
        for &node in &self.path {
            branches += u64::from(self.branching[node.index()] >= 2);
            let (start, end) = (self.forest.start(node), self.forest.end(node).min(request.prompt.tokens));
            let blocks = (end / self.block - start / self.block) as usize;
            let base = self.blocks.base[node.index()];
            let uses = &self.blocks.counts[base..base + blocks];
            if open {
                let common = uses.partition_point(|&count| count >= 2);
                shared += u32::try_from(common).expect("a prompt has fewer blocks than tokens");
                open = common == blocks;
            }
        }
        self.branches.push(branches);
        let tail = request.prompt.leaf.and_then(|leaf| self.blocks.tails.get(&(leaf, request.prompt.tokens)));
        shared + u32::from(open && tail.is_some_and(|&count| count >= 2))
    }

    fn follow(&mut self, index: u32, found: &Found) {
        let parent = found.runs.last().filter(|_| found.hit_blocks >= 2).map(|run| run.owner);
        let place = parent.map_or(0, |parent| self.place[parent as usize] + 1);
        self.place.push(place);
        self.places.resize(self.places.len().max(place as usize + 1), 0);
        self.places[place as usize] += 1;
        let Some(parent) = parent else {
            self.session.push(u32::try_from(self.turns.len()).expect("fewer sessions than requests"));
            self.turns.push(1);
            return;
        };
        let session = self.session[parent as usize];
        self.session.push(session);
        self.turns[session as usize] += 1;
        let (request, before) = (&self.requests[index as usize], &self.requests[parent as usize]);
        self.gaps.push((request.arrival.0 - before.arrival.0) / PS_PER_MS);
        self.continued[parent as usize] += 1;
        let full = before.prompt.tokens / self.block;
        if found.hit_blocks >= full {
            self.keep_all += 1;
            let growth = request.prompt.tokens.saturating_sub(before.prompt.tokens);
            self.growth.push(u64::from(growth));
            self.growth_less_output.push(u64::from(growth.saturating_sub(before.output_tokens)));
        } else {
            self.kept_part += f64::from(found.hit_blocks) / f64::from(full);
        }
    }

    pub(super) fn finish(mut self, unique: u64) -> (Sharing, Reuse, Popularity, SessionShape, Curves) {
        let n = self.requests.len().max(1) as f64;
        let mut sharing = self.sharing;
        for share in [
            &mut sharing.one_block_earlier,
            &mut sharing.two_blocks_earlier,
            &mut sharing.half_earlier,
            &mut sharing.half_any,
            &mut sharing.half_any_two_blocks,
        ] {
            *share /= n;
        }
        sharing.depth_blocks = quantiles(self.depths);
        sharing.branches = quantiles(self.branches);
        let mut fan_out: Vec<u32> = self.branching;
        fan_out.sort_unstable_by(|a, b| b.cmp(a));
        sharing.fan_out = fan_out.get(1).copied().unwrap_or(0).into();
        let uses = self.blocks.all();
        sharing.used_once = uses.iter().filter(|&&count| count == 1).count() as f64 / unique.max(1) as f64;
        sharing.used_10_to_99 = uses.iter().filter(|&&count| (10..100).contains(&count)).count() as u64;
        let prefixes = POPULAR.iter().map(|&k| {
            let counts = self.blocks.of_length(self.forest, self.block, k);
            let top = |many: usize| counts.iter().take(many).sum::<u64>() as f64 / n;
            PrefixShare { blocks: k, top: top(1), top_10: top(10), zipf: Zipf::fit(&counts) }
        });
        let popularity = Popularity { prefixes: prefixes.collect(), all_blocks: Zipf::fit(&uses) };
        let mut curves = Curves { popularity: curves::popularity(&uses), ..Curves::default() };
        sharing.most_used = uses.into_iter().take(2).collect();
        let reuse = Reuse { ms: weighted(&mut self.reuse_ms), requests: weighted(&mut self.reuse_requests) };
        curves.reuse_ms = curves::distribution(&self.reuse_ms);
        let follow_ups = self.gaps.len() as u64;
        let at_least = |turns: u64| self.turns.iter().filter(|&&t| t >= turns).count() as f64;
        let roots = self.turns.len() as u64;
        let share = |turns: u64| (at_least(turns) - at_least(turns + 1)) / (roots.max(1)) as f64;
        let continuation = self.places.windows(2).take(7).map(|pair| pair[1] as f64 / pair[0] as f64);
        let sessions = SessionShape {
            roots,
            follow_ups,
            turns: [share(1), share(2), share(3), share(4)],
            continuation: continuation.collect(),
            turns_quantiles: quantiles(self.turns.clone()),
            keep_all: self.keep_all as f64 / follow_ups.max(1) as f64,
            growth: quantiles(self.growth),
            growth_less_output: quantiles(self.growth_less_output),
            kept_part: self.kept_part / (follow_ups - self.keep_all).max(1) as f64,
            forked: self.continued.iter().filter(|&&count| count >= 2).count() as u64,
            gap_ms: quantiles(self.gaps),
        };
        (sharing, reuse, popularity, sessions, curves)
    }
}

/// How many continuations each node has among these prompts.
fn children(forest: &PrefixForest, requests: &[Request]) -> Vec<u32> {
    let mut used = vec![false; forest.len()];
    let mut children = vec![0; forest.len()];
    for request in requests {
        let mut node = request.prompt.leaf;
        while let Some(id) = node.filter(|id| !used[id.index()]) {
            used[id.index()] = true;
            node = forest.parent(id);
            if let Some(parent) = node {
                children[parent.index()] += 1;
            }
        }
    }
    children
}

impl Zipf {
    /// The count that the line gives to a rank.
    pub fn at(&self, rank: f64) -> f64 {
        self.first * libm::pow(rank, -self.s)
    }

    /// Of counts in falling order; those below 2 are left out.
    fn fit(counts: &[u64]) -> Option<Self> {
        let points: Vec<(f64, f64)> = (1u32..)
            .zip(counts.iter().take_while(|&&count| count >= 2))
            .map(|(rank, &count)| (libm::log(f64::from(rank)), libm::log(count as f64)))
            .collect();
        let n = points.len() as f64;
        let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let sum = |f: fn(f64, f64) -> f64| points.iter().map(|p| f(p.0 - mx, p.1 - my)).sum::<f64>();
        let (sxx, sxy, syy) = (sum(|x, _| x * x), sum(|x, y| x * y), sum(|_, y| y * y));
        (sxx > 0.0 && syy > 0.0).then(|| Self {
            s: -sxy / sxx,
            r2: sxy * sxy / (sxx * syy),
            ranks: points.len() as u64,
            first: libm::exp(my - sxy / sxx * mx),
        })
    }
}

fn quantiles(values: Vec<u64>) -> Quantiles {
    weighted(&mut values.into_iter().map(|value| (value, 1)).collect::<Vec<_>>())
}

/// Quantiles by nearest rank of values that count several times; sorts them.
fn weighted(values: &mut [(u64, u32)]) -> Quantiles {
    values.sort_unstable();
    let total: u64 = values.iter().map(|&(_, weight)| u64::from(weight)).sum();
    let at = |per_mille: u64| {
        let rank = (total * per_mille).div_ceil(1000).max(1);
        let mut upto = 0;
        let found = values.iter().find(|&&(_, weight)| {
            upto += u64::from(weight);
            upto >= rank
        });
        found.map_or(0, |&(value, _)| value)
    };
    Quantiles {
        p5: at(50),
        p50: at(500),
        p75: at(750),
        p90: at(900),
        p99: at(990),
        max: values.last().map_or(0, |&(value, _)| value),
    }
}
