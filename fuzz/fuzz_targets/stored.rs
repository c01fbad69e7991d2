//! What runs leave for later ones: a cell, or a plan with its manifest, by the first byte.
#![no_main]

#[expect(dead_code, reason = "this target reads folders, not files")]
mod scratch;

use libfuzzer_sys::fuzz_target;
use trimtab_experiment::plan::Plan;
use trimtab_experiment::results::{CellResult, Existing, Store};
use trimtab_experiment::sweep::{SweepOptions, merge, plan_of};
use trimtab_sched::Registry;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, content)) = bytes.split_first() else { return };
    let part = scratch::folder().join("part");
    let cells = part.join("cells");
    std::fs::create_dir_all(&cells).expect("a scratch folder");
    if choice & 1 == 0 {
        std::fs::write(cells.join("0123456789abcdef.json"), content).expect("room");
        let store = Store::open(&part, Existing::Resume).expect("a scratch folder");
        if let Some(cell) = store.load("0123456789abcdef") {
            let written = serde_json::to_string(&cell).expect("plain data");
            let again: CellResult = serde_json::from_str(&written).expect("what we wrote is sound");
            assert_eq!(serde_json::to_string(&again).expect("plain data"), written);
        }
        return;
    }
    let mut files = content.split(|&byte| byte == 0);
    for name in ["plan.json", "manifest.json", "spec.toml"] {
        std::fs::write(part.join(name), files.next().unwrap_or_default()).expect("room");
    }
    let parts = [part];
    let small = |plan: &Plan| plan.groups.len().saturating_mul(plan.seeds.len()) <= 64;
    if !plan_of(&parts).is_ok_and(|plan| small(&plan)) {
        return;
    }
    let out = scratch::folder().join("merged");
    let options = SweepOptions {
        out: out.clone(),
        jobs: 1,
        existing: Existing::Replace,
        shard: None,
        provenance: serde_json::Map::new(),
    };
    let _ = merge(&parts, &Registry::default(), &options, &());
    let _ = std::fs::remove_dir_all(out);
});
