//! Hits by where they were found, everywhere that a result can be read.

use trimtab_engine::Stepping;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::{metrics, rows, simulate};
use trimtab_sched::Registry;
use trimtab_table::Table;

use crate::support::{folder, run, text};

/// A small cluster with memory behind its caches.
const TIERED: &str = r#"
[cluster]
instances = 2
cost = { kind = "linear", step_us = 5000.0, per_prefill_token_us = 50.0 }
kv_tokens = 4096
BEHIND = { capacity_tokens = 50_000, bandwidth_gb_s = 25.0, kv_bytes_per_token = 50_000.0 }
[workload]
kind = "zipf"
limit = 300
params = { rate = 8.0, groups = 20, prefix_tokens = 600 }
"#;

fn sum(table: &Table, name: &str) -> f64 {
    let column = table.get(name).unwrap();
    (0..300).map(|row| column.number(row).unwrap()).sum()
}

#[test]
fn rows_and_metrics_tell_device_from_memory_behind() {
    for behind in ["host", "pool"] {
        let scenario: Scenario = toml::from_str(&TIERED.replace("BEHIND", behind)).unwrap();
        let result = simulate::run(&scenario, &Registry::default(), Stepping::Macro).unwrap();
        let table = rows::requests(&result);
        let (hit, loaded, prompt) =
            (sum(&table, "hit_tokens"), sum(&table, "loaded_tokens"), sum(&table, "prompt_tokens"));
        let found = metrics::metrics(&scenario, &result).hit_ratio;
        let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-12;
        assert!(loaded > 0.0 && hit > loaded, "{behind}: {loaded} of {hit}");
        assert!(near(found.tokens, hit / prompt) && near(found.loaded_tokens, loaded / prompt), "{behind}: {found:?}");
        assert!(near(found.device_tokens, (hit - loaded) / prompt), "{behind}: {found:?}");
    }
}

#[test]
fn the_summary_of_a_sweep_has_hits_by_tier() {
    let folder = folder(60);
    let host =
        "kv_tokens = 4096\nhost = { capacity_tokens = 100_000, bandwidth_gb_s = 25.0, kv_bytes_per_token = 1e5 }";
    for (text, tiered) in
        [(text(folder.path()), false), (text(folder.path()).replace("kv_tokens = 100_000", host), true)]
    {
        let out = folder.path().join(format!("tiered-{tiered}"));
        run(&text, &out, 1, None, &()).unwrap();
        let table = Table::read(&out.join("summary.csv")).unwrap();
        let (all, device) = (table.get("hit_ratio_tokens").unwrap(), table.get("hit_ratio_device_tokens").unwrap());
        let loaded = table.get("hit_ratio_loaded_tokens").unwrap();
        for row in 0..24 {
            let parts = device.number(row).unwrap() + loaded.number(row).unwrap_or(0.0);
            assert!((parts - all.number(row).unwrap()).abs() < 1e-12, "row {row}");
            assert_eq!(loaded.number(row).is_some_and(|share| share > 0.0), tiered, "row {row}");
        }
    }
}
