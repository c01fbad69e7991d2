//! The specs that users start from.

use std::path::Path;

use trimtab_experiment::plan::Plan;
use trimtab_experiment::spec::{Source, json_schema};
use trimtab_sched::Registry;

use crate::support::options;

fn experiments() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments")
}

#[test]
fn every_shipped_spec_is_valid_and_runs() {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(experiments()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = Source::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(source.spec.name, name);
        Plan::new(&source, &Registry::default()).unwrap_or_else(|error| panic!("{error}"));
        // The same with few requests and one seed, so that every scheduler and setting runs.
        let short: Vec<String> = ["workload.limit=40", "seeds=[1]", "warmup_requests=0"].map(str::to_owned).to_vec();
        let short = Source::load(&path, &short).unwrap();
        if matches!(short.spec.search, trimtab_experiment::spec::Search::Sweep { .. }) {
            let plan = Plan::new(&short, &Registry::default()).unwrap();
            let out = tempfile::tempdir().unwrap();
            let ended =
                trimtab_experiment::sweep::sweep(&plan, &short, &Registry::default(), &options(out.path(), 2), &());
            assert_eq!(ended.unwrap().exit_code(), 0, "{name}");
        }
        seen.push(name);
    }
    seen.sort();
    let expected = [
        "cache-size-sweep",
        "capacity",
        "cluster-size-sweep",
        "quickstart",
        "skew-sweep",
        "slo-sweep",
        "staleness-sweep",
    ]
    .map(str::to_owned);
    assert!(expected.iter().all(|name| seen.contains(name)), "{seen:?}");
}

#[test]
fn the_schema_knows_every_table() {
    let schema = json_schema();
    for key in
        ["schema", "name", "seeds", "cluster", "workload", "slo", "scheduler", "grid", "case", "search", "replicate"]
    {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}
