//! The specs that users start from.

use std::path::{Path, PathBuf};

use trimtab_experiment::estimate::estimate;
use trimtab_experiment::plan::Plan;
use trimtab_experiment::spec::{Source, json_schema};
use trimtab_sched::Registry;

use crate::support::options;

/// The specs in `experiments/` and its folders, with the names they should have: that of the file, perhaps after that of
/// the folder. Profiles are no specs.
fn specs() -> Vec<(PathBuf, [String; 2])> {
    let mut specs = Vec::new();
    let mut folders = vec![(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments"), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && stem != "profiles" {
                folders.push((path, format!("{stem}-")));
            } else if path.extension().is_some_and(|e| e == "toml") {
                specs.push((path, [format!("{prefix}{stem}"), stem]));
            }
        }
    }
    specs.sort();
    specs
}

#[test]
fn every_shipped_spec_is_valid_and_runs() {
    let mut seen = Vec::new();
    for (path, names) in specs() {
        let source = Source::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        let name = source.spec.name.clone();
        assert!(names.contains(&name), "{}: `{name}` is none of {names:?}", path.display());
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
        "dualmap-capacity",
        "quickstart",
        "skew-sweep",
        "slo-sweep",
        "staleness-sweep",
    ]
    .map(str::to_owned);
    assert!(expected.iter().all(|name| seen.contains(name)), "{seen:?}");
}

/// A warm-up as long as the run that the estimate is taken from is no obstacle.
#[test]
fn the_cost_of_a_shipped_spec_can_be_estimated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/quickstart.toml");
    let source = Source::load(&path, &[]).unwrap();
    let plan = Plan::new(&source, &Registry::default()).unwrap();
    assert!(plan.groups[0].scenario.warmup_requests >= 500, "the warm-up is not long enough for this test");
    let estimated = estimate(&plan, &Registry::default(), 2, &|| 0.0).unwrap();
    assert_eq!(estimated.cells, plan.cells().count());
    assert_eq!(estimated.requests, plan.cells().filter_map(|(_, cell)| cell.scenario.workload.limit).sum::<u64>());
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
