//! `trimtab timeline`: what it writes keeps the rules of the trace-event format, and says the same as `run`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use trimtab_table::Table;

/// More load than the instances can take at once, on small caches: queues, preemptions, migrations.
const BUSY: &[&str] = &[
    "--workload",
    "conversation",
    "--limit",
    "400",
    "--rate",
    "60",
    "--instances",
    "4",
    "--scheduler",
    "dualmap",
    "--kv-tokens",
    "60000",
    "--max-seqs",
    "12",
    "--param",
    "threshold_tokens=2000",
];

/// The same with an instance that fails and one that joins.
const CHANGING: &[&str] = &[
    "--workload",
    "conversation",
    "--limit",
    "300",
    "--rate",
    "20",
    "--instances",
    "3",
    "--scheduler",
    "least-loaded",
    "--set",
    "event=[{at_s=3.0,fail=[1],for_s=4.0},{at_s=4.0,slow=[0],factor=2.0,for_s=3.0}]",
];

fn trimtab(folder: &Path, args: &[&str], code: i32) -> (String, String) {
    let output = Command::cargo_bin("trimtab").unwrap().current_dir(folder).args(args).assert().code(code);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.get_output().stdout), text(&output.get_output().stderr))
}

fn events(document: &Value) -> Vec<&Value> {
    document["traceEvents"].as_array().unwrap().iter().collect()
}

/// Whole nanoseconds of a time in microseconds.
#[expect(clippy::cast_possible_truncation, reason = "times are small")]
fn ns(value: &Value) -> i64 {
    let nanoseconds = value.as_f64().unwrap() * 1e3;
    assert!((nanoseconds - nanoseconds.round()).abs() < 1e-3, "{value} is no whole nanosecond");
    nanoseconds.round() as i64
}

fn track(event: &Value) -> (u64, u64) {
    (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap())
}

/// Everything that a reader of the format relies on.
fn check_format(document: &Value) {
    let mut open: BTreeMap<(u64, u64), Vec<(i64, i64)>> = BTreeMap::new();
    let mut last: BTreeMap<(u64, u64), i64> = BTreeMap::new();
    let mut flows: BTreeMap<u64, String> = BTreeMap::new();
    let mut names = 0;
    for event in events(document) {
        let ph = event["ph"].as_str().unwrap();
        assert!(event["name"].as_str().is_some_and(|name| !name.is_empty()), "{event}");
        let (track, at) = (track(event), ns(&event["ts"]));
        if ph == "M" {
            assert!(last.is_empty(), "names come first");
            let value =
                &event["args"][if event["name"].as_str().unwrap().ends_with("_name") { "name" } else { "sort_index" }];
            assert!(value.is_string() || value.is_u64(), "{event}");
            names += 1;
            continue;
        }
        assert!(at >= last.insert(track, at).unwrap_or(0), "time goes back: {event}");
        let stack = open.entry(track).or_default();
        while stack.pop_if(|(_, end)| *end <= at).is_some() {}
        match ph {
            "X" => {
                let end = at + ns(&event["dur"]);
                assert!(end >= at, "{event}");
                if let Some(&(_, outer)) = stack.last() {
                    assert!(end <= outer, "a slice ends after the one around it: {event}");
                }
                stack.push((at, end));
            }
            "s" | "t" | "f" => {
                assert!(stack.last().is_some_and(|&(from, to)| from <= at && at < to), "no slice around {event}");
                let flow = flows.entry(event["id"].as_u64().unwrap()).or_default();
                let grown = flow.is_empty() == (ph == "s") && !flow.ends_with('f');
                assert!(grown, "`{flow}` goes on with {event}");
                flow.push_str(ph);
                assert_eq!(event["bp"].as_str(), (ph == "f").then_some("e"), "{event}");
            }
            "i" => assert_eq!(event["s"], "p", "{event}"),
            "C" => {
                let series = event["args"].as_object().unwrap();
                assert!(!series.is_empty() && series.values().all(Value::is_u64), "{event}");
            }
            other => panic!("no kind `{other}`: {event}"),
        }
    }
    assert!(names > 0 && !flows.is_empty());
    for (id, flow) in flows {
        assert!(flow.len() > 1 && flow.ends_with('f'), "the flow of request {id} is `{flow}`");
    }
}

fn timeline(folder: &Path, scenario: &[&str], window: [&str; 2], out: &str) -> Value {
    let window = ["--from-s", window[0], "--to-s", window[1], "--out", out];
    trimtab(folder, &[&["timeline"], scenario, &window[..]].concat(), 0);
    let bytes = fs::read(folder.join(out)).unwrap();
    let mut zipped = Vec::new();
    let zipped = flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut zipped).is_ok().then_some(zipped);
    assert_eq!(zipped.is_some(), out == "t.json.gz");
    serde_json::from_slice(&zipped.unwrap_or(bytes)).unwrap()
}

#[test]
fn timelines_keep_the_rules_of_the_format() {
    let folder = tempfile::tempdir().unwrap();
    for (scenario, instants) in [(BUSY, false), (CHANGING, true)] {
        for window in [["2", "5"], ["0", "100000"]] {
            let document = timeline(folder.path(), scenario, window, "t.json");
            check_format(&document);
            assert_eq!(events(&document).iter().any(|event| event["ph"] == "i"), instants, "{window:?}");
            if let Some(kept) = std::env::var_os("TRIMTAB_FIGURES") {
                let name = format!("timeline-{}-{}.json", window[1], if instants { "changing" } else { "busy" });
                fs::create_dir_all(&kept).unwrap();
                fs::copy(folder.path().join("t.json"), Path::new(&kept).join(name)).unwrap();
            }
        }
    }
}

/// The whole run in one window: every iteration is a slice, and the stages of every request begin when `run` says. The
/// step in which an instance fails is a slice, too, and no iteration.
#[test]
fn a_timeline_says_what_the_run_says() {
    compared(BUSY, 0, &["migrations", "preemptions", "rejected"]);
    compared(CHANGING, 1, &[]);
}

fn compared(scenario: &[&str], failed_steps: u64, shown: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let document = timeline(folder.path(), scenario, ["0", "100000"], "t.json.gz");
    let (out, _) = trimtab(folder.path(), &[&["run", "--json", "--requests-out", "r.csv"], scenario].concat(), 0);
    let result: Value = serde_json::from_str(&out).unwrap();
    let all = events(&document);
    let steps = all.iter().filter(|event| event["cat"] == "step").count();
    assert_eq!(steps as u64, result["result"]["iterations"].as_u64().unwrap() + failed_steps);
    for &shown in shown {
        assert!(result["result"][shown].as_u64().unwrap() > 0, "the scenario has {shown}");
    }
    let requests = Table::read(&folder.path().join("r.csv")).unwrap();
    // The stages of the last stay of each request: when each begins first.
    let mut begins: BTreeMap<u64, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut ends: BTreeMap<u64, i64> = BTreeMap::new();
    let mut at: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for event in all.iter().filter(|event| event["ph"] == "X") {
        let from = ns(&event["ts"]);
        if event["cat"] == "request" {
            let request = event["args"]["request"].as_u64().unwrap();
            at.insert(track(event), request);
            let end = ends.entry(request).or_insert(0);
            // A stay at the router that takes no time has one nanosecond, perhaps the last.
            *end = (*end).max(from + ns(&event["dur"]));
            begins.entry(request).or_default().entry("arrival").or_insert(from);
        } else if event["cat"] == "stage" {
            begins.get_mut(&at[&track(event)]).unwrap().entry(event["name"].as_str().unwrap()).or_insert(from);
        }
    }
    assert_eq!(begins.len(), requests.rows());
    for row in 0..requests.rows() {
        let request = requests.get("request").unwrap().number(row).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let (begins, end) = (&begins[&(request as u64)], ends[&(request as u64)]);
        let is = |column: &str, found: i64| {
            let expected = requests.get(column).unwrap().number(row).unwrap() * 1e9;
            // The table has as many digits as a float; the timeline is rounded down.
            assert!((expected - found as f64).abs() < 2.0, "request {request}: {column} {expected}, {found}");
        };
        is("arrival_s", begins["arrival"]);
        if let Some(&prefill) = begins.get("prefill") {
            is("admitted_s", prefill);
        }
        // One that is preempted at once does not decode after its first token.
        let preempted = requests.get("preemptions").unwrap().number(row).unwrap() > 0.0;
        if let Some(&decode) = begins.get("decode").filter(|_| !preempted) {
            is("first_token_s", decode);
        }
        is("finish_s", end);
    }
}

#[test]
fn windows_and_names_are_checked_first() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (&["--from-s", "5", "--to-s", "5", "--out", "t.json"][..], "the window ends before it begins"),
        (&["--to-s", "5", "--out", "t.txt"], ".json or .json.gz"),
        (&["--to-s", "5", "--out", "t.json", "--max-events", "10"], "take a shorter window"),
    ] {
        let (_, error) = trimtab(folder.path(), &[&["timeline"], BUSY, args].concat(), 2);
        assert!(error.contains(expected), "{error}");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left behind");
    }
    let nowhere = ["--to-s", "5", "--out", "nowhere/t.json"];
    let (_, error) = trimtab(folder.path(), &[&["timeline"], BUSY, &nowhere[..]].concat(), 3);
    assert!(error.contains("cannot write nowhere/t.json"), "{error}");
}
