//! Experiments as a user runs them: the real binary, its files, streams and exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// Two schedulers at two rates, two seeds.
const SPEC: &str = r#"schema = 1
name = "small"
seeds = [1, 2]

[cluster]
instances = 2
cost = { kind = "linear", step_us = 5000.0, per_prefill_token_us = 20.0 }
kv_tokens = 100_000

[workload]
kind = "no-sharing"
limit = 300

[slo]
ttft_s = 0.5

[search]
kind = "sweep"
rates_rps = [2.0, 200.0]

[[scheduler]]
kind = "round-robin"

[[scheduler]]
kind = "round-robin"
label = "twin"
"#;

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(spec: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        fs::write(dir.path().join("spec.toml"), spec).expect("a spec");
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

    /// Stdout and stderr of a command that must end like this.
    fn ends(&self, args: &[&str], code: i32) -> (String, String) {
        let assert = self.trimtab(args).assert();
        let output = assert.get_output();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }
}

/// All data files below a results folder: everything but the manifest, the lock, figures and halves of files.
fn data(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(dir: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below").to_owned();
            if path.is_dir() {
                if name != Path::new("plots") {
                    walk(&path, root, files);
                }
            } else if !["manifest.json", ".lock"].iter().any(|n| name == Path::new(n))
                && path.extension().is_none_or(|e| e != "partial")
            {
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(dir, dir, &mut files);
    files
}

#[test]
fn a_sweep_ends_with_means_capacities_and_verdicts() {
    let bench = Bench::new(SPEC);
    let (out, err) = bench.ends(&["sweep", "spec.toml", "--out", "r"], 0);
    for part in ["2 rps, round-robin", "200 rps, twin", "capacity, requests/s", "2 to 200", "not distinguishable"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    assert!(err.contains("results in r") && err.contains("figure: "), "{err}");
    // Identical policies under two names.
    let comparisons = fs::read_to_string(bench.path("r/comparisons.csv")).expect("comparisons");
    let verdicts: Vec<&str> = comparisons.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert!(verdicts.len() > 50 && verdicts.iter().all(|verdict| *verdict == "not distinguishable"), "{verdicts:?}");
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(bench.path("r/manifest.json")).expect("a manifest")).expect("JSON");
    for field in ["commit", "rustc", "target", "cargo_lock_sha256", "command", "processors"] {
        assert!(!manifest["provenance"][field].is_null(), "{field}");
    }
    let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "r"], 2);
    assert!(err.contains("--resume") && err.contains("--force"), "{err}");
}

/// What another plan left is not taken for this one's, and more objectives than the first token's are shown.
#[test]
fn figures_and_columns_are_those_of_the_plan() {
    let bench = Bench::new(SPEC);
    let (out, _) = bench.ends(&["sweep", "spec.toml", "--out", "r", "-j", "100000"], 0);
    assert!(out.contains("in TTFT SLO") && !out.contains("in all objectives"), "{out}");
    fs::write(bench.path("r/plots/notes.svg"), "").expect("a file");
    let again =
        ["sweep", "spec.toml", "--out", "r", "--resume", "--set", "search.rates_rps=[5.0]", "--set", "slo.tpot_s=1.0"];
    let (out, err) = bench.ends(&again, 0);
    assert!(out.contains("in TTFT SLO") && out.contains("in all objectives"), "{out}");
    assert!(err.contains("not drawn from these results: attainment-vs-rate.svg and "), "{err}");
    let left: Vec<_> = fs::read_dir(bench.path("r/plots")).expect("plots").flatten().map(|f| f.file_name()).collect();
    assert!(
        left.iter().any(|name| name == "notes.svg") && left.iter().any(|name| name == "comparison.svg"),
        "{left:?}"
    );
    let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "spec.toml"], 3);
    assert!(err.contains("a part of this path is a file"), "{err}");
}

#[test]
fn a_cell_is_run_again_alone() {
    let bench = Bench::new(SPEC);
    bench.ends(&["sweep", "spec.toml", "--out", "r", "--set", "warmup_requests=7"], 0);
    let cell = data(&bench.path("r")).into_keys().find(|name| name.starts_with("cells")).expect("a cell");
    let stored: Value = serde_json::from_slice(&fs::read(bench.path("r").join(&cell)).expect("a cell")).expect("JSON");
    let id = stored["id"].as_str().expect("an id");
    let again = ["run", "spec.toml", "--set", "warmup_requests=7", "--cell", id, "--json"];
    let (out, _) = bench.ends(&again, 0);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(document["result"], stored["metrics"]);
    assert_eq!(document["config"], stored["scenario"]);
    let (cells, _) = bench.ends(&["check", "spec.toml", "--set", "warmup_requests=7", "--cells"], 0);
    assert!(cells.contains(id) && cells.contains("8 cells"), "{cells}");
    let (_, err) = bench.ends(&["run", "spec.toml", "--cell", "no"], 2);
    assert!(err.contains("trimtab check spec.toml --cells"), "{err}");
}

#[test]
fn capacities_are_searched_and_shown() {
    let bench = Bench::new(SPEC);
    let (_, err) = bench.ends(&["capacity", "spec.toml"], 2);
    assert!(err.contains("nothing to search") && err.contains("--set 'search="), "{err}");
    let search = "search={kind = \"capacity\", rate_rps = {low = 2.0, high = 100.0}, tolerance = 0.2}";
    let (out, _) = bench.ends(&["capacity", "spec.toml", "--set", search, "--out", "c"], 0);
    assert!(out.contains("round-robin") && out.contains(" to ") && out.contains("not distinguishable"), "{out}");
    assert!(!out.contains("TTFT mean"), "{out}");
    let probes = fs::read_to_string(bench.path("c/probes.csv")).expect("probes");
    assert!(probes.lines().count() > 6, "{probes}");
}

#[test]
fn parts_merge_to_the_whole_and_diff_says_so() {
    let bench = Bench::new(SPEC);
    bench.ends(&["sweep", "spec.toml", "--out", "whole", "--jobs", "1"], 0);
    bench.ends(&["sweep", "spec.toml", "--shard", "1/2", "--out", "part-1"], 0);
    bench.ends(&["sweep", "spec.toml", "--shard", "2/2", "--out", "part-2"], 0);
    let (out, _) = bench.ends(&["merge", "part-1", "part-2", "--out", "merged"], 0);
    assert!(out.contains("2 to 200"), "{out}");
    assert_eq!(data(&bench.path("whole")), data(&bench.path("merged")));
    let (out, _) = bench.ends(&["diff", "whole", "merged"], 0);
    assert_eq!(out, "");
    let (_, err) = bench.ends(&["merge", "part-1", "--out", "half"], 2);
    assert!(!bench.path("half").exists(), "a merge that failed is in the way of the next one");
    assert!(err.contains("in none of the parts"), "{err}");

    bench.ends(&["sweep", "spec.toml", "--out", "other", "--set", "cluster.cost.step_us=5010"], 0);
    let (out, err) = bench.ends(&["diff", "whole", "other"], 1);
    assert!(out.contains("ttft_mean_s") && err.contains("differences"), "{out}\n{err}");
    bench.ends(&["diff", "whole", "other", "--tolerance", "0.5"], 0);
    let (out, _) = bench.ends(&["diff", "whole", "other", "--json"], 1);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert!(document["differences"][0]["column"].is_string(), "{document}");
    let (_, err) = bench.ends(&["diff", "whole", "nothing"], 3);
    assert!(err.contains("nothing"), "{err}");
}

#[test]
fn a_plan_is_checked_without_running_it() {
    let bench = Bench::new(SPEC);
    let (out, _) = bench.ends(&["check", "spec.toml"], 0);
    assert!(out.contains("4 groups x 2 seeds = 8 cells, 2400 requests") && out.contains("CPU s"), "{out}");
    let (out, _) = bench.ends(&["check", "spec.toml", "--json"], 0);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&document["cells"], &document["requests"]), (&8.into(), &2400.into()));
    let (out, _) = bench.ends(&["check", "spec.toml", "--print-plan"], 0);
    let plan: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(plan["groups"][0]["scenario"]["cluster"]["tp"], 1);
    let (_, err) = bench.ends(&["check", "spec.toml", "--set", "cluster.instanses=3"], 2);
    assert!(err.contains("did you mean `instances`?"), "{err}");
    assert!(!bench.path("results").exists(), "nothing was written");
}

#[test]
fn generators_that_stand_for_a_trace_say_so() {
    let bench = Bench::new(&SPEC.replace("limit = 300", "limit = 300\nreal = { trace = \"day.jsonl\" }"));
    let said = |args: &[&str], traces: Option<&str>| {
        let mut command = bench.trimtab(args);
        command.env_remove("TRIMTAB_TRACES").envs(traces.map(|folder| ("TRIMTAB_TRACES", folder)));
        String::from_utf8(command.assert().success().get_output().stderr.clone()).expect("text")
    };
    fs::create_dir(bench.path("traces")).expect("a folder");
    let check = ["check", "spec.toml"];
    assert_eq!(said(&check, None), "spec.toml: a generator stands for day.jsonl: TRIMTAB_TRACES names no folder\n");
    assert!(said(&check, Some("traces")).contains("it is not in traces, which TRIMTAB_TRACES names"));
    assert!(said(&["sweep", "spec.toml"], None).starts_with("spec.toml: a generator stands for day.jsonl"));
    assert_eq!(said(&["check", "spec.toml", "-q"], None), "");
    let at =
        |ms: u32| format!("{{\"timestamp\": {ms}, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": [0]}}\n");
    fs::write(bench.path("traces/day.jsonl"), at(0) + &at(1000)).expect("a trace");
    assert_eq!(said(&check, Some("traces")), "");
}

#[test]
fn what_editors_and_shells_need() {
    let bench = Bench::new(SPEC);
    let (out, _) = bench.ends(&["schema"], 0);
    let schema: Value = serde_json::from_str(&out).expect("JSON");
    assert!(schema["properties"]["scheduler"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        let (out, _) = bench.ends(&["completions", shell], 0);
        assert!(out.contains("capacity") && out.contains("no-prefix-cache"), "{shell}");
    }
    let (out, _) = bench.ends(&["man"], 0);
    assert!(out.starts_with('.') && out.contains("trimtab"), "{out}");
    bench.ends(&["man", "--out", "man"], 0);
    assert!(bench.path("man/trimtab-sweep.1").exists());
}

#[test]
fn a_run_writes_requests_and_decisions() {
    let bench = Bench::new(SPEC);
    let run = ["run", "--workload", "zipf", "--limit", "50", "--rate", "20", "--scheduler", "least-loaded"];
    let with = |more: &[&str], code| bench.ends(&[&run[..], more].concat(), code);
    with(&["--requests-out", "r.csv", "--decisions-out", "d.csv", "--set", "signals.refresh_ms=50"], 0);
    let lines = |name: &str| fs::read_to_string(bench.path(name)).expect("a table").lines().count();
    assert_eq!((lines("r.csv"), lines("d.csv")), (51, 51));
    let decisions = fs::read_to_string(bench.path("d.csv")).expect("decisions");
    assert!(decisions.starts_with("at_s,request,decided,instance,reason,candidates,predicted_ttft_s"), "{decisions}");
    with(&["--requests-out", "r.parquet", "--decisions-out", "d.parquet", "--regret"], 0);
    // 50 requests at 20/s end within 10 s: one window of each of the 8 instances.
    with(&["--load-out", "l.csv"], 0);
    let load = fs::read_to_string(bench.path("l.csv")).expect("load");
    assert!(
        load.starts_with("from_s,instance,busy,running,waiting,pending_tokens,kv_use,moved,serving\n0.0,0,"),
        "{load}"
    );
    assert_eq!(load.lines().count() % 8, 1, "{load}");
    assert_eq!(&fs::read(bench.path("r.parquet")).expect("Parquet")[..4], b"PAR1");
    // Looking for regret changes nothing.
    with(&["--decisions-out", "plain.csv"], 0);
    with(&["--decisions-out", "regret.csv", "--regret"], 0);
    let plain = fs::read_to_string(bench.path("plain.csv")).expect("decisions");
    let regret = fs::read_to_string(bench.path("regret.csv")).expect("decisions");
    let first =
        |text: &str| text.lines().map(|l| l.split(',').take(10).map(str::to_owned).collect()).collect::<Vec<Vec<_>>>();
    assert_eq!(first(&plain), first(&regret));
    assert!(plain != regret && regret.lines().nth(1).is_some_and(|line| !line.ends_with(',')), "{regret}");
    for (flags, code, part) in [
        (&["--requests-out", "r.txt"][..], 2, ".csv or .parquet"),
        (&["--regret"], 2, "--decisions-out"),
        (
            &["--set", "signals.refresh=1"],
            2,
            "--set signals.refresh=1: unknown key `refresh`; did you mean `refresh_ms`?",
        ),
        (&["--set", "router.decision_us=-1"], 2, "router.decision_us"),
        (&["--kv-tokens", "many"], 2, "--kv-tokens many: invalid type"),
    ] {
        let (out, err) = with(flags, code);
        assert!(err.contains(part) && out.is_empty(), "{flags:?}: {err}");
    }
}

/// A longer sweep, to be stopped on its way.
fn long() -> String {
    SPEC.replace("limit = 300", "limit = 2500")
        .replace("seeds = [1, 2]", "seeds = [1, 2, 3, 4, 5]")
        .replace("kind = \"round-robin\"\nlabel = \"twin\"", "kind = \"random\"")
}

fn spawn(bench: &Bench) -> std::process::Child {
    let path: &Path = assert_cmd::cargo::cargo_bin!("trimtab");
    let args = ["sweep", "spec.toml", "--out", "cut", "--resume", "--jobs", "2"];
    let command = &mut Process::new(path);
    let command = command.args(args).current_dir(bench.dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn cells(bench: &Bench) -> usize {
    fs::read_dir(bench.path("cut/cells")).map_or(0, Iterator::count)
}

#[test]
fn a_killed_sweep_goes_on_to_the_same_bytes() {
    let bench = Bench::new(&long());
    bench.ends(&["sweep", "spec.toml", "--out", "whole"], 0);
    for at in [0, 1, 4, 9, 15] {
        let mut child = spawn(&bench);
        while cells(&bench) < at && child.try_wait().expect("a state").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("it ends");
        child.wait().expect("it ended");
    }
    let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "cut", "--resume"], 0);
    assert!(err.contains("kept from before"), "{err}");
    assert_eq!(data(&bench.path("whole")), data(&bench.path("cut")));
}

#[test]
fn ctrl_c_keeps_what_is_done_and_says_how_to_go_on() {
    let bench = Bench::new(&long());
    let mut child = spawn(&bench);
    while cells(&bench) < 3 && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Process::new("kill").args(["-INT", &child.id().to_string()]).status().expect("a signal");
    let output = child.wait_with_output().expect("it ended");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{err}");
    let again = "trimtab sweep spec.toml --out cut --resume";
    assert!(err.contains(again) && output.stdout.is_empty(), "{err}");
    let manifest = fs::read_to_string(bench.path("cut/manifest.json")).expect("a manifest");
    assert!(manifest.contains("\"status\": \"interrupted\""), "{manifest}");
    let args: Vec<&str> = again.split(' ').skip(1).collect();
    bench.ends(&args, 0);
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let bench = Bench::new(SPEC);
    fs::write(bench.path("file"), "").expect("a file");
    let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "file/r"], 3);
    assert!(err.contains("cannot create file/r/cells"), "{err}");
    // A device that is always full, where there is one: the first file that is written lands there.
    if Path::new("/dev/full").exists() {
        fs::create_dir_all(bench.path("full/cells")).expect("a folder");
        std::os::unix::fs::symlink("/dev/full", bench.path("full/plan.json")).expect("a link");
        let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "full"], 3);
        assert!(err.contains("cannot write full/plan.json") && err.contains("space"), "{err}");
    }
    // The system refuses even root to write below /proc.
    if Path::new("/proc/self").exists() {
        let (_, err) = bench.ends(&["sweep", "spec.toml", "--out", "/proc/trimtab"], 3);
        assert!(err.contains("cannot create /proc/trimtab/cells"), "{err}");
    }
}

#[test]
fn two_processes_do_not_share_a_folder() {
    let bench = Bench::new(&long());
    let mut child = spawn(&bench);
    while cells(&bench) < 1 && child.try_wait().expect("a state").is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let assert = bench.trimtab(&["sweep", "spec.toml", "--out", "cut", "--resume"]).assert();
    let ended = child.try_wait().expect("a state").is_some();
    let err = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    if !ended {
        assert_eq!(assert.get_output().status.code(), Some(3), "{err}");
        assert!(err.contains("another process is writing these results"), "{err}");
    }
    child.kill().expect("it ends");
    child.wait().expect("it ended");
}

#[test]
fn tenants_and_classes_have_their_own_rows() {
    let spec = SPEC
        .replace("kind = \"no-sharing\"\nlimit = 300", "trace = \"blis.csv\"\njitter_s = 0.5")
        .replace("ttft_s = 0.5", "ttft_s = 5.0\n[[slo.class]]\npriority = 3\nttft_s = 1e-6")
        .replace("[search]", "[output]\nrequests = true\ndecisions = true\n\n[search]");
    let bench = Bench::new(&spec);
    let header = "arrival_time_us,input_tokens,output_tokens,tenant_id,vllm_priority,prefix_group,prefix_length\n";
    let line = |i: usize| {
        let (tenant, priority) = (["ann", "bob"][i % 2], if i.is_multiple_of(3) { 3 } else { 0 });
        format!("{},{},5,{tenant},{priority},g{},32\n", i * 20_000, 100 + i, i % 4)
    };
    let trace: Vec<String> = std::iter::once(header.to_owned()).chain((0..120).map(line)).collect();
    fs::write(bench.path("blis.csv"), trace.concat()).expect("a trace");
    let (out, _) = bench.ends(&["sweep", "spec.toml", "--out", "r"], 0);
    assert!(out.contains("of the trace, each seed moves arrivals by up to 0.5 s"), "{out}");
    let read = |name: &str| fs::read_to_string(bench.path(name)).expect("a table");
    let breakdown = read("r/breakdown.csv");
    let header: Vec<&str> = breakdown.lines().next().expect("a header").split(',').collect();
    let at = |name: &str| header.iter().position(|h| *h == name).expect("a column");
    let rows: Vec<Vec<&str>> = breakdown.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 8 * 4, "two tenants and two classes for each of eight cells");
    for row in &rows {
        let expected = match (row[at("by")], row[at("of")]) {
            ("tenant", _) => "60",
            ("class", "3") => "40",
            _ => "80",
        };
        assert_eq!(row[at("requests")], expected, "{row:?}");
        // Nobody can meet a microsecond; everybody meets five seconds at the low rate.
        if row[at("by")] == "class" && row[at("rate_rps")] == "2" {
            let attained = if row[at("of")] == "3" { "0" } else { "1" };
            assert_eq!(row[at("slo_attainment")], attained, "{row:?}");
        }
    }
    assert!(read("r/intervals.csv").contains("ttft_mean_s{tenant=1}"));
    for name in ["summary", "intervals", "comparisons", "breakdown"] {
        assert_eq!(&fs::read(bench.path(&format!("r/{name}.parquet"))).expect("Parquet")[..4], b"PAR1", "{name}");
    }
    let kept =
        |part: &str| data(&bench.path(part)).into_keys().filter(|name| name.ends_with("requests.parquet")).count();
    // Eight cells, two labels for one policy: four of them are run.
    assert_eq!(kept("r"), 4);
    assert!(
        fs::read_dir(bench.path("r/plots"))
            .expect("figures")
            .any(|file| { file.expect("a figure").file_name().to_string_lossy().starts_with("ttft-cdf") })
    );
    // Parts carry them too, and a folder without them is completed.
    bench.ends(&["sweep", "spec.toml", "--shard", "1/2", "--out", "a"], 0);
    bench.ends(&["sweep", "spec.toml", "--shard", "2/2", "--out", "b", "--jobs", "1"], 0);
    bench.ends(&["merge", "a", "b", "--out", "m"], 0);
    assert_eq!(data(&bench.path("r")), data(&bench.path("m")));
    bench.ends(&["sweep", "spec.toml", "--out", "late", "--set", "output={}"], 0);
    assert_eq!(kept("late"), 0);
    bench.ends(&["sweep", "spec.toml", "--out", "late", "--resume"], 0);
    assert_eq!(data(&bench.path("r")), data(&bench.path("late")));
}

#[test]
fn the_documented_shards_merge_to_the_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = fs::read_to_string(root.join("docs/experiments.md")).expect("the page");
    let block = docs.split("```sh\n").find(|block| block.contains("--shard 1/2")).expect("the example");
    let commands: Vec<&str> = block.split("```").next().expect("its end").lines().collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let bench = Bench::new(SPEC);
    let spec = fs::read_to_string(root.join("experiments/quickstart.toml")).expect("the spec");
    let spec = spec.replace("limit = 6000", "limit = 300").replace("warmup_requests = 500", "warmup_requests = 50");
    fs::create_dir(bench.path("experiments")).expect("a folder");
    fs::write(bench.path("experiments/quickstart.toml"), spec).expect("a spec");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[0], "trimtab");
        bench.ends(&words[1..], 0);
    }
    bench.ends(&["sweep", "experiments/quickstart.toml", "--out", "whole"], 0);
    assert_eq!(data(&bench.path("whole")), data(&bench.path("results/quickstart")));
}
