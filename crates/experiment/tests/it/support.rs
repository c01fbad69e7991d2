//! A small experiment to run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trimtab_experiment::plan::Plan;
use trimtab_experiment::results::{Existing, SweepError};
use trimtab_experiment::spec::{LoadError, Source};
use trimtab_experiment::sweep::{Outcome, Progress, Shard, SweepOptions, sweep};
use trimtab_sched::Registry;

/// A folder with a trace of `requests` requests in ticks of a second, in which neighbours share prompts.
pub(crate) fn folder(requests: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut trace = String::new();
    for i in 0..requests {
        let (family, input, output) = (i % 7, 1024 + 512 * (i % 3), 5 + i % 11);
        let blocks: Vec<u32> =
            (0..input / 512).map(|b| if b < 2 { family * 2 + b } else { 1000 + i * 4 + b }).collect();
        let second = i / 5 * 1000;
        writeln!(
            trace,
            r#"{{"timestamp": {second}, "input_length": {input}, "output_length": {output}, "hash_ids": {blocks:?}}}"#
        )
        .unwrap();
    }
    fs::write(folder.path().join("trace.jsonl"), trace).unwrap();
    folder
}

/// Two schedulers, two sizes, two rates, three seeds on the trace of the folder.
pub(crate) fn text(folder: &Path) -> String {
    format!(
        r#"schema = 1
name = "small"
seeds = [1, 2, 3]
warmup_requests = 10

[cluster]
instances = 2
cost = {{ kind = "linear", step_us = 5000.0, per_prefill_token_us = 50.0 }}
kv_tokens = 100_000

[workload]
trace = "{}"
jitter_s = 1.0

[slo]
ttft_s = 1.0

[search]
kind = "sweep"
rates_rps = [2.0, 6.0]

[[scheduler]]
kind = "round-robin"

[[scheduler]]
kind = "random"
label = "coin"

[grid]
"cluster.instances" = [2, 3]
"#,
        folder.join("trace.jsonl").display()
    )
}

pub(crate) fn load(text: &str, set: &[&str]) -> Result<(Source, Plan), LoadError> {
    let set: Vec<String> = set.iter().map(|&s| s.to_owned()).collect();
    let source = Source::parse(Path::new("small.toml"), text.to_owned(), &set)?;
    let plan = Plan::new(&source, &Registry::default())?;
    Ok((source, plan))
}

pub(crate) fn options(out: &Path, jobs: usize) -> SweepOptions {
    SweepOptions { out: out.into(), jobs, existing: Existing::Resume, shard: None, provenance: serde_json::Map::new() }
}

/// Runs a spec with the built-in schedulers.
pub(crate) fn run(
    text: &str,
    out: &Path,
    jobs: usize,
    shard: Option<Shard>,
    progress: &dyn Progress,
) -> Result<Outcome, SweepError> {
    let (source, plan) = load(text, &[]).unwrap();
    sweep(&plan, &source, &Registry::default(), &SweepOptions { shard, ..options(out, jobs) }, progress)
}

/// All data files of a results folder: everything but the manifest and the lock.
pub(crate) fn data(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in [dir.to_owned(), dir.join("cells")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            if path.is_file() && name != Path::new("manifest.json") && name != Path::new(".lock") {
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

pub(crate) fn manifest(dir: &Path) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(dir.join("manifest.json")).unwrap()).unwrap()
}

/// A capacity search for both schedulers and sizes.
pub(crate) fn capacity_text(folder: &Path) -> String {
    let search = "kind = \"capacity\"\nrate_rps = { low = 1.0, high = 60.0 }\ntolerance = 0.1\n";
    text(folder).replace("kind = \"sweep\"\nrates_rps = [2.0, 6.0]\n", search)
}
