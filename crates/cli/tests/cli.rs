//! The command line as a user meets it: results, messages, exit codes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a small trace in it: 200 requests in two interleaved chains.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let mut text = String::new();
        for i in 0..200u32 {
            let blocks: Vec<String> = (0..=i % 7).map(|depth| (depth * 2 + i % 2).to_string()).collect();
            let unique = 1000 + i;
            let (time, input, output) = (i / 3 * 50, 512 * (i % 7 + 1) + 100, 1 + i % 40);
            let ids = blocks.join(", ");
            writeln!(
                text,
                r#"{{"timestamp": {time}, "input_length": {input}, "output_length": {output}, "hash_ids": [{ids}, {unique}]}}"#
            )
            .expect("a string takes all");
        }
        fs::write(dir.path().join("small.jsonl"), text).expect("a trace");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn trimtab(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("trimtab").expect("the binary");
        command.current_dir(self.dir.path()).args(args);
        command
    }

    fn run(&self, more: &[&str]) -> Command {
        self.trimtab(&[&["run", "--trace", "small.jsonl"], more].concat())
    }

    fn json(&self, more: &[&str]) -> Value {
        let out = self.run(&[more, &["--json"]].concat()).assert().success().get_output().stdout.clone();
        serde_json::from_slice(&out).expect("one JSON document")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn json_has_the_promised_fields() {
    let document = Bench::new().json(&["--slo-ttft", "1", "--warmup-requests", "20"]);
    assert_eq!(document["schema"], 1);
    assert_eq!(document["config"]["cluster"]["model"], "qwen2.5-7b");
    assert!(document["config"]["cluster"]["kv_tokens"].as_u64() > Some(1_000_000), "derived from the card");
    let result = &document["result"];
    let fields = [
        "requests",
        "completed",
        "rejected",
        "failed",
        "makespan_s",
        "slo_attainment",
        "throughput_rps",
        "output_tokens_per_s",
        "load_cv",
        "hotspot_share",
        "joint_attainment",
        "preemptions",
        "recomputed_tokens",
        "migrations",
        "evicted_blocks",
        "iterations",
    ];
    for field in fields {
        assert!(result[field].is_number(), "{field}: {}", result[field]);
    }
    for field in ["ttft_s", "tpot_s", "e2e_s", "queue_s", "itl_s"] {
        for quantile in ["mean", "p50", "p90", "p95", "p99", "max"] {
            assert!(result[field][quantile].is_number(), "{field}.{quantile}");
        }
    }
    for definition in ["tokens", "blocks", "full_blocks", "per_request"] {
        assert!(result["hit_ratio"][definition].as_f64() > Some(0.0), "{definition}");
    }
    assert_eq!(result["per_instance"].as_array().map(Vec::len), Some(8));
    assert_eq!((&result["requests"], &result["measured"]), (&Value::from(200), &Value::from(180)));
    assert!(document["config"].get("stepping").is_none(), "what cannot change a number is left out");
}

#[test]
fn the_same_command_gives_the_same_bytes_in_both_stepping_modes() {
    let bench = Bench::new();
    let files = ["a.csv", "b.csv", "c.csv"];
    let tight = ["--kv-tokens", "6000", "--scheduler", "random", "--json", "--requests-out"];
    let outputs: Vec<Vec<u8>> = files
        .iter()
        .zip(["macro", "macro", "every"])
        .map(|(file, stepping)| {
            let command = bench.run(&[&tight[..], &[file, "--stepping", stepping]].concat()).assert().success();
            command.get_output().stdout.clone()
        })
        .collect();
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
    let rows: Vec<Vec<u8>> = files.iter().map(|file| fs::read(bench.path(file)).expect("rows")).collect();
    assert_eq!(rows[0], rows[1]);
    assert_eq!(rows[0], rows[2]);
    assert_eq!(text(&rows[0]).lines().count(), 201);
}

#[test]
fn the_table_is_for_people_and_stdout_for_results() {
    let bench = Bench::new();
    let run = bench.run(&["--slo-ttft", "5"]).assert().success();
    let out = text(&run.get_output().stdout);
    for part in ["round-robin on 8 instances", "200 completed", "time to first token, s", "hit ratio by tokens"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    let err = text(&run.get_output().stderr);
    assert!(err.contains("simulated in") && err.contains("requests/s"), "{err}");
    let quiet = bench.run(&["-q"]).assert().success();
    assert!(quiet.get_output().stderr.is_empty(), "{}", text(&quiet.get_output().stderr));
}

#[test]
fn requests_that_can_never_fit_are_rejected_and_counted() {
    let document = Bench::new().json(&["--kv-tokens", "2048", "--slo-ttft", "100"]);
    let (rejected, completed) = (&document["result"]["rejected"], &document["result"]["completed"]);
    assert!(rejected.as_u64() > Some(50), "{rejected}");
    assert_eq!(rejected.as_u64().zip(completed.as_u64()).map(|(r, c)| r + c), Some(200));
    let attainment = document["result"]["slo_attainment"].as_f64();
    assert!(attainment < Some(0.75), "the rejected missed the objective: {attainment:?}");
}

/// Arguments after `run --trace small.jsonl`, exit code, and what the message must say.
const REFUSED: &[(&[&str], i32, &[&str])] = &[
    (&["--instances", "0"], 2, &["cluster.instances", "at least 1"]),
    (&["--scheduler", "round-robbin"], 2, &["unknown scheduler `round-robbin`", "did you mean `round-robin`?"]),
    (&["--model", "qwen2.5-7"], 2, &["unknown model", "did you mean `qwen2.5-7b`?"]),
    (&["--hardware", "h1000"], 2, &["unknown hardware", "did you mean `h100`?"]),
    (&["--model", "llama-3.1-70b"], 2, &["does not fit", "tensor parallelism"]),
    (&["--kv-tokens", "3"], 2, &["cluster.kv_tokens", "one block of 16"]),
    (&["--kv-tokens", "-3"], 2, &["--kv-tokens"]),
    (&["--rate", "nan"], 2, &["workload.rate", "positive"]),
    (&["--rate", "-2"], 2, &["workload.rate", "positive"]),
    (&["--speedup", "0"], 2, &["workload.speedup", "positive"]),
    (&["--slo-ttft", "-1"], 2, &["slo.ttft_s", "positive"]),
    (&["--slo-e2e", "NaN"], 2, &["slo.e2e_s", "positive"]),
    (&["--watermark", "1.5"], 2, &["cluster.watermark"]),
    (&["--block-tokens", "0"], 2, &["cluster.block_tokens"]),
    (&["--max-batched-tokens", "10"], 2, &["cluster.max_batched_tokens", "max_seqs"]),
    (&["--eviction", "lruu"], 2, &["eviction", "lru"]),
    (&["--param", "x=1"], 2, &["round-robin", "x"]),
    (&["--param", "x"], 2, &["KEY=VALUE"]),
    (&["--cost", "{\"kind\":\"fixed\",\"prefill_ms\":-1,\"decode_ms\":1}"], 2, &["cluster.cost.prefill_ms"]),
    (&["--requests-out", "/nonexistent/folder/x.csv"], 3, &["cannot write", "/nonexistent/folder/x.csv"]),
    (&["--format", "mooncak"], 2, &["mooncak"]),
    (&["--model", "/nonexistent.toml"], 3, &["/nonexistent.toml"]),
    (&["--max-input-tokens", "0"], 2, &["workload.max_input_tokens", "at least 1"]),
    (&["--instances", "4000000000"], 2, &["cluster.instances"]),
    (&["--arrivals", "gamma"], 2, &["--arrivals", "`cv` goes with `gamma`", "gamma:3.5"]),
    (&["--arrivals", "{\"burst\":{}}"], 2, &["--arrivals", "unknown field `burst`", "`bursts`"]),
    (&["--arrivals", "poisson", "--jitter-ticks"], 2, &["workload.arrivals", "jitter"]),
    (&["--set", "workload.sha256=abc"], 3, &["its SHA-256 is", "workload.sha256 says abc"]),
    (&["--tenants", "3"], 2, &["workload.tenants", "is for generators"]),
    (&["--think-s", "1"], 2, &["required", "--closed-loop|--users"]),
    (&["--users", "3", "--rate", "2"], 2, &["workload.rate", "users"]),
    (&["--max-dropped", "0.5"], 2, &["--lenient"]),
];

#[test]
fn refusals_name_the_field_and_the_remedy() {
    let bench = Bench::new();
    for (args, code, parts) in REFUSED {
        let assert = bench.run(&[]).args(*args).assert();
        let err = text(&assert.get_output().stderr);
        for part in *parts {
            assert!(err.contains(part), "{args:?}: `{part}` in\n{err}");
        }
        assert_eq!(assert.get_output().status.code(), Some(*code), "{args:?}: {err}");
        assert!(assert.get_output().stdout.is_empty(), "{args:?} printed a result");
    }
}

/// Trace text, and what the message must say.
const BAD_TRACES: &[(&str, &[&str])] = &[
    ("", &["no requests"]),
    ("{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [0, 1]", &["line 1"]),
    (
        "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [0, 1]}\n{\"timestamp\": 1, \
         \"input_length\": -600, \"output_length\": 5, \"hash_ids\": [0, 1]}\n",
        &["line 2", "input_length"],
    ),
    (
        "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [0, 1]}\n{\"timestamp\": \
         99999999999999, \"input_length\": 600, \"output_length\": 5, \"hash_ids\": [0, 2]}\n",
        &["line 2", "timestamp", "--start", "--speedup"],
    ),
];

#[test]
fn bad_traces_name_file_line_and_field() {
    let bench = Bench::new();
    for (trace, parts) in BAD_TRACES {
        fs::write(bench.path("bad.jsonl"), trace).expect("a trace");
        let assert = bench.trimtab(&["run", "--trace", "bad.jsonl"]).assert().code(3);
        let err = text(&assert.get_output().stderr);
        for part in [&["bad.jsonl"], *parts].concat() {
            assert!(err.contains(part), "`{part}` in\n{err}");
        }
    }
    bench.trimtab(&["run", "--trace", "none.jsonl"]).assert().code(3);
    bench.trimtab(&["run"]).assert().code(2);
}

/// Decode steps of one card, as a made-up straight line.
fn steps() -> String {
    let mut text = "hw,model,tp,kind,batch,new_tokens,context_tokens,time_ms\n".to_owned();
    for batch in 1..=12 {
        let time = 7.0 + 0.01 * f64::from(batch);
        writeln!(text, "h100,llama-3.1-8b,1,decode,{batch},1,1000,{time}").expect("a string takes all");
    }
    text
}

#[test]
fn a_calibration_can_be_drawn_written_and_used_again() {
    let bench = Bench::new();
    fs::write(bench.path("steps.csv"), steps()).expect("steps");
    let requests = "arrival_s,input_tokens,output_tokens,ttft_ms,tpot_ms,e2e_ms\n0,500,20,40,9,220\n0.1,800,1,60,,60\n";
    fs::write(bench.path("server.csv"), requests).expect("requests");
    bench.trimtab(&["calibrate", "steps.csv", "--plot", "r.svg", "--out", "p.toml"]).assert().success();
    let server = ["calibrate", "--requests", "server.csv", "--hardware", "h100", "--model", "llama-3.1-8b"];
    let replay = [&server[..], &["--profile", "p.toml", "--plot", "s.png"]].concat();
    bench.trimtab(&replay).assert().success();
    assert!(fs::read_to_string(bench.path("r.svg")).expect("a figure").contains("h100 unnamed (12)"));
    assert!(fs::read(bench.path("s.png")).expect("a figure").starts_with(b"\x89PNG"));
    for (args, code, part) in [
        (&["calibrate", "steps.csv", "--plot", "r.gif"][..], 2, "no picture format `gif`"),
        (&["calibrate", "steps.csv", "--plot", "/nonexistent/r.svg"], 3, "/nonexistent/r.svg"),
        (&["calibrate", "server.csv"], 3, "is missing"),
        (&["calibrate"], 2, "<STEPS>"),
    ] {
        let assert = bench.trimtab(args).assert().code(code);
        let err = text(&assert.get_output().stderr);
        assert!(err.contains(part), "{args:?}: `{part}` in\n{err}");
    }
}

#[test]
fn lists_are_json_arrays_of_name_and_summary() {
    let bench = Bench::new();
    for kind in ["schedulers", "models", "hardware", "formats"] {
        let out = bench.trimtab(&["list", kind, "--json"]).assert().success().get_output().stdout.clone();
        let list: Value = serde_json::from_slice(&out).expect("JSON");
        let entries = list.as_array().expect("an array");
        assert!(entries.len() >= 3, "{kind}");
        assert!(entries.iter().all(|e| e["name"].is_string() && e["summary"].is_string()), "{kind}");
    }
    let err = bench.trimtab(&["list", "schedulrs"]).assert().code(2).get_output().stderr.clone();
    assert!(text(&err).contains("did you mean `schedulers`?"));
    let err = bench.trimtab(&["explain", "eviction"]).assert().code(2).get_output().stderr.clone();
    assert!(text(&err).contains("which eviction?") && text(&err).contains("trimtab list"), "{}", text(&err));
    let out = bench.trimtab(&["explain", "least-loaded"]).assert().success().get_output().stdout.clone();
    assert!(text(&out).contains("load = "), "{}", text(&out));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let path: &Path = assert_cmd::cargo::cargo_bin!("trimtab");
    let mut child = std::process::Command::new(path)
        .args(["list", "schedulers"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}
