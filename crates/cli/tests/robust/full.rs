//! File systems that are full, may not be written or lose the ends of files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::files::{assert_same, files};
use crate::interrupted::SWEEP;

const BIN: &str = env!("CARGO_BIN_EXE_trimtab");

/// Runs the program where no file may grow beyond `blocks` of 512 bytes: what a full disk does to a process, for any user
/// and on any system.
fn cramped(folder: &Path, blocks: u32, args: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    Command::new("sh").current_dir(folder).args(["-c", &script, BIN]).args(args).output().expect("a shell")
}

fn roomy(folder: &Path, args: &[&str]) -> Output {
    Command::new(BIN).current_dir(folder).args(args).output().expect("it starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a spec, its results and a trace.
fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("spec.toml"), SWEEP).expect("a spec");
    let trace = ["trace", "generate", "conversation", "--limit", "200", "--rate", "5", "-o", "trace.jsonl"];
    for args in [&trace[..], &["sweep", "spec.toml", "-o", "results"]] {
        let done = roomy(folder.path(), args);
        assert!(done.status.success(), "{}", stderr(&done));
    }
    folder
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_no_half() {
    let folder = folder();
    let mut calibrate = "hw,model,tp,engine,kind,batch,new_tokens,context_tokens,time_ms\n".to_owned();
    for i in 1..30 {
        let (context, decode, prefill) = (i * 100, 8 + i, 10 * i);
        writeln!(calibrate, "h100,llama-3.1-8b,1,e,decode,{i},1,{context},{decode}").expect("memory");
        writeln!(calibrate, "h100,llama-3.1-8b,1,e,prefill,1,{context},0,{prefill}").expect("memory");
    }
    fs::write(folder.path().join("steps.csv"), calibrate).expect("room");
    let run = ["run", "--workload", "conversation", "--limit", "100", "--rate", "5"];
    let cases: &[(&[&str], &str)] = &[
        (&[&run[..], &["--requests-out", "r.csv"]].concat(), "r.csv"),
        (&[&run[..], &["--requests-out", "r.parquet"]].concat(), "r.parquet"),
        (&[&run[..], &["--decisions-out", "d.csv"]].concat(), "d.csv"),
        (&["trace", "generate", "conversation", "--limit", "200", "--rate", "5", "-o", "g.jsonl"], "g.jsonl"),
        (&["trace", "generate", "conversation", "--limit", "200", "--rate", "5", "-o", "g.parquet"], "g.parquet"),
        (&["trace", "convert", "trace.jsonl", "-o", "c.jsonl"], "c.jsonl"),
        (&["trace", "convert", "trace.jsonl", "-o", "c.jsonl.gz"], "c.jsonl.gz"),
        (&["trace", "convert", "trace.jsonl", "-o", "c.jsonl.zst"], "c.jsonl.zst"),
        (&["trace", "convert", "trace.jsonl", "-o", "c.parquet"], "c.parquet"),
        (&["trace", "stats", "trace.jsonl", "--plot", "s.svg"], "s.svg"),
        (&["plot", "results", "-o", "figures"], "figures"),
        (&["report", "results", "-o", "page.html"], "page.html"),
        (&["man", "-o", "pages"], "pages"),
        (&["calibrate", "steps.csv", "-o", "profile.toml"], "profile.toml"),
    ];
    let mut whole = BTreeMap::new();
    for &(args, name) in cases {
        for blocks in [0, 1] {
            let done = cramped(folder.path(), blocks, args);
            let said = stderr(&done);
            assert_eq!(done.status.code(), Some(3), "{args:?} in {blocks} blocks: {said}");
            assert!(said.contains("error: cannot write ") && said.contains(name), "{args:?}: {said}");
            assert!(said.contains("hint: make room there") && !said.contains("panicked"), "{args:?}: {said}");
            let target = folder.path().join(name);
            assert!(!target.is_file(), "{args:?} left half of {name}");
            if target.is_dir() {
                let whole = whole.entry(name).or_insert_with(|| {
                    let elsewhere: Vec<&str> =
                        args.iter().map(|&arg| if arg == name { "whole" } else { arg }).collect();
                    assert!(roomy(folder.path(), &elsewhere).status.success());
                    let found = files(&folder.path().join("whole"));
                    fs::remove_dir_all(folder.path().join("whole")).expect("it is there");
                    found
                });
                for (file, content) in files(&target) {
                    assert!(whole.get(&file) == Some(&content), "{args:?} left half of {}", file.display());
                }
            }
        }
    }
    let left = files(folder.path());
    let halves: Vec<_> = left.keys().filter(|path| path.extension().is_some_and(|e| e == "partial")).collect();
    assert!(halves.is_empty(), "{halves:?}");
}

#[test]
fn results_survive_a_full_disk() {
    let folder = folder();
    let whole = files(&folder.path().join("results"));
    let mut failed = 0;
    for blocks in [0, 1, 2, 4, 6, 8, 12, 16, 20, 24, 32] {
        let again = ["sweep", "spec.toml", "-o", "full", "--resume", "--jobs", "2"];
        let done = cramped(folder.path(), blocks, &again);
        if !done.status.success() {
            let said = stderr(&done);
            assert_eq!(done.status.code(), Some(3), "{blocks}: {said}");
            assert!(said.contains("cannot write full/") && said.contains("--resume` goes on"), "{said}");
            failed += 1;
        }
        // With room again; every third time what was kept stays as it is for the next, larger one.
        if blocks % 3 != 0 {
            let done = roomy(folder.path(), &again);
            assert!(done.status.success(), "{}", stderr(&done));
            assert_same(&whole, &files(&folder.path().join("full")));
            fs::remove_dir_all(folder.path().join("full")).expect("it is there");
        }
    }
    assert!(failed > 5, "only {failed} runs had too little room");
}

#[test]
fn places_that_may_not_be_written_are_refused_at_once() {
    let folder = folder();
    // Neither root nor anyone else can write these: a folder of the kernel, and below a file.
    for out in ["/proc/trimtab", "spec.toml/results"] {
        if out.starts_with("/proc") && !Path::new("/proc/self").exists() {
            continue;
        }
        let file = format!("{out}/x.parquet");
        for args in [
            &["sweep", "spec.toml", "-o", out][..],
            &["plot", "results", "-o", out],
            &["trace", "convert", "trace.jsonl", "-o", &file],
            &["run", "--workload", "conversation", "--limit", "20", "--rate", "5", "--requests-out", &file],
        ] {
            let done = roomy(folder.path(), args);
            let said = stderr(&done);
            assert_eq!(done.status.code(), Some(3), "{args:?}: {said}");
            assert!(
                said.contains("error: cannot ") && said.contains("hint: ") && said.contains(out),
                "{args:?}: {said}"
            );
        }
    }
}

#[test]
fn torn_files_are_made_anew() {
    let folder = folder();
    let results = folder.path().join("results");
    let whole = files(&results);
    let again = ["sweep", "spec.toml", "-o", "results", "--resume"];
    // Every file of the folder is cut at its ends, in the middle and at places without a meaning, one of each kind of file
    // at a time, as a machine may leave it that loses its power.
    for share in [0, 1, 13, 50, 77, 99] {
        for (name, content) in &whole {
            let keep = content.len() as u64 * share / 100;
            let file = OpenOptions::new().write(true).open(results.join(name)).expect("it is there");
            file.set_len(keep).expect("it can be cut");
        }
        let manifest = results.join("manifest.json");
        let text = fs::read(&manifest).expect("it is there");
        fs::write(&manifest, &text[..text.len() * usize::try_from(share).expect("small") / 100]).expect("room");
        let done = roomy(folder.path(), &again);
        assert!(done.status.success(), "{share} %: {}", stderr(&done));
        assert_same(&whole, &files(&results));
    }
    // Any byte of a cell.
    let cell = whole.keys().find(|path| path.extension().is_some_and(|e| e == "json") && path.starts_with("cells"));
    let cell = cell.expect("there are cells");
    let content = &whole[cell];
    for keep in (0..content.len()).step_by(content.len() / 23).chain([content.len() - 1]) {
        fs::write(results.join(cell), &content[..keep]).expect("room");
        let done = roomy(folder.path(), &again);
        assert!(done.status.success(), "{keep} bytes: {}", stderr(&done));
        assert!(fs::read(results.join(cell)).expect("it is back") == *content, "{keep} bytes");
    }
}
