//! The reference simulator against scenarios computed by hand, and the generator of random cases against what it
//! promises to reach.

mod common;
mod naive;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::generate::Case;
use naive::{NaiveOutcome, NaiveResult, NaiveRow, Reached, simulate};
use trimtab_core::{FixedWorkload, PrefixForest, PrefixId, Prompt, Request, SimTime};
use trimtab_engine::cost::Linear;
use trimtab_engine::{
    CacheConfig, ClusterConfig, EvictionConfig, Generated, InstanceConfig, Mixing, Order, Stepping, Visible,
};

/// One instance and a few requests.
struct Scenario {
    name: &'static str,
    /// Changes to [`plain`].
    config: fn(&mut InstanceConfig),
    /// `arrival path output`, and what is expected: `admitted first finish hit-tokens/hit-blocks recomputed preemptions`.
    ///
    /// A path names its nodes, each with its end: `a8/b12`. The node of a known output follows `>`; `none7` is a prompt
    /// of 7 tokens without identity.
    requests: &'static [(&'static str, &'static str)],
    /// Ascending.
    gaps: &'static [u64],
    evicted: u64,
    iterations: u64,
}

/// 100 ps for a step, 10 for each prefilled token, 1 for each token of decode context.
fn plain() -> InstanceConfig {
    InstanceConfig {
        cost: Arc::new(Linear { step: 100, per_prefill_token: 10, per_seq: 0, per_context: 1 }),
        kv_blocks: 100,
        block_tokens: 4,
        max_batched_tokens: 100,
        max_seqs: 8,
        mixing: Mixing::DecodeFirst,
        order: Order::Fcfs,
        watermark_blocks: 0,
        cache: CacheConfig::default(),
        eviction: EvictionConfig::default(),
    }
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one request alone",
        config: |_| {},
        requests: &[("5 a8 3", "5 185 404 0/0 0 0")],
        gaps: &[109, 110],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "a step takes at least 1 ps",
        config: |c| c.cost = Arc::new(Linear::default()),
        requests: &[("7 a8 3", "7 8 10 0/0 0 0")],
        gaps: &[1, 1],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "the budget cuts a prefill",
        config: |c| (c.max_batched_tokens, c.max_seqs) = (5, 2),
        requests: &[("0 a8 1", "0 280 280 0/0 0 0")],
        gaps: &[],
        evicted: 0,
        iterations: 2,
    },
    Scenario {
        name: "hits, but never of the last token",
        config: |_| {},
        requests: &[
            ("0 a8 1", "0 180 180 0/0 0 0"),
            ("1000 a8 1", "1000 1140 1140 4/1 0 0"),
            ("2000 a8/b12 1", "2000 2140 2140 8/2 0 0"),
        ],
        gaps: &[],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "the final partial block is hit by the same prompt alone",
        config: |c| c.cache.partial_tail = true,
        requests: &[
            ("0 a10 1", "0 200 200 0/0 0 0"),
            ("1000 a10 1", "1000 1110 1110 9/3 0 0"),
            ("2000 a10/b11 1", "2000 2130 2130 8/2 0 0"),
        ],
        gaps: &[],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "computed blocks are visible after the step",
        config: |_| {},
        requests: &[("0 a8 1", "0 260 260 0/0 0 0"), ("0 a8 1", "0 260 260 0/0 0 0")],
        gaps: &[],
        evicted: 0,
        iterations: 1,
    },
    Scenario {
        name: "scheduled blocks are visible within the step",
        config: |c| c.cache.visible = Visible::Scheduled,
        requests: &[("0 a8 1", "0 220 220 0/0 0 0"), ("0 a8 1", "0 220 220 4/1 0 0")],
        gaps: &[],
        evicted: 0,
        iterations: 1,
    },
    Scenario {
        name: "the last admitted is preempted and prefills its output again",
        config: |c| c.kv_blocks = 4,
        requests: &[("0 none7 5", "0 240 686 0/0 0 0"), ("0 none7 5", "0 240 1097 0/0 9 1")],
        gaps: &[109, 110, 110, 111, 111, 116, 116, 520],
        evicted: 0,
        iterations: 8,
    },
    Scenario {
        name: "a preempted request hits its own prompt",
        config: |c| c.kv_blocks = 4,
        requests: &[("0 none7 5", "0 240 686 0/0 0 0"), ("0 a7 5", "0 240 1057 0/0 9 1")],
        gaps: &[109, 110, 110, 111, 111, 116, 116, 480],
        evicted: 0,
        iterations: 8,
    },
    Scenario {
        name: "a partial prefill is preempted when decodes take its blocks",
        config: |c| (c.kv_blocks, c.max_batched_tokens, c.max_seqs) = (4, 2, 2),
        requests: &[("0 a4 9", "0 240 1148 0/0 0 0"), ("0 b8 1", "240 1388 1388 0/0 4 1")],
        gaps: &[109, 110, 111, 112, 115, 116, 117, 118],
        evicted: 0,
        iterations: 12,
    },
    Scenario {
        name: "the least recently released is evicted, suffix first",
        config: |c| c.kv_blocks = 4,
        requests: &[
            ("0 a8 1", "0 180 180 0/0 0 0"),
            ("1000 b8 1", "1000 1180 1180 0/0 0 0"),
            ("2000 c4 1", "2000 2140 2140 0/0 0 0"),
            ("3000 a8 1", "3000 3140 3140 4/1 0 0"),
            ("4000 b8 1", "4000 4140 4140 4/1 0 0"),
        ],
        gaps: &[],
        evicted: 3,
        iterations: 5,
    },
    Scenario {
        name: "decodes and prefills mix",
        config: |_| {},
        requests: &[("0 a8 3", "0 180 439 0/0 0 0"), ("190 b4 1", "289 439 439 0/0 0 0")],
        gaps: &[109, 150],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "prefills make decodes wait",
        config: |c| c.mixing = Mixing::PrefillFirst,
        requests: &[("0 a8 3", "0 180 539 0/0 0 0"), ("190 b4 1", "289 429 429 0/0 0 0")],
        gaps: &[109, 250],
        evicted: 0,
        iterations: 4,
    },
    Scenario {
        name: "the next turn hits a known output",
        config: |_| {},
        requests: &[("0 a6>o10 4", "0 160 484 0/0 0 0"), ("1000 a6/o10/u14 1", "1000 1160 1160 8/2 0 0")],
        gaps: &[107, 108, 109],
        evicted: 0,
        iterations: 5,
    },
    Scenario {
        name: "an output that follows a cached partial tail gets no names",
        config: |c| c.cache.partial_tail = true,
        requests: &[("0 a6>o10 4", "0 160 484 0/0 0 0"), ("1000 a6/o10/u14 1", "1000 1200 1200 4/1 0 0")],
        gaps: &[107, 108, 109],
        evicted: 0,
        iterations: 5,
    },
    Scenario {
        name: "the next turn misses an unknown output",
        config: |_| {},
        requests: &[("0 a6 4", "0 160 484 0/0 0 0"), ("1000 a6/o10/u14 1", "1000 1200 1200 4/1 0 0")],
        gaps: &[107, 108, 109],
        evicted: 0,
        iterations: 5,
    },
    Scenario {
        name: "generated blocks without a name are free",
        config: |c| c.kv_blocks = 3,
        requests: &[
            ("0 a4 6", "0 140 675 0/0 0 0"),
            ("1000 b8 1", "1000 1180 1180 0/0 0 0"),
            ("2000 a4/c8 1", "2000 2140 2140 4/1 0 0"),
        ],
        gaps: &[105, 106, 107, 108, 109],
        evicted: 1,
        iterations: 8,
    },
    Scenario {
        name: "generated blocks without a name are kept and evicted first",
        config: |c| (c.kv_blocks, c.cache.generated) = (3, Generated::Keep),
        requests: &[
            ("0 a4 6", "0 140 675 0/0 0 0"),
            ("1000 b8 1", "1000 1180 1180 0/0 0 0"),
            ("2000 a4/c8 1", "2000 2140 2140 4/1 0 0"),
        ],
        gaps: &[105, 106, 107, 108, 109],
        evicted: 2,
        iterations: 8,
    },
    Scenario {
        name: "the watermark holds an admission back",
        config: |c| (c.kv_blocks, c.watermark_blocks) = (4, 1),
        requests: &[("0 a8 2", "0 180 289 0/0 0 0"), ("0 b8 1", "289 469 469 0/0 0 0")],
        gaps: &[109],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "first come, first served",
        config: |c| c.max_seqs = 1,
        requests: &[
            ("0 a8 1", "0 180 180 0/0 0 0"),
            ("10 c8 1", "180 360 360 0/0 0 0"),
            ("20 a8/d12 1", "360 500 500 8/2 0 0"),
        ],
        gaps: &[],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "the longest prefix first",
        config: |c| (c.max_seqs, c.order) = (1, Order::LongestPrefix),
        requests: &[
            ("0 a8 1", "0 180 180 0/0 0 0"),
            ("10 c8 1", "320 500 500 0/0 0 0"),
            ("20 a8/d12 1", "180 320 320 8/2 0 0"),
        ],
        gaps: &[],
        evicted: 0,
        iterations: 3,
    },
    Scenario {
        name: "what can never fit is rejected",
        config: |c| c.kv_blocks = 2,
        requests: &[("0 a8 2", "rejected"), ("0 a8 1", "0 180 180 0/0 0 0")],
        gaps: &[],
        evicted: 0,
        iterations: 1,
    },
    Scenario {
        name: "no cache, no hits",
        config: |c| c.cache.enabled = false,
        requests: &[("0 a8 1", "0 180 180 0/0 0 0"), ("1000 a8 1", "1000 1180 1180 0/0 0 0")],
        gaps: &[],
        evicted: 0,
        iterations: 2,
    },
];

#[test]
fn scenarios() {
    for scenario in SCENARIOS {
        check(scenario);
    }
}

fn check(scenario: &Scenario) {
    let mut config = plain();
    (scenario.config)(&mut config);
    let cluster = ClusterConfig { stepping: Stepping::Every, ..ClusterConfig::new(vec![config]) };
    let (mut forest, mut nodes) = (PrefixForest::new(), BTreeMap::new());
    let requests =
        (0..).zip(scenario.requests).map(|(id, (text, _))| request(id, text, &mut forest, &mut nodes)).collect();
    let result = simulate(&cluster, &FixedWorkload::new(forest, requests), &mut |_, _| 0, &mut |_| 1);

    let rows: Vec<String> = result.rows.iter().map(show).collect();
    let expected: Vec<&str> = scenario.requests.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(rows, expected, "{}", scenario.name);
    assert_eq!(result.gaps, scenario.gaps, "{}: gaps", scenario.name);
    assert_eq!(result.evicted_blocks, scenario.evicted, "{}: evicted blocks", scenario.name);
    assert_eq!(result.iterations, scenario.iterations, "{}: iterations", scenario.name);
}

fn request(id: u32, text: &str, forest: &mut PrefixForest, nodes: &mut BTreeMap<String, PrefixId>) -> Request {
    let words: Vec<&str> = text.split(' ').collect();
    let [arrival, path, output] = words[..] else { panic!("three words: {text}") };
    let (arrival, output) = (SimTime(arrival.parse().expect("a number")), output.parse().expect("a number"));
    if let Some(tokens) = path.strip_prefix("none") {
        return Request::new(id, arrival, Prompt { leaf: None, tokens: tokens.parse().expect("a number") }, output);
    }
    let (prompt, known_output) = path.split_once('>').unwrap_or((path, ""));
    let leaf = node(prompt, forest, nodes);
    let mut request = Request::new(id, arrival, Prompt { leaf: Some(leaf), tokens: forest.end(leaf) }, output);
    request.output_leaf = (!known_output.is_empty()).then(|| node(&path.replace('>', "/"), forest, nodes));
    request
}

fn node(path: &str, forest: &mut PrefixForest, nodes: &mut BTreeMap<String, PrefixId>) -> PrefixId {
    if let Some(&known) = nodes.get(path) {
        return known;
    }
    let (parent, name) = path.rsplit_once('/').map_or((None, path), |(parent, name)| (Some(parent), name));
    let parent = parent.map(|parent| node(parent, forest, nodes));
    let id = forest.add(parent, name[1..].parse().expect("a number")).expect("an end after the parent's");
    nodes.insert(path.to_owned(), id);
    id
}

fn show(row: &NaiveRow) -> String {
    assert_eq!((row.instance, row.migrations, row.retries), (0, 0, 0));
    if row.outcome == NaiveOutcome::Rejected {
        return "rejected".to_owned();
    }
    assert_eq!(row.routed, Some(row.arrival));
    let [admitted, first, finish] = [row.admitted, row.first_token, row.finish].map(|time| time.expect("it ran").0);
    let NaiveRow { hit_tokens, hit_blocks, recomputed, preemptions, .. } = row;
    format!("{admitted} {first} {finish} {hit_tokens}/{hit_blocks} {recomputed} {preemptions}")
}

fn run(case: &Case) -> NaiveResult {
    let mut route = |request, members: &[usize]| members[case.choice(request, 0, members.len())];
    simulate(&case.config, &case.workload, &mut route, &mut |_| 1)
}

#[test]
fn random_cases_reach_every_feature() {
    let mut reached = Reached::default();
    for seed in 0..3000 {
        reached.add(&run(&Case::new(seed)).reached);
    }
    for (feature, count) in reached.counts() {
        assert!(count >= 20, "{feature} reached {count} times");
    }
}

#[test]
fn a_case_shrinks_to_what_still_fails() {
    let preempts = |case: &Case| run(case).reached.preemptions > 0;
    let case = (0..1000).map(Case::new).find(preempts).expect("some case preempts");
    let before = case.workload.requests.len();
    let small = case.shrunk(preempts);
    let after = small.workload.requests.len();
    // One request alone is never preempted, and a preemption needs few others.
    assert!(preempts(&small) && (2..before).contains(&after), "{before} requests became\n{}", small.describe());
}
