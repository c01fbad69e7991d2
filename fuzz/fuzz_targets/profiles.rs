//! Files of the catalogue, by the first byte: models, cards, fitted profiles, models of Hugging Face. What is read can be
//! deployed or is refused.
#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use trimtab_engine::Stepping;
use trimtab_experiment::calibrate::ProfileFile;
use trimtab_experiment::catalog;
use trimtab_experiment::scenario::Scenario;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, content)) = bytes.split_first() else { return };
    let name = ["model.toml", "config.json", "card.toml", "profile.toml"][usize::from(choice % 4)];
    let path = scratch::file(name, content);
    let name = path.to_str().expect("a scratch path is text").to_owned();
    let mut scenario = Scenario::default();
    match choice % 4 {
        0 | 1 if catalog::model(&name).is_ok() => scenario.cluster.model = name,
        2 if catalog::hardware(&name).is_ok() => scenario.cluster.hardware = name,
        3 => {
            if let Ok(file) = ProfileFile::load(&path) {
                let text = file.to_toml();
                let again =
                    ProfileFile::load(&scratch::file("again.toml", text.as_bytes())).expect("what we wrote is sound");
                assert_eq!(again.to_toml(), text);
            }
            scenario.cluster.cost =
                serde_json::from_value(serde_json::json!({ "kind": "analytic", "profile": name })).expect("a cost");
        }
        _ => return,
    }
    if let Ok(config) = scenario.cluster_config(Stepping::Macro, false) {
        let _ = trimtab_engine::prefill_tokens_per_s(&config.instances[0]);
    }
});
