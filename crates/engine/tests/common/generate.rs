//! Random small clusters and workloads, each determined by a seed, chosen to reach every corner of the semantics often.

use std::fmt::Write;
use std::sync::Arc;

use rand::{RngExt, seq::IndexedRandom};
use serde_json::json;
use trimtab_core::{
    FixedWorkload, InstanceId, PS_PER_S, PrefixForest, PrefixId, Prompt, Request, RequestId, RngStreams, SessionId,
    SimTime, StreamRng,
};
use trimtab_engine::cost::{Linear, StepCost, StepShape};
use trimtab_engine::{
    CacheConfig, Change, Clients, ClusterConfig, Dynamics, EvictionConfig, Faults, Generated, InstanceConfig, Link,
    Mixing, Order, Promotion, Recovery, Scaling, Survives, TierConfig, Visible, WritePolicy, evictions,
};

use super::scaler::Curious;

/// One random test case.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) config: ClusterConfig,
    pub(crate) workload: FixedWorkload,
    /// For each request, which of the instances that can be chosen it is sent to first; then the next one, and so on.
    pub(crate) route: Vec<usize>,
}

/// A cost that is linear in nothing and keeps the default `line`.
#[derive(Clone, Copy, Debug)]
struct Bent {
    step: u64,
    context_divisor: u64,
    pairs_divisor: u64,
}

impl StepCost for Bent {
    fn step(&self, shape: &StepShape) -> u64 {
        let context = shape.decode_context + shape.prefill_context;
        let pairs = u64::try_from(shape.prefill_pairs).expect("a test is small");
        let seqs = u64::from(shape.decode_seqs) + u64::from(shape.prefill_seqs);
        1 + self.step + context * context / self.context_divisor + pairs / self.pairs_divisor + seqs * seqs
    }
}

impl Case {
    /// The case of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = RngStreams::new(seed).stream("case");
        let rng = &mut rng;
        let longest = rng.random_range(4..=48);
        let block_tokens = pick(rng, &[1, 2, 3, 4, 4, 5, 8, 16]);
        let (first, pace) = instance(rng, longest, block_tokens);
        let mut instances = vec![first];
        for _ in 0..pick(rng, &[0, 0, 0, 1, 2]) {
            let own_block = if rng.random_bool(0.3) { pick(rng, &[1, 3, 4, 8]) } else { block_tokens };
            let other = if rng.random_bool(0.5) { instances[0].clone() } else { instance(rng, longest, own_block).0 };
            instances.push(other);
        }
        let workload = workload(rng, longest, block_tokens, pace);
        let route = workload.requests.iter().map(|_| rng.random_range(0..instances.len())).collect();
        let tier = tier(rng, &instances, pace);
        let mut config = ClusterConfig { seed, tier, ..ClusterConfig::new(instances) };
        let rng = &mut RngStreams::new(seed).stream("changes");
        if rng.random_bool(0.4) {
            let end = workload.requests.last().map_or(0, |last| last.arrival.0) + 10 * pace;
            config.dynamics = dynamics(rng, config.instances.len(), end, pace);
            let rng = &mut RngStreams::new(seed).stream("random changes");
            config.slo_ttft = Some(SimTime(pace * pick(rng, &[1, 5, 30])));
            let times = |rng: &mut StreamRng, of: &[u64]| SimTime(pace * pick(rng, of) + rng.random_range(0..=1));
            config.dynamics.faults =
                rng.random_bool(0.3).then(|| Faults { mtbf: times(rng, &[4, 20, 100]), mttr: times(rng, &[0, 1, 10]) });
            config.dynamics.scaling = rng.random_bool(0.3).then(|| Scaling {
                every: SimTime(times(rng, &[1, 3, 10]).0.max(1)),
                min: rng.random_range(1..=2),
                max: rng.random_range(2..=4),
                make: Arc::new(|| Box::new(Curious)),
            });
        }
        config.clients = rng.random_bool(0.2).then(|| Clients {
            patience: SimTime(pace * pick(rng, &[1, 3, 10, 30]) + rng.random_range(0..=pace)),
            until_end: rng.random_bool(0.5),
            retries: pick(rng, &[0, 1, 3]),
            backoff: SimTime(pick(rng, &[0, 1, pace, 10 * pace])),
            retry_rejected: false,
        });
        Self { config, workload, route }
    }

    /// The same case with a cluster that stays as it is and clients that wait.
    #[allow(dead_code, reason = "not every test wants it")]
    pub(crate) fn steady(seed: u64) -> Self {
        let mut case = Self::new(seed);
        (case.config.dynamics, case.config.clients) = (Dynamics::default(), None);
        case
    }

    /// The same steady case with outputs of hundreds of tokens in steps of seconds, under a cost that is linear in nothing:
    /// runs longer than what an instance lists of them, over many windows of its measurements.
    #[allow(dead_code, reason = "not every test wants it")]
    pub(crate) fn long(seed: u64) -> Self {
        let mut case = Self::steady(seed);
        for instance in &mut case.config.instances {
            instance.cost = Arc::new(Bent { step: 2 * PS_PER_S, context_divisor: 1 + seed % 9, pairs_divisor: 7 });
            instance.kv_blocks *= 40;
        }
        for (request, extra) in case.workload.requests.iter_mut().zip((0..500).step_by(77).cycle()) {
            request.arrival = SimTime(request.arrival.0 * (PS_PER_S / 100));
            request.output_tokens = 200 + extra;
            request.output_leaf = None;
        }
        case
    }

    /// A case that still fails when no single request and no single change can be left out of it any more.
    pub(crate) fn shrunk(self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut case = self;
        let mut left_out = 0;
        while left_out < case.config.dynamics.events.len() {
            let mut smaller = case.clone();
            smaller.config.dynamics.events.remove(left_out);
            if fails(&smaller) {
                case = smaller;
            } else {
                left_out += 1;
            }
        }
        left_out = 0;
        while left_out < case.workload.requests.len() {
            let smaller = case.without(left_out);
            if fails(&smaller) {
                case = smaller;
                left_out = 0;
            } else {
                left_out += 1;
            }
        }
        case
    }

    fn without(&self, left_out: usize) -> Self {
        let (mut requests, mut route) = (self.workload.requests.clone(), self.route.clone());
        requests.remove(left_out);
        route.remove(left_out);
        for (id, request) in (0..).zip(&mut requests) {
            request.id = RequestId(id);
        }
        let workload = FixedWorkload::new(self.workload.forest.clone(), requests);
        Self { config: self.config.clone(), workload, route }
    }

    /// Where a request goes when it is routed for the `n`-th time, of these instances.
    pub(crate) fn choice(&self, request: usize, n: usize, members: usize) -> usize {
        (self.route[request] + n) % members
    }

    /// Everything needed to rebuild the case by hand, costs excepted: those come from the seed.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("seed {}\n", self.config.seed);
        for (i, c) in self.config.instances.iter().enumerate() {
            let InstanceConfig { kv_blocks, block_tokens, max_batched_tokens, max_seqs, watermark_blocks, .. } = c;
            writeln!(
                text,
                "instance {i}: {kv_blocks} blocks of {block_tokens}, watermark {watermark_blocks}, budget \
                 {max_batched_tokens}, sequences {max_seqs}, {:?}, {:?}, {:?}, {:?}",
                c.mixing, c.order, c.cache, c.eviction
            )
            .expect("a string takes all");
        }
        writeln!(text, "{:?}", self.config.tier).expect("a string takes all");
        writeln!(text, "{:?}\n{:?}", self.config.dynamics, self.config.clients).expect("a string takes all");
        let mut path = Vec::new();
        for (request, instance) in self.workload.requests.iter().zip(&self.route) {
            let leaf = request.output_leaf.or(request.prompt.leaf);
            self.workload.forest.path(Prompt { leaf, tokens: request.prompt.tokens }, &mut path);
            let nodes: Vec<String> =
                path.iter().map(|&node| format!("{}..{}", node.0, self.workload.forest.end(node))).collect();
            let (id, at) = (request.id.0, request.arrival.0);
            let (tokens, output, known) = (request.prompt.tokens, request.output_tokens, request.output_leaf.is_some());
            writeln!(
                text,
                "request {id} at {at} to {instance}: {tokens} + {output} tokens, output known: {known}, node..end {}",
                nodes.join(" ")
            )
            .expect("a string takes all");
        }
        text
    }
}

fn pick<T: Copy>(rng: &mut StreamRng, choices: &[T]) -> T {
    *choices.choose(rng).expect("a choice")
}

/// Random changes of a cluster up to `end`.
fn dynamics(rng: &mut StreamRng, instances: usize, end: u64, pace: u64) -> Dynamics {
    let standby = (1..instances).filter(|_| rng.random_bool(0.4)).map(InstanceId::from_index).collect();
    let groups = (0..instances).map(|_| rng.random_range(0..2)).collect();
    let mut events = Vec::new();
    for _ in 0..rng.random_range(1..=8) {
        let span = SimTime(pace * rng.random_range(1..=20));
        let instance = InstanceId::from_index(rng.random_range(0..instances));
        let (count, group) = (rng.random_range(1..=2), rng.random_bool(0.3).then(|| rng.random_range(0..2)));
        let change = match rng.random_range(0..11) {
            0 | 1 => Change::Add { count, group },
            2 => Change::Remove { count, group },
            3 => Change::Drain(instance),
            4 => Change::Restart(instance),
            5 => Change::Fail { instance, repair: rng.random_bool(0.7).then_some(span) },
            6 | 7 => Change::Slow { instance, thousandths: pick(rng, &[300, 999, 1500, 2000, 7000]), span },
            8 => Change::Cut { instance, span },
            9 => Change::Freeze { instance, span },
            _ => Change::Flush(instance),
        };
        let whole = pace * rng.random_range(0..=end / pace);
        events.push((SimTime(if rng.random_bool(0.4) { whole } else { rng.random_range(0..=end) }), change));
    }
    let recovery = Recovery { retries: pick(rng, &[0, 1, 3]), delay: SimTime(pick(rng, &[0, 0, 1, pace])) };
    Dynamics {
        standby,
        groups,
        startup: SimTime(pick(rng, &[0, 1, pace, 5 * pace])),
        events,
        faults: None,
        recovery,
        scaling: None,
    }
}

/// A random cost and about how long its steps are.
fn cost(rng: &mut StreamRng) -> (Arc<dyn StepCost>, u64) {
    if rng.random_bool(0.2) {
        let context_divisor = rng.random_range(1..200);
        let bent = Bent { step: rng.random_range(0..300), context_divisor, pairs_divisor: rng.random_range(1..50) };
        return (Arc::new(bent), bent.step + 100);
    }
    let linear = Linear {
        step: pick(rng, &[0, 1, 10, 100, 997]),
        per_prefill_token: pick(rng, &[0, 0, 1, 10, 31]),
        per_seq: pick(rng, &[0, 0, 1, 10, 17]),
        per_context: pick(rng, &[0, 0, 1, 3]),
    };
    let pace = linear.step + 5 * linear.per_prefill_token + 2 * linear.per_seq + 30 * linear.per_context;
    (Arc::new(linear), pace.max(1))
}

/// A random instance for requests of about `longest` tokens, and about how long its steps are.
fn instance(rng: &mut StreamRng, longest: u32, block_tokens: u32) -> (InstanceConfig, u64) {
    let (cost, pace) = cost(rng);
    let per_request = u64::from(longest.div_ceil(block_tokens));
    let kv_blocks = match rng.random_range(0..4) {
        0 => per_request * 8,
        1 => rng.random_range(per_request..=3 * per_request),
        _ => rng.random_range(per_request..=per_request + per_request / 2 + 1),
    };
    let max_seqs = pick(rng, &[1, 2, 3, 4, 4, 6, 6, 16]);
    let max_batched_tokens = max_seqs + pick(rng, &[0, 1, 3, 8, 20, 64]);
    let watermark_blocks = if rng.random_bool(0.7) { 0 } else { rng.random_range(0..=kv_blocks / 3) };
    let cache = CacheConfig {
        enabled: rng.random_bool(0.9),
        partial_tail: rng.random_bool(0.4),
        visible: pick(rng, &[Visible::Computed, Visible::Scheduled]),
        generated: pick(rng, &[Generated::Free, Generated::Keep]),
    };
    let mixing = pick(rng, &[Mixing::DecodeFirst, Mixing::DecodeFirst, Mixing::PrefillFirst]);
    let order = pick(rng, &[Order::Fcfs, Order::LongestPrefix]);
    let config = InstanceConfig {
        cost,
        kv_blocks,
        block_tokens,
        max_batched_tokens,
        max_seqs,
        mixing,
        order,
        watermark_blocks,
        cache,
        eviction: eviction(rng),
    };
    (config, pace)
}

/// In a third of the cases, memory behind the caches.
fn tier(rng: &mut StreamRng, instances: &[InstanceConfig], pace: u64) -> Option<TierConfig> {
    let alike = instances.iter().all(|instance| instance.block_tokens == instances[0].block_tokens);
    let per_token = rng.random_range(0..=pace / 4 + 1);
    let link = Link { ps_per_token: pick(rng, &[0, 0, 1, per_token]), latency: SimTime(pick(rng, &[0, 0, 1, pace])) };
    let tier = TierConfig {
        blocks: pick(rng, &[0, 30, 1000, 1000]),
        shared: alike && rng.random_bool(0.5),
        link,
        pool_ps_per_token: pick(rng, &[0, 0, 1, per_token]),
        write: pick(rng, &[WritePolicy::Back, WritePolicy::Through]),
        promotion: pick(rng, &[Promotion::Copy, Promotion::Move]),
        prefetch: rng.random_bool(0.75),
        overlapped: rng.random_bool(0.5),
        survives: pick(rng, &[Survives::Nothing, Survives::Restart, Survives::Failure]),
    };
    rng.random_bool(0.9).then_some(tier)
}

/// LRU, or any other policy with parameters that matter on such a scale.
fn eviction(rng: &mut StreamRng) -> EvictionConfig {
    let def = if rng.random_bool(0.3) { EvictionConfig::default().def } else { pick(rng, evictions()) };
    let seconds = pick(rng, &[1e-10, 1e-9, 1e-8]);
    let params = match def.name {
        "length-aware" => json!({ "first_out": pick(rng, &["late", "early"]) }),
        "rlt" => json!({ "form": pick(rng, &["as-coded", "as-paper"]) }),
        "s3-fifo" => json!({ "small": pick(rng, &[0.1, 0.5]) }),
        "preble" => json!({ "window_s": seconds, "weight": pick(rng, &["hit", "miss"]) }),
        "ttl" => json!({ "ttl_s": seconds }),
        _ => json!({}),
    };
    EvictionConfig { def, params }
}

/// Random requests of about `longest` tokens with shared prefixes, arriving about as fast as steps end.
fn workload(rng: &mut StreamRng, longest: u32, block_tokens: u32, pace: u64) -> FixedWorkload {
    let mut forest = PrefixForest::new();
    let mut nodes: Vec<PrefixId> = Vec::new();
    for _ in 0..rng.random_range(1..=6) {
        let parent = (!nodes.is_empty() && rng.random_bool(0.7)).then(|| pick(rng, &nodes));
        let length = node_length(rng, block_tokens);
        if let Some(node) = grow(&mut forest, parent, length, longest) {
            nodes.push(node);
        }
    }
    let burstiness = pick(rng, &[0.2, 0.5, 0.9, 1.0]);
    let spread = pick(rng, &[1, 3, 10]);
    let mut arrival = SimTime(rng.random_range(0..=pace));
    let mut requests: Vec<Request> = Vec::new();
    for id in 0..rng.random_range(1..=20) {
        if !rng.random_bool(burstiness) {
            // Whole paces often coincide with the ends of steps.
            let whole = pace * rng.random_range(0..=spread);
            arrival += SimTime(if rng.random_bool(0.4) { whole } else { rng.random_range(0..=whole + 1) });
        }
        let again = requests.last().filter(|_| rng.random_bool(0.15)).copied();
        let mut request = again.unwrap_or_else(|| new_request(rng, &mut forest, &mut nodes, longest, block_tokens));
        (request.id, request.arrival) = (RequestId(id), arrival);
        request.session = rng.random_bool(0.5).then(|| SessionId(rng.random_range(0..4)));
        requests.push(request);
    }
    FixedWorkload::new(forest, requests)
}

/// Whole blocks, less than a block, or anything.
fn node_length(rng: &mut StreamRng, block_tokens: u32) -> u32 {
    match rng.random_range(0..4) {
        0 => block_tokens * rng.random_range(1..=3),
        1 => rng.random_range(1..=block_tokens),
        _ => rng.random_range(1..=3 * block_tokens),
    }
}

/// A new node, unless its prompts would leave too little of `longest` to the output.
fn grow(forest: &mut PrefixForest, parent: Option<PrefixId>, length: u32, longest: u32) -> Option<PrefixId> {
    let start = parent.map_or(0, |p| forest.end(p));
    let end = (start + length).min(longest / 2 + 1);
    (end > start).then(|| forest.add(parent, end).expect("the node is not empty"))
}

/// A request without arrival and id. Its output, when that is known, joins `nodes`, so that later prompts continue it.
fn new_request(
    rng: &mut StreamRng,
    forest: &mut PrefixForest,
    nodes: &mut Vec<PrefixId>,
    longest: u32,
    block_tokens: u32,
) -> Request {
    if rng.random_bool(0.06) {
        let tokens = rng.random_range(1..=longest.div_ceil(2));
        return Request::new(0, SimTime::ZERO, Prompt { leaf: None, tokens }, output_tokens(rng, longest, tokens));
    }
    let latest = nodes.last().copied().filter(|_| rng.random_bool(0.4));
    let base = latest.or_else(|| nodes.choose(rng).copied());
    let length = node_length(rng, block_tokens);
    let grown = if base.is_none() || rng.random_bool(0.5) { grow(forest, base, length, longest) } else { None };
    let leaf = grown.or(base).expect("a first node always fits");
    let (start, end) = (forest.start(leaf), forest.end(leaf));
    let tokens = if rng.random_bool(0.75) { end } else { rng.random_range(start + 1..=end) };
    let mut request =
        Request::new(0, SimTime::ZERO, Prompt { leaf: Some(leaf), tokens }, output_tokens(rng, longest, tokens));
    if tokens == end && rng.random_bool(0.5) {
        // The node of the output may go on a little after it, when nothing branches there.
        let extra = pick(rng, &[0, 0, 1, 5]);
        let node = forest.add(Some(leaf), end + request.output_tokens + extra).expect("the node is not empty");
        request.output_leaf = Some(node);
        nodes.push(node);
    } else if tokens < end && rng.random_bool(0.7) {
        // The output is the rest of the prompt's own last node.
        request.output_tokens = rng.random_range(1..=end - tokens);
        request.output_leaf = Some(leaf);
    }
    if grown.is_some() && rng.random_bool(0.3) {
        nodes.push(leaf);
    }
    request
}

/// A random output length that mostly keeps the request within `longest` tokens.
fn output_tokens(rng: &mut StreamRng, longest: u32, prompt: u32) -> u32 {
    match rng.random_range(0..20) {
        0..4 => 1,
        4 => 3 * longest,
        _ => rng.random_range(1..=longest.saturating_sub(prompt).max(1)),
    }
}
