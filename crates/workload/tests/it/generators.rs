//! The generators: every one keeps the rules of a workload, and the published ones their figures.

use serde_json::{Value, json};
use trimtab_core::{Request, SimTime, Workload};
use trimtab_workload::{GenOptions, Stats, StatsOptions, Trace, generator_by_name, generators};

fn generate(name: &str, params: &Value, options: &GenOptions) -> Box<dyn Workload + Send> {
    let def = generator_by_name(name).expect(name);
    def.generate(params, options).unwrap_or_else(|e| panic!("{name} {params}: {e}"))
}

fn trace(name: &str, params: &Value, seed: u64, requests: u64) -> Trace {
    let options = GenOptions { seed, requests: Some(requests), ..GenOptions::default() };
    Trace::record(&mut *generate(name, params, &options), 16)
}

#[test]
fn every_generator_keeps_the_rules() {
    for def in generators() {
        let documented = (def.params)();
        assert!(!def.summary.is_empty() && !def.citation.is_empty() && !documented.is_empty(), "{}", def.name);
        let options = GenOptions { seed: 5, requests: Some(3000), ..GenOptions::default() };
        let mut workload = generate(def.name, &Value::Null, &options);
        let mut last = SimTime::ZERO;
        let mut requests: Vec<Request> = Vec::new();
        while let Some(at) = workload.peek() {
            let request = workload.next().expect("what was announced");
            assert_eq!((request.arrival, request.id.index()), (at, requests.len()), "{}", def.name);
            assert!(request.arrival >= last && request.output_tokens > 0, "{}: {request:?}", def.name);
            let (forest, prompt) = (workload.forest(), request.prompt);
            let leaf = prompt.leaf.expect("generated prompts have an identity");
            assert!(forest.start(leaf) < prompt.tokens && prompt.tokens <= forest.end(leaf), "{}", def.name);
            if let Some(end) = request.output_leaf {
                assert_eq!(forest.end(end), prompt.tokens + request.output_tokens, "{}", def.name);
                let whole = trimtab_core::Prompt { leaf: Some(end), tokens: forest.end(end) };
                assert_eq!(forest.node_at(whole, prompt.tokens), Some(leaf), "{}", def.name);
            }
            last = request.arrival;
            requests.push(request);
        }
        assert_eq!(requests.len(), 3000, "{}", def.name);
        let again = Trace::record(&mut *generate(def.name, &Value::Null, &options), 16);
        assert_eq!(again.requests, requests, "{}: the seed decides everything", def.name);
        let other = trace(def.name, &Value::Null, 6, 3000);
        assert_ne!(other.requests, requests, "{}: the seed decides something", def.name);
        // Every documented default is a parameter, and none is missing.
        let all: Value = documented.iter().map(|doc| (doc.name.to_owned(), doc.default.clone())).collect();
        assert_eq!(Trace::record(&mut *generate(def.name, &all, &options), 16).requests, requests, "{}", def.name);
    }
}

#[test]
fn wrong_parameters_are_refused() {
    for (name, params, words) in [
        ("zipf", json!({"exponant": 1}), "unknown parameter `exponant`; did you mean `exponent`?"),
        ("zipf", json!({"exponent": -1}), "parameter `exponent` must be 0 to 2"),
        ("zipf", json!({"exponent": "x"}), "parameter `exponent`: invalid type"),
        ("zipf", json!({"rate": 0}), "`rate` must be positive"),
        ("zipf", json!({"rate": 2e50}), "`rate` must be positive, and at most 1e12"),
        ("zipf", json!({"suffix": {"lognormal": [-1, 2]}}), "`suffix`"),
        ("zipf", json!({"arrivals": {"process": "gamma"}}), "`cv` goes with"),
        ("zipf", json!({"arrivals": {"processs": "gamma"}}), "unknown field `processs`"),
        ("zipf", json!([1]), "names with values"),
        ("mixture", json!({"parts": [{"workload": "zipff", "weight": 1}]}), "did you mean `zipf`?"),
        ("mixture", json!({"parts": []}), "parts"),
        ("gsp", json!({"order": "sorted"}), "unknown variant `sorted`"),
    ] {
        let def = generator_by_name(name).expect(name);
        let error = def.generate(&params, &GenOptions::default()).map(|_| ()).expect_err(words).to_string();
        assert!(error.contains(words), "{params}: {error}");
    }
    assert!(generator_by_name("conversatoin").expect_err("a typo").to_string().contains("`conversation`"));
}

fn near(what: &str, found: f64, expected: f64, relative: f64) {
    assert!((found / expected - 1.0).abs() <= relative, "{what}: {found}, expected {expected} +- {relative}");
}

#[test]
fn preble_workloads_have_their_published_means() {
    for (name, input, output, shared) in
        [("toolbench", 1835.0, 43.0, 0.85), ("loogle", 23_474.0, 16.0, 0.91), ("videoqa", 9865.0, 4.0, 0.88)]
    {
        for seed in [1, 2] {
            let trace = trace(name, &Value::Null, seed, 40_000);
            let s = Stats::of_trace(&trace, &StatsOptions::default());
            near(name, s.input_tokens.mean, input, 0.05);
            near(name, s.output_tokens.mean, output, 0.05);
            near(name, s.hit_ratio.tokens, shared, 0.05);
        }
    }
}

#[test]
fn hot_shares_and_orders() {
    let share = |name: &str, params: Value, first: bool| {
        let trace = trace(name, &params, 3, 20_000);
        let mut counts = std::collections::BTreeMap::new();
        for request in &trace.requests {
            let mut node = request.prompt.leaf.expect("an identity");
            while let Some(parent) = trace.forest.parent(node) {
                node = parent;
            }
            *counts.entry(node).or_insert(0u32) += 1;
        }
        let mut counts: Vec<f64> = counts.into_values().map(|c| f64::from(c) / 20_000.0).collect();
        counts.sort_by(f64::total_cmp);
        counts[if first { counts.len() - 1 } else { counts.len() - 2 }]
    };
    // Rank 1 of 64 with exponent 1 has 1 / H(64).
    near("zipf", share("zipf", Value::Null, true), 1.0 / 4.7439, 0.03);
    near("zipf, exponent 0", share("zipf", json!({"exponent": 0, "groups": 8}), true), 0.125, 0.05);
    // 1 / zeta(1.07) over the first 320 ranks.
    near("toolbench", share("toolbench", Value::Null, true), 0.187, 0.04);
    near("toolagent, chat", share("toolagent", Value::Null, true), 0.473, 0.05);
    near("toolagent, first template", share("toolagent", Value::Null, false), 0.378, 0.05);
    near("adversarial", share("adversarial", json!({"share": 0.7}), true), 0.7, 0.02);
    let moving = json!({"kind": "moving", "share": 1.0, "move_after": 2000, "prefixes": 10});
    near("moving", share("adversarial", moving, true), 0.1, 0.001);
    let small = |order: &str| {
        let trace = trace("gsp", &json!({"groups": 3, "prompts": 2, "order": order}), 1, 100);
        let root = |r: &Request| trace.forest.parent(r.prompt.leaf.expect("an identity")).expect("a shared prefix").0;
        trace.requests.iter().map(root).collect::<Vec<_>>()
    };
    let (grouped, interleaved) = (small("grouped"), small("interleaved"));
    assert_eq!(grouped.len(), 6, "groups times prompts");
    assert!(grouped[0] == grouped[1] && grouped[2] == grouped[3] && grouped[0] != grouped[2], "{grouped:?}");
    assert!(interleaved[0] == interleaved[3] && interleaved[0] != interleaved[1], "{interleaved:?}");
}

#[test]
fn mixtures_and_tenants_keep_their_weights() {
    let parts = json!({"parts": [
        {"workload": "no-sharing", "weight": 3, "params": {"output": {"constant": 1}}},
        {"workload": "zipf", "weight": 1, "params": {"output": {"constant": 2}}},
    ]});
    let trace_of = |tenants| {
        let options = GenOptions { requests: Some(20_000), rate: Some(50.0), tenants, ..GenOptions::default() };
        Trace::record(&mut *generate("mixture", &parts, &options), 16)
    };
    let trace = trace_of(Some((3, 1.0)));
    let share = |f: &dyn Fn(&Request) -> bool| trace.requests.iter().filter(|r| f(r)).count() as f64 / 20_000.0;
    near("weight", share(&|r| r.output_tokens == 1), 0.75, 0.02);
    near("rate", 20_000.0 / trace.span().as_secs_f64(), 50.0, 0.03);
    near("first tenant", share(&|r| r.tenant.0 == 0), 6.0 / 11.0, 0.03);
    near("third tenant", share(&|r| r.tenant.0 == 2), 2.0 / 11.0, 0.05);
    // Tenants are drawn apart from everything else.
    let alone = trace_of(None);
    assert!(trace.requests.iter().zip(&alone.requests).all(|(a, b)| a.arrival == b.arrival && a.prompt == b.prompt));
}

#[test]
fn later_turns_contain_earlier_ones() {
    for (known, shares_output) in [(true, true), (false, false)] {
        let trace = trace("multi-turn", &json!({"known_outputs": known, "system_tokens": 0}), 2, 5000);
        let mut last = std::collections::BTreeMap::new();
        let mut pairs = 0;
        for request in &trace.requests {
            if let Some(before) = last.insert(request.session, *request) {
                pairs += 1;
                let whole = before.prompt.tokens + before.output_tokens;
                let shared = trace.forest.shared_tokens(
                    request.prompt,
                    trimtab_core::Prompt {
                        leaf: before.output_leaf.or(before.prompt.leaf),
                        tokens: if shares_output { whole } else { before.prompt.tokens },
                    },
                );
                assert_eq!(shared, if shares_output { whole } else { before.prompt.tokens });
                assert_eq!(request.turn, before.turn + 1);
            }
        }
        assert!(pairs > 1000, "{pairs}");
    }
}
