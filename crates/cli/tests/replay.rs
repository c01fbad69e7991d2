//! A workload gives the same results from its own format, from the canonical form and from Parquet.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A file of each kind, with what it is there for.
fn originals() -> Vec<(&'static str, String)> {
    let rows = |header: &str, row: &dyn Fn(u32) -> String| {
        (0..120).fold(header.to_owned(), |mut text, i| {
            writeln!(text, "{}", row(i)).expect("memory");
            text
        })
    };
    let ids = |n: u32, from: u32| (0..n).map(|depth| (depth + from).to_string() + ", ").collect::<Vec<_>>().concat();
    vec![
        // Shared prefixes with partial tails, in ticks.
        (
            "mooncake",
            rows("", &|i| {
                let (blocks, time) = (i % 5 + 1, i / 7 * 3000);
                let shared = ids(blocks - 1, i % 2 * 100);
                format!(
                    r#"{{"timestamp": {time}, "input_length": {}, "output_length": {}, "hash_ids": [{shared}{}]}}"#,
                    512 * blocks - 37,
                    i % 9 + 1,
                    1000 + i
                )
            }),
        ),
        // Sessions with turns and delays.
        (
            "sessions",
            rows("", &|i| {
                let (session, turn) = (i % 20, i / 20);
                let when =
                    if turn == 0 { format!(r#""timestamp": {}.25"#, i * 90) } else { r#""delay": 700.5"#.to_owned() };
                format!(
                    r#"{{"session_id": "s{session}", {when}, "input_length": {}, "output_length": 20, "hash_ids": [{}{}]}}"#,
                    512 * (turn + 1),
                    ids(turn, session * 50),
                    session * 50 + turn
                )
            }),
        ),
        // Tenants, models, priorities of both signs.
        (
            "tenants",
            rows(
                "tenant_id,vllm_priority,session_id,prefix_group,prefix_length,input_tokens,output_tokens,model,arrival_time_us\n",
                &|i| {
                    let (tenant, priority) = (i % 3, i32::try_from(i % 5).expect("small") - 2);
                    let rest = format!("640,{},9,m{},{}", 700 + i, i % 2, i * 40_000);
                    format!("\"team \"\"{tenant}\"\"\",{priority},,g{},{rest}", i % 4)
                },
            ),
        ),
        // Prompts whose outputs are known, so that later turns find them cached.
        (
            "outputs",
            rows("", &|i| {
                let tokens = |from: u32, to: u32| {
                    (from..to).map(|t| (t + i % 10 * 7000).to_string()).collect::<Vec<_>>().join(",")
                };
                let (input, output) = (i / 10 * 90 + 70, 60);
                format!(
                    r#"{{"input_toks": {input}, "output_toks": {output}, "arrival_time_ns": {}, "input_tok_ids": [{}], "output_tok_ids": [{}]}}"#,
                    u64::from(i) * 50_000_000,
                    tokens(0, input),
                    tokens(input, input + output)
                )
            }),
        ),
        // No identity at all, dates for times, and no end of the last line.
        (
            "azure",
            rows("TIMESTAMP,ContextTokens,GeneratedTokens\n", &|i| {
                format!("2023-11-16 18:{:02}:{:02}.1230000,{},{}", 15 + i / 60, i % 60, 300 + i * 11, 1 + i % 30)
            })
            .trim_end()
            .to_owned(),
        ),
    ]
}

fn trimtab(folder: &Path, args: &[&str]) -> Vec<u8> {
    let mut command = Command::cargo_bin("trimtab").expect("the binary");
    command.current_dir(folder).args(args).assert().success().get_output().stdout.clone()
}

/// Rows of all requests and the result, without the configuration, which names the file.
fn replay(folder: &Path, trace: &str, more: &[&str]) -> (Vec<u8>, Value) {
    let run =
        ["run", "--trace", trace, "--instances", "3", "--kv-tokens", "9000", "--json", "--requests-out", "rows.csv"];
    let json: Value = serde_json::from_slice(&trimtab(folder, &[&run, more].concat())).expect("one JSON document");
    (fs::read(folder.join("rows.csv")).expect("rows"), json["result"].clone())
}

/// Flags under which everything that a workload holds makes a difference.
const WAYS: &[&[&str]] = &[
    &["--scheduler", "sticky-session", "--partial-tail"],
    &["--scheduler", "min-ttft", "--closed-loop", "--think-s", "0.5"],
    &["--block-tokens", "512", "--users", "5"],
];

/// Replays a trace from every form it can be converted to.
fn check(folder: &Path, name: &str, trace: &str) {
    let forms = ["jsonl", "jsonl.zst", "jsonl.gz", "parquet"].map(|end| format!("{name}-again.{end}"));
    for form in &forms {
        trimtab(folder, &["trace", "convert", trace, "-o", form]);
    }
    for way in WAYS {
        let original = replay(folder, trace, way);
        for form in &forms {
            assert_eq!(replay(folder, form, way), original, "{form} {way:?}");
        }
    }
    let canonical = fs::read(folder.join(&forms[0])).expect("just written");
    let parquet = fs::read(folder.join(&forms[3])).expect("just written");
    assert!(parquet.starts_with(b"PAR1"), "{name}");
    for form in &forms {
        trimtab(folder, &["trace", "convert", form, "-o", "back.jsonl"]);
        trimtab(folder, &["trace", "convert", form, "-o", "back.parquet"]);
        assert_eq!(fs::read(folder.join("back.jsonl")).expect("just written"), canonical, "{form}");
        assert_eq!(fs::read(folder.join("back.parquet")).expect("just written"), parquet, "{form}");
    }
}

#[test]
fn traces_give_the_same_results_in_every_form() {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, text) in originals() {
        fs::write(folder.path().join(name), text).expect("room on the disk");
        check(folder.path(), name, name);
    }
}

#[test]
fn generated_workloads_too() {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, tenants) in [("multi-turn", "4:1.5"), ("zipf", "1")] {
        let trace = format!("{name}.jsonl");
        let generate = ["trace", "generate", name, "--limit", "150", "--rate", "8", "--tenants", tenants, "-o", &trace];
        trimtab(folder.path(), &generate);
        check(folder.path(), name, &trace);
        // What is written is what runs.
        let direct = ["run", "--workload", name, "--limit", "150", "--rate", "8", "--tenants", tenants];
        let more = ["--instances", "3", "--kv-tokens", "9000", "--json", "--requests-out", "direct.csv"];
        trimtab(folder.path(), &[&direct[..], &more].concat());
        let (rows, _) = replay(folder.path(), &trace, &[]);
        assert_eq!(fs::read(folder.path().join("direct.csv")).expect("rows"), rows, "{name}");
    }
}

#[test]
fn parquet_of_others_is_read_and_checked_like_lines() {
    use trimtab_table::{Column, Table};
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, inputs: Vec<u64>| {
        let mut table = Table::new();
        let columns = [
            ("timestamp", Column::real([0.5, 30.0])),
            ("input_length", Column::count(inputs)),
            ("output_length", Column::count([5, 7])),
            ("hash_ids", Column::Counts(vec![Some(vec![0, 1]), Some(vec![0, 2])])),
            ("session_id", Column::text(["a", "b \"quoted\""])),
        ];
        for (name, column) in columns {
            table.push(name, column).expect("equal lengths");
        }
        table.write(&folder.path().join(name)).expect("room on the disk");
    };
    write("good.parquet", vec![900, 1000]);
    write("bad.parquet", vec![900, 0]);
    let stats: Value = serde_json::from_slice(&trimtab(folder.path(), &["trace", "stats", "good.parquet", "--json"]))
        .expect("one JSON document");
    assert_eq!((&stats["rows"], &stats["recorded_sessions"]), (&Value::from(2), &Value::from(2)));
    assert!(stats["hit_ratio"]["tokens"].as_f64() > Some(0.2), "{stats}");
    let mut command = Command::cargo_bin("trimtab").expect("the binary");
    let refused = command.current_dir(folder.path()).args(["trace", "validate", "bad.parquet"]).assert().code(3);
    let message = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    for part in ["bad.parquet", "line 2", "`input_length`", "at least one token"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    fs::write(folder.path().join("cut.parquet"), b"PAR1 and no more").expect("room on the disk");
    let mut command = Command::cargo_bin("trimtab").expect("the binary");
    command.current_dir(folder.path()).args(["run", "--trace", "cut.parquet"]).assert().code(3);
}
