//! The rule that makes everything else possible: what computes results does no IO, reads no clock and draws no unseeded
//! random number. This test reads the sources, so that the rule cannot rot.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates behind the wall.
const CRATES: [&str; 3] = ["core", "sched", "engine"];

/// What must not appear in their sources.
const FORBIDDEN: [&str; 16] = [
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "println!",
    "print!(",
    "eprintln!",
    "dbg!(",
    "Instant::now",
    "SystemTime",
    "rand::rng",
    "thread_rng",
    "from_os_rng",
];

/// What they may depend on: each a pure library.
const ALLOWED: [&str; 11] = [
    "libm",
    "rand",
    "rand_chacha",
    "rustc-hash",
    "schemars",
    "serde",
    "serde_json",
    "trimtab-core",
    "trimtab-sched",
    "smallvec",
    "thiserror",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/ is the parent").into()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Source lines that break the rule, as `file:line: what`.
fn breaches(file: &str, text: &str) -> Vec<String> {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let broken = |line: &str| FORBIDDEN.iter().find(|&&word| code(line).contains(word)).copied();
    (1..).zip(text.lines()).filter_map(|(n, line)| broken(line).map(|what| format!("{file}:{n}: {what}"))).collect()
}

#[test]
fn core_sched_and_engine_are_pure() {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for name in CRATES {
        sources(&crates().join(name).join("src"), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        found.extend(breaches(&file.display().to_string(), &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn core_sched_and_engine_depend_on_pure_libraries_only() {
    for name in CRATES {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).expect("every crate has dependencies");
        let names = dependencies.lines().take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty());
        for dependency in names.map(|line| line.split([' ', '=', '.']).next().unwrap_or_default()) {
            assert!(ALLOWED.contains(&dependency), "crates/{name} depends on {dependency}");
        }
    }
}

#[test]
fn a_breach_is_seen() {
    let text = "let a = 1; // std::fs is only named\nlet now = std::time::Instant::now();\n";
    assert_eq!(breaches("x.rs", text), ["x.rs:2: std::time"]);
}
