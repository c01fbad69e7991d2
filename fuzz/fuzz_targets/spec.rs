//! A spec, its lines that begin with `#!` as overrides, and the plan that it makes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use trimtab_experiment::plan::Plan;
use trimtab_experiment::spec::Source;
use trimtab_sched::Registry;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let set: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("#!")).map(str::to_owned).collect();
    let source = match Source::parse(Path::new("fuzz.toml"), text.to_owned(), &set) {
        Ok(source) => source,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let Ok(plan) = Plan::new(&source, &Registry::default()) else { return };
    assert!(plan.cells().next().is_some(), "a plan has cells");
    let written = serde_json::to_string(&plan).expect("a plan is plain data");
    let again: Plan = serde_json::from_str(&written).expect("what we wrote is sound");
    assert_eq!(again, plan);
});
