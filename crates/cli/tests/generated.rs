//! Manual pages and completions are those of the program: docs/cli is not out of date.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
        })
        .collect()
}

fn trimtab(args: &[&str]) -> Vec<u8> {
    let done = Command::new(env!("CARGO_BIN_EXE_trimtab")).args(args).output().expect("it starts");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

#[test]
fn manual_pages_and_completions_are_up_to_date() {
    let folder = TempDir::new().expect("a temporary folder");
    trimtab(&["man", "--out", folder.path().to_str().expect("a plain path")]);
    let mut generated = files(folder.path());
    assert!(generated.contains_key("trimtab.1") && generated.contains_key("trimtab-run.1"));
    for shell in ["bash", "zsh", "fish"] {
        generated.insert(format!("trimtab.{shell}"), trimtab(&["completions", shell]));
    }
    let committed = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli"));
    let hint = "run scripts/generate.sh and commit what it writes";
    assert_eq!(committed.keys().collect::<Vec<_>>(), generated.keys().collect::<Vec<_>>(), "{hint}");
    for (name, content) in &generated {
        assert!(committed[name] == *content, "docs/cli/{name} is out of date: {hint}");
    }
}

#[test]
fn every_verb_and_flag_says_what_it_is_for() {
    let page = |args: &[&str]| String::from_utf8(trimtab(args)).expect("text");
    let help = page(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut verbs = 0;
    for line in listed {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a verb");
        assert!(words.next().is_some(), "{verb} has no description");
        if verb == "help" {
            continue;
        }
        let help = page(&[verb, "--help"]);
        let lines: Vec<&str> = help.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let flag = line.trim_start();
            if flag.starts_with("--") || flag.starts_with('-') && line.starts_with("  ") {
                let below =
                    lines.get(at + 1).is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
                assert!(flag.contains("  ") || below, "{verb}: no description of `{flag}`");
            }
        }
        verbs += 1;
    }
    assert!(verbs > 15, "{verbs} verbs");
}
