//! Golden files: what runs gave before clusters could change while they serve. They never change: a run without the
//! options that came later gives the same bytes for ever.
//!
//! Each case of `golden/cases.toml` has a line of metrics in `golden/metrics.jsonl` and the SHA-256 of its requests in
//! `golden/requests.sha256`; those of [`WHOLE`] are stored in full, so that a difference can be read. When a case differs,
//! what it gives now is written beside the test binary, and the message says where.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use trimtab_core::SimTime;
use trimtab_engine::{Row, Stepping};
use trimtab_experiment::metrics::metrics;
use trimtab_experiment::scenario::Scenario;
use trimtab_experiment::simulate;
use trimtab_sched::Registry;

/// Cases whose requests are stored in full.
const WHOLE: [&str; 2] = ["dualmap-ring-events", "preemption"];

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    scenario: Scenario,
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(file)
}

/// One line per request, times in picoseconds.
fn requests(rows: &[Row]) -> String {
    let time = |t: SimTime| if t == SimTime::MAX { "-".to_owned() } else { t.0.to_string() };
    let mut text = String::from(
        "arrival routed admitted first finish instance prompt hit-tokens hit-blocks recomputed output preemptions \
         migrations outcome\n",
    );
    for row in rows {
        let times = [row.arrival, row.routed, row.admitted, row.first_token, row.finish].map(time).join(" ");
        writeln!(
            text,
            "{times} {} {} {} {} {} {} {} {} {:?}",
            row.instance.0,
            row.prompt_tokens,
            row.hit_tokens,
            row.hit_blocks,
            row.recomputed_tokens,
            row.output_tokens,
            row.preemptions,
            row.migrations,
            row.outcome
        )
        .unwrap();
    }
    text
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// A case's lines in the two files, and its requests.
fn outcome(case: &Case, stepping: Stepping) -> (String, String, String) {
    let result = simulate::run(&case.scenario, &Registry::default(), stepping).unwrap();
    let rows = requests(&result.rows);
    let json = serde_json::to_string(&metrics(&case.scenario, &result)).unwrap();
    (format!("{} {json}", case.name), format!("{} {}", hash(&rows), case.name), rows)
}

/// Whether a line of metrics has everything that the golden line has; figures that came later may stand beside.
fn holds(now: &str, golden: &str) -> bool {
    let Some(((name, now), (case, golden))) = now.split_once(' ').zip(golden.split_once(' ')) else { return false };
    let parsed = |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).unwrap();
    let (now, golden) = (parsed(now), parsed(golden));
    name == case && golden.iter().all(|(field, value)| now.get(field) == Some(value))
}

#[test]
fn runs_without_later_options_keep_their_bytes() {
    let cases: Cases = toml::from_str(&fs::read_to_string(golden("cases.toml")).unwrap()).unwrap();
    let read = |file: &str| fs::read_to_string(golden(file)).unwrap_or_default();
    let (all_metrics, all_hashes) = (read("metrics.jsonl"), read("requests.sha256"));
    let now = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
    fs::create_dir_all(&now).unwrap();
    let (mut metrics_now, mut hashes_now, mut differ) = (String::new(), String::new(), Vec::new());
    for case in &cases.case {
        let (json, sum, rows) = outcome(case, Stepping::Macro);
        assert_eq!((json.clone(), sum.clone(), rows.clone()), outcome(case, Stepping::Every), "{}", case.name);
        let whole = format!("{}.txt", case.name);
        let stored = !WHOLE.contains(&case.name.as_str()) || read(&whole) == rows;
        let measured = all_metrics.lines().any(|line| holds(&json, line));
        if !stored || !measured || !all_hashes.lines().any(|line| line == sum) {
            differ.push(&case.name);
        }
        fs::write(now.join(whole), &rows).unwrap();
        writeln!(metrics_now, "{json}").unwrap();
        writeln!(hashes_now, "{sum}").unwrap();
    }
    fs::write(now.join("metrics.jsonl"), &metrics_now).unwrap();
    fs::write(now.join("requests.sha256"), &hashes_now).unwrap();
    assert!(differ.is_empty(), "{differ:?} differ from the golden files; what they give now is in {}", now.display());
    let cases = (metrics_now.lines().count(), hashes_now);
    assert_eq!(cases, (all_metrics.lines().count(), all_hashes), "a golden file has a case that is not run");
}
