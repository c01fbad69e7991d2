//! Every place in a library that can panic is a numbered invariant: docs/invariants.md lists them all, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 7] = ["core", "engine", "experiment", "report", "sched", "table", "workload"];
const PANICS: [&str; 9] = [
    ".expect(",
    ".unwrap()",
    "panic!(",
    "unreachable!(",
    "unimplemented!(",
    "assert!(",
    "assert_eq!(",
    "assert_ne!(",
    "todo!(",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
            found.push(path);
        }
    }
}

/// Where the text inside a bracket that opened before `from` ends.
fn closing(text: &str, from: usize) -> usize {
    let (mut depth, mut quoted, mut at) = (1, false, from);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'\'' if !quoted && bytes.get(at + 2) == Some(&b'\'') => at += 2,
            b'(' | b'[' | b'{' if !quoted => depth += 1,
            b')' | b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// What a file compiles to: no comments, nothing that is for tests alone.
fn compiled(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut text = lines.join("\n");
    while let Some(start) = text.find("#[cfg(test)]") {
        let end = match text[start..].find(['{', ';']).map(|at| start + at) {
            Some(open) if text.as_bytes()[open] == b'{' => closing(&text, open + 1) + 1,
            Some(semicolon) => semicolon + 1,
            None => text.len(),
        };
        text.replace_range(start..end.min(text.len()), "");
    }
    text
}

/// What each panic of a text says: the last text in its arguments, or all of them.
fn panics(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in PANICS {
        for (at, _) in text.match_indices(pattern) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            // `debug_assert!`, and methods of ours that are called `expect`.
            let other = pattern.ends_with("!(") && (before == '_' || before.is_alphanumeric());
            let open = at + pattern.len();
            let arguments = text[open..closing(text, open)].trim();
            if other
                || pattern == ".expect("
                    && !arguments.starts_with('"')
                    && !arguments.contains("expect")
                    && arguments.starts_with("b'")
            {
                continue;
            }
            let pieces: Vec<&str> = arguments.split('"').collect();
            let said = if pieces.len() > 2 { pieces[pieces.len() - 2].to_owned() } else { arguments.to_owned() };
            found.push(said.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "'"));
        }
    }
    found
}

/// Modules that are compiled for tests alone.
fn is_for_tests(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
    let parent = path.parent().expect("a folder");
    let owners = [parent.join("mod.rs"), parent.join("lib.rs"), parent.with_extension("rs")];
    owners
        .iter()
        .filter_map(|owner| fs::read_to_string(owner).ok())
        .any(|text| text.contains(&format!("#[cfg(test)]\nmod {name};")))
}

#[test]
fn every_panic_is_a_numbered_invariant() {
    let mut found = BTreeSet::new();
    for library in LIBRARIES {
        let mut files = Vec::new();
        sources(&root().join("crates").join(library).join("src"), &mut files);
        for file in files.iter().filter(|file| !is_for_tests(file)) {
            let text = compiled(&fs::read_to_string(file).expect("a source"));
            found.extend(panics(&text).into_iter().map(|said| (library.to_owned(), said)));
        }
    }
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is checked in");
    let list = fs::read_to_string(root().join("docs/invariants.md")).expect("it is checked in");
    let mut listed = BTreeSet::new();
    for row in list.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (library, said, number) =
            (cells[0].trim_matches('`'), cells[1].trim_matches('`'), cells[2].trim_end_matches(" |"));
        assert!(architecture.contains(&format!("\n{number}. **")), "ARCHITECTURE.md has no invariant {number}: {row}");
        listed.insert((library.to_owned(), said.replace("\\|", "|")));
    }
    let missing: Vec<String> =
        found.difference(&listed).map(|(library, said)| format!("| `{library}` | `{said}` | ? |")).collect();
    let stale: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/invariants.md: bad input must be a typed error; for an invariant add the line with its number in \
         ARCHITECTURE.md:\n{}\nno longer there: {stale:?}",
        missing.join("\n")
    );
    assert!(found.len() > 100, "the sources were not read");
}
