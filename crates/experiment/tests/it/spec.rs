//! What is refused, with its line and what was meant.

use trimtab_experiment::plan::Plan;
use trimtab_experiment::spec::Source;
use trimtab_sched::Registry;

use crate::support::{folder, load, text};

#[test]
fn faults_are_shown_where_they_are() {
    let folder = folder(50);
    let good = text(folder.path());
    // A part of the spec, what it becomes, the line of the fault and what is said.
    let cases: &[(&str, &str, usize, &str)] = &[
        ("seeds = [1, 2, 3]", "sedes = [1, 2, 3]", 3, "unknown key `sedes`; did you mean `seeds`?"),
        ("instances = 2", "instanecs = 2", 7, "unknown key `instanecs`; did you mean `instances`?"),
        ("step_us = 5000.0", "setp_us = 5000.0", 8, "unknown key `setp_us`; did you mean `step_us`?"),
        ("kind = \"linear\"", "kind = \"liner\"", 8, "unknown value `liner`; did you mean `linear`?"),
        ("ttft_s = 1.0", "ttft = 1.0", 16, "unknown key `ttft`; did you mean `ttft_s`?"),
        ("ttft_s = 1.0", "ttft_s = -1.0", 16, "slo.ttft_s: `-1` is not a positive number of seconds"),
        ("rates_rps = [2.0, 6.0]", "rate_rps = [2.0]", 20, "unknown key `rate_rps`; did you mean `rates_rps`?"),
        ("rates_rps = [2.0, 6.0]", "rates_rps = [-2.0]", 20, "rates are positive numbers"),
        ("rates_rps = [2.0, 6.0]", "rates_rps = [2.0, 6.0, 2.0]", 20, "`2` is there twice"),
        ("\"cluster.instances\" = [2, 3]", "\"cluster.instances\" = [2, 2]", 30, "has the value 2 twice"),
        ("seeds = [1, 2, 3]", "seeds = 5", 3, "expected a list: `[...]`"),
        ("cost = {", "cost = \"fixed\"\n#", 8, "expected a table with a `kind`"),
        (
            "jitter_s = 1.0",
            "limit = 40\n[clients]\npatience_s = 1.0\n[[admission]]\nkind = \"x\"",
            16,
            "admission policy `x`",
        ),
        ("kind = \"random\"", "kind = \"rondom\"", 26, "unknown scheduler `rondom`, did you mean `random`?"),
        ("label = \"coin\"", "label = \"round-robin\"", 27, "two schedulers are called `round-robin`"),
        ("label = \"coin\"", "label = \"\"", 27, "a scheduler without a name"),
        ("label = \"coin\"", "params = { x = 1 }", 27, "unknown parameter `x`: there are none here"),
        ("kind = \"random\"", "kind = \"power-of-d\"\nparams.dd = 3", 27, "did you mean `d`?"),
        ("\"cluster.instances\" = [2, 3]", "\"cluster.instance\" = [2]", 30, "did you mean `instances`?"),
        ("\"cluster.instances\" = [2, 3]", "\"cluster.instances\" = [2, \"x\"]", 30, "invalid type"),
        ("\"cluster.instances\" = [2, 3]", "\"cluster.instances\" = []", 30, "has no values"),
        ("\"cluster.instances\" = [2, 3]", "cluster.tp = [0]", 30, "cluster.tp: must be at least 1"),
        ("seeds = [1, 2, 3]", "seeds = [1, 1]", 3, "a seed is given twice"),
        (
            "\"cluster.instances\" = [2, 3]",
            "\"scheduler.kind\" = [\"random\"]",
            30,
            "list the schedulers as `[[scheduler]]`",
        ),
        ("kv_tokens = 100_000", "memory_share = 1.5", 9, "cluster.memory_share: `1.5` is not a share above 0, up to 1"),
        ("instances = 2", "memory_share = 0.5", 7, "has no effect where `cluster.kv_tokens` says it"),
        (
            "instances = 2",
            "host = { capacity_tokens = 9000, bandwidth_gb_s = 0.0 }",
            7,
            "cluster.host.bandwidth_gb_s: ",
        ),
        ("instances = 2", "group = [{ instances = 2 }]", 30, "every `[[cluster.group]]` has its own `instances`"),
        ("jitter_s = 1.0", "limit = 0", 13, "workload.limit: must be at least 1"),
        ("name = \"small\"", "name = \"../x\"", 2, "is no name for a folder"),
        ("schema = 1", "schema = 9", 1, "schema 9 is not known"),
        ("jitter_s = 1.0", "jitter_s = 1.0\njitter_s = 2.0", 14, "`jitter_s` is there twice"),
        ("instances = 2", "instances = \"two\"", 7, "expected a whole number that is not negative"),
        ("instances = 2", "instances = -2", 7, "expected a whole number that is not negative"),
        ("jitter_s = 1.0", "jitter_s = true", 13, "expected a number"),
        ("schema = 1", "schema = ", 1, "value"),
        ("jitter_s = 1.0", "jitter_s = \"1\"", 13, "invalid type"),
        ("jitter_s = 1.0", "jitter_s = -1.0", 13, "workload.jitter_s: `-1` is not a number of seconds"),
        ("jitter_s = 1.0", "rate = 1.0", 13, "the rates are given by search.rates_rps already"),
        (
            "\"cluster.instances\" = [2, 3]",
            "\"workload.rate\" = [2.0]",
            30,
            "the rates are given by search.rates_rps already",
        ),
        ("\"cluster.instances\" = [2, 3]", "seed = [2]", 30, "list the seeds in `seeds`"),
    ];
    load(&good, &[]).expect("the spec itself is right");
    for (part, instead, line, message) in cases {
        assert!(good.contains(part), "{part}");
        let error = load(&good.replacen(part, instead, 1), &[]).expect_err(instead);
        assert_eq!(error.exit_code(), 2, "{instead}");
        let shown = error.to_string();
        assert!(shown.starts_with(&format!("small.toml:{line}:")), "{instead}: {shown}");
        assert!(shown.contains(message), "{instead}: {shown}");
    }
}

#[test]
fn overrides_are_checked_too() {
    let folder = folder(50);
    let text = text(folder.path());
    let (_, plan) = load(&text, &["warmup_requests=7", "cluster.eviction=lru", "seeds=[4]"]).unwrap();
    assert_eq!((plan.groups[0].scenario.warmup_requests, plan.seeds.as_slice()), (7, [4].as_slice()));
    for (flag, message) in [
        ("cluster.tpp=2", "unknown key `tpp`; did you mean `tp`?"),
        ("cluster", "expected `dotted.path=value`"),
        ("name.x=1", "there is no table to hold `x`"),
        ("search.rates_rps=20", "expected a list"),
        ("cluster.instances=x", "expected a whole number"),
    ] {
        let shown = load(&text, &["seeds=[4]", flag, "warmup_requests=7"]).expect_err(flag).to_string();
        assert!(shown.starts_with(&format!("--set {flag}: ")) && shown.contains(message), "{flag}: {shown}");
    }
}

/// What can only be known from several places of a spec.
#[test]
fn what_cannot_be_together_is_shown_where_it_is() {
    let folder = folder(50);
    let text = text(folder.path());
    let trace = text.lines().find(|line| line.starts_with("trace")).unwrap();
    let generated =
        text.replace(trace, "kind = \"zipf\"\nlimit = 40").replace("jitter_s = 1.0", "params = { rate = 3.0 }");
    for (spec, line, message) in [
        (generated.clone(), 14, "workload.params.rate has no effect where `search.rates_rps` says it"),
        (text.replace(trace, "").replace("jitter_s = 1.0", ""), 11, "no workload: a generator or a trace is needed"),
        (
            text.replace("[search]", "[signals]\nprefix = \"off\"\n\n[search]").replace("\"random\"", "\"dualmap\""),
            18,
            "reads signals that are off: prefix",
        ),
        (
            text.replace("jitter_s = 1.0", "loop = { kind = \"sessions\" }")
                .replace("instances = 2", "eviction = \"belady\""),
            7,
            "cluster.eviction: `belady` must know all requests in advance",
        ),
    ] {
        let shown = load(&spec, &[]).expect_err(message).to_string();
        assert!(shown.starts_with(&format!("small.toml:{line}:")) && shown.contains(message), "{shown}");
    }
    load(&generated.replace("params = { rate = 3.0 }", ""), &[]).expect("a generator with a rate");
    // What has an effect, or gives way to what is more particular.
    let derived = text.replace("kv_tokens = 100_000", "memory_share = 0.8");
    let groups = text.replace("kv_tokens = 100_000", "kv_tokens = 100_000\ngroup = [{ instances = 2 }]");
    let grid = |spec: &str, line: &str| spec.replace("\"cluster.instances\" = [2, 3]", line);
    for (spec, flags) in [
        (derived.clone(), &["cluster.kv_tokens=50000"][..]),
        (derived.clone() + "[[case]]\nlabel = \"small\"\nset = { \"cluster.kv_tokens\" = 50000 }\n", &[]),
        (generated.clone(), &["search.rates_rps=[5.0]"]),
        (grid(&groups, "\"cluster.memory_share\" = [0.5, 0.9]"), &[]),
        (grid(&groups, "\"cluster.model\" = [\"qwen2.5-7b\", \"llama-3.1-8b\"]"), &[]),
        (grid(&text.replace("\"random\"", "\"power-of-d\""), "\"scheduler.params\" = [{}]"), &[]),
    ] {
        load(&spec, flags).unwrap_or_else(|error| panic!("{error}"));
    }
    for (spec, words) in [
        (grid(&text, "\"cluster.memory_share\" = [0.5, 0.9]"), "where `cluster.kv_tokens` says it"),
        (grid(&groups, "\"cluster.kv_tokens\" = [50000, 90000]"), "has its own `kv_tokens`"),
        (grid(&groups, "\"cluster.instances\" = [2, 3]"), "has its own `instances`"),
    ] {
        let shown = load(&spec, &[]).expect_err(words).to_string();
        assert!(shown.contains(words), "{shown}");
    }
    let shown = load(&text, &["cluster.memory_share=0.5"]).expect_err("a flag without effect").to_string();
    assert!(shown.contains("cluster.memory_share has no effect"), "{shown}");
}

#[test]
fn a_warm_up_leaves_something() {
    let folder = folder(50);
    let text = text(folder.path());
    let shown = load(&text, &["workload.limit=40", "warmup_requests=40"]).expect_err("nothing is left").to_string();
    assert!(shown.contains("warmup_requests: 40 leave nothing to measure of workload.limit = 40"), "{shown}");
    load(&text, &["workload.limit=40", "warmup_requests=39"]).expect("one request is left");
}

/// Every piece of a spec in the documentation is one.
#[test]
fn specs_of_the_documentation_can_be_read() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut read = 0;
    for page in ["caches", "dynamics", "experiments", "model", "routers", "workloads"] {
        let text = std::fs::read_to_string(docs.join(format!("{page}.md"))).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let header = if block.contains("schema = ") { "" } else { "schema = 1\nname = \"x\"\n" };
            let spec = format!("{header}{block}");
            if let Err(error) = Source::parse(std::path::Path::new(page), spec, &[]) {
                panic!("docs/{page}.md: {error}");
            }
            read += 1;
        }
    }
    assert!(read >= 15, "only {read} were found");
}

#[test]
fn what_the_router_sees_and_costs_is_part_of_a_spec() {
    let folder = folder(50);
    let sections = "\n[signals]\nrefresh_ms = 200.0\n[router]\nnetwork_us = 50.0\n[transfer]\nbandwidth_gb_s = 87.0\n";
    let (_, plan) = load(&(text(folder.path()) + sections), &["signals.oracle=false"]).unwrap();
    for group in &plan.groups {
        let scenario = &group.scenario;
        assert!(!scenario.signals.oracle && scenario.signals.refresh_ms.to_bits() == 200_f64.to_bits());
        assert_eq!(scenario.router.network_us.to_bits(), 50_f64.to_bits());
        assert_eq!(scenario.transfer.map(|t| t.bandwidth_gb_s.to_bits()), Some(87_f64.to_bits()));
    }
}

#[test]
fn missing_and_wrong_traces_are_told_apart() {
    let folder = folder(50);
    let text = text(folder.path());
    for (from, to, message) in [
        ("trace.jsonl\"", "nothing.jsonl\"", "nothing.jsonl: "),
        ("jitter_s", "sha256 = \"00\"\njitter_s", "its SHA-256 is "),
    ] {
        let error = load(&text.replace(from, to), &[]).expect_err(to);
        assert_eq!(error.exit_code(), 3, "{to}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn plans_expand_in_the_written_order() {
    let folder = folder(50);
    let cases = "\n[[case]]\nlabel = \"plain\"\n[[case]]\nlabel = \"tight\"\n[case.set]\ncluster.max_seqs = 4\n";
    let (_, plan) = load(&(text(folder.path()) + cases), &[]).unwrap();
    let found: Vec<_> = plan
        .groups
        .iter()
        .map(|g| {
            (g.point, g.case.as_str(), g.scenario.cluster.instances, g.scenario.cluster.max_seqs, g.rate_rps, &*g.label)
        })
        .collect();
    let mut expected = Vec::new();
    let points = [("plain", 2, 256), ("plain", 3, 256), ("tight", 2, 4), ("tight", 3, 4)];
    for (point, (case, instances, seqs)) in points.into_iter().enumerate() {
        for rate in [2.0, 6.0] {
            expected.extend(["round-robin", "coin"].map(|label| (point, case, instances, seqs, Some(rate), label)));
        }
    }
    assert_eq!(found, expected);
    assert_eq!(plan.paths, ["cluster.instances", "cluster.max_seqs"]);
    assert_eq!(plan.cells().count(), 16 * 3);
}

#[test]
fn ids_follow_the_content() {
    let folder = folder(50);
    let text = text(folder.path());
    let ids = |text: &str| load(text, &[]).unwrap().1.cells().map(|(_, cell)| cell.id).collect::<Vec<_>>();
    let base = ids(&text);
    // What changes no number changes no id: names, defaults written out, where the trace lies.
    let moved = folder.path().join("moved.jsonl");
    std::fs::copy(folder.path().join("trace.jsonl"), &moved).unwrap();
    for same in [
        text.replace("\"small\"", "\"other\"").replace("\"coin\"", "\"dice\""),
        text.replace("kv_tokens = 100_000", "kv_tokens = 100_000\ntp = 1"),
        text.replace("trace.jsonl", "moved.jsonl"),
    ] {
        assert_eq!(ids(&same), base);
    }
    let other = ids(&text.replace("step_us = 5000.0", "step_us = 5001.0"));
    assert!(other.iter().all(|id| !base.contains(id)));
    // A card by path is what its file says.
    let card = folder.path().join("card.toml");
    let with_card = |tflops: &str| {
        let body = "summary = \"test\"\naliases = []\nmemory_bytes = 34_359_738_368\nmemory_tb_per_s = 0.8\nlink_gb_per_s = 31.0";
        std::fs::write(&card, format!("name = \"card\"\nsource = \"test\"\nbf16_tflops = {tflops}\n{body}\n")).unwrap();
        let path = card.to_str().unwrap();
        ids(&text.replace("kv_tokens = 100_000", &format!("kv_tokens = 100_000\nhardware = {path:?}")))
    };
    assert_ne!(with_card("280.0"), with_card("140.0"));
    assert_eq!(with_card("280.0"), with_card("280.0"));
    std::fs::write(&moved, "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": [1]}\n")
        .unwrap();
    assert_ne!(ids(&text.replace("trace.jsonl", "moved.jsonl")), base);
}

/// The plan writes defaults out, but those of a preset are not those of the scheduler.
#[test]
fn presets_keep_their_defaults() {
    let folder = folder(50);
    let text = text(folder.path()).replace("kind = \"random\"", "kind = \"chwbl\"\nparams = { preset = \"sglang\" }");
    let (_, plan) = load(&text, &[]).unwrap();
    let group = plan.groups.iter().find(|group| group.scenario.scheduler.kind == "chwbl").unwrap();
    assert_eq!(group.scenario.scheduler.params, serde_json::json!({ "preset": "sglang" }));
}

#[test]
fn specs_that_would_take_all_memory_are_refused() {
    let folder = folder(50);
    let text = text(folder.path());
    let hundred: String = (1..=100).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let grid: String = ["tp", "max_seqs", "block_tokens", "kv_tokens", "max_batched_tokens"]
        .iter()
        .map(|key| format!("\"cluster.{key}\" = [{hundred}]\n"))
        .collect::<Vec<_>>()
        .concat();
    let capacity = |low: f64, high: f64, seeds: u64| {
        let bounds = format!("rate_rps = {{ low = {low:e}, high = {high:e} }}\nmax_seeds = {seeds}\n");
        text.replace("kind = \"sweep\"\nrates_rps = [2.0, 6.0]\n", &format!("kind = \"capacity\"\n{bounds}"))
    };
    let rates: String = (1..=20_000).map(|n| format!("{n}.0, ")).collect::<Vec<_>>().concat();
    for (spec, message) in [
        (text.clone() + &grid, "more than 100000 combinations with the values of `cluster.block_tokens`"),
        (
            text.replace("rates_rps = [2.0, 6.0]", &format!("rates_rps = [{rates}]")) + grid.lines().next().unwrap(),
            "are more than 100000",
        ),
        (capacity(5e-324, 1.0, 9), "low is at least 1e-9"),
        (capacity(1.0, 1e308, 9), "high at most 1e9 times low"),
        (capacity(1.0, 10.0, 9_000_000_000_000_000_000), "from the number of seeds to 100000"),
        (
            text.clone() + "[replicate]\nmetric = \"ttft_mean_s\"\nhalf_width = 0.1\nmax_seeds = 1000000000\n",
            "to 100000",
        ),
    ] {
        let shown = load(&spec, &[]).expect_err(message).to_string();
        assert!(shown.contains(message), "{message}: {}", &shown[..shown.len().min(300)]);
        assert!(shown.len() < 1000, "{} bytes", shown.len());
    }
    let deep = format!("{}=1", vec!["a"; 100_000].join("."));
    assert!(load(&text, &[&deep]).expect_err("too deep").to_string().contains("not a dotted path of some keys"));
}

#[test]
fn a_generator_gives_way_to_the_trace_that_it_stands_for() {
    let folder = folder(50);
    let real = "kind = \"zipf\"\nreal = { trace = \"trace.jsonl\", jitter_s = 0.5 }\n";
    let (head, rest) = text(folder.path()).split_once("[workload]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let rest = &rest[rest.find("\n[").unwrap()..];
    let spec = format!("{head}[workload]\nlimit = 20\n{real}{rest}");
    let with = |traces: Option<&std::path::Path>| {
        let (mut source, _) = load(&spec, &[]).unwrap();
        source.traces = traces.map(Into::into);
        let plan = Plan::new(&source, &Registry::default()).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
        (plan.groups[0].scenario.workload.clone(), plan.generated.into_iter().collect::<Vec<_>>())
    };
    let elsewhere = tempfile::tempdir().unwrap();
    for absent in [None, Some(elsewhere.path())] {
        let (generated, instead_of) = with(absent);
        assert_eq!(instead_of, ["trace.jsonl"]);
        assert_eq!((generated.kind.as_deref(), generated.trace, generated.jitter_s), (Some("zipf"), None, None));
        assert_eq!(generated.real, None, "nothing of it is left in a cell");
    }
    let (replayed, instead_of) = with(Some(folder.path()));
    assert!(instead_of.is_empty());
    assert_eq!((replayed.kind, replayed.limit, replayed.jitter_s), (None, Some(20), Some(0.5)));
    assert_eq!(replayed.trace, Some(folder.path().join("trace.jsonl")));
    assert!(replayed.sha256.is_some());
}
