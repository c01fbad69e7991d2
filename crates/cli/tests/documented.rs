//! The examples of docs/workloads.md do what they say.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// Eight sessions of five turns, in ticks of 3 s.
fn trace() -> String {
    (0..40u32).fold(String::new(), |mut text, i| {
        let (session, turn) = (i % 8, i / 8);
        let (time, input) = (turn * 9000 + session / 3 * 3000, 512 * (turn + 1));
        let ids: Vec<String> = (0..=turn).map(|depth| (session * 10 + depth).to_string()).collect();
        writeln!(
            text,
            r#"{{"session_id": "{session}", "timestamp": {time}, "input_length": {input}, "output_length": 30, "hash_ids": [{}]}}"#,
            ids.join(", ")
        )
        .expect("memory");
        text
    })
}

/// The blocks of one language in a document.
fn blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let fence = format!("```{language}\n");
    let starts: Vec<usize> = text.match_indices(&fence).map(|(at, _)| at + fence.len()).collect();
    starts.into_iter().filter_map(|from| text[from..].split("```").next())
}

/// Words of a command line; single quotes keep words together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("one word").push(c),
        }
    }
    words
}

fn trimtab(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("trimtab").expect("the binary");
    command.current_dir(folder);
    command
}

#[test]
fn every_example_runs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/workloads.md");
    let page = fs::read_to_string(page).expect("docs/workloads.md is checked in");
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("trace.jsonl"), trace()).expect("room on the disk");
    let mut commands = 0;
    for line in blocks(&page, "sh").flat_map(str::lines) {
        let words = words(line);
        assert_eq!(words[0], "trimtab", "{line}");
        trimtab(folder.path()).args(&words[1..]).assert().success();
        commands += 1;
    }
    assert!(commands > 12, "{commands}");
    let figure = fs::read_to_string(folder.path().join("prefixes.svg")).expect("drawn by an example");
    for part in ["LRU cache", "Popularity", "Zipf s = ", "Reuse distance", "infinite "] {
        assert!(figure.contains(part), "{part}");
    }
    assert!(fs::read_to_string(folder.path().join("prefixes.csv")).expect("its points").lines().count() > 20);
    let mut specs = 0;
    for block in blocks(&page, "toml") {
        let head = "schema = 1\nname = \"example\"\n[cluster]\ninstances = 2\n[[scheduler]]\nkind = \"least-loaded\"\n";
        fs::write(folder.path().join("example.toml"), format!("{head}{block}")).expect("room on the disk");
        trimtab(folder.path()).args(["sweep", "example.toml", "-o", "results", "--force"]).assert().success();
        specs += 1;
    }
    assert!(specs >= 4, "{specs}");
}

/// The pages of the project, but for templates of pages.
fn pages(folder: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("docs/pages") {
            pages(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|page| root.join(page)).into();
    for folder in ["docs", "results/published", "traces"] {
        pages(&root.join(folder), &mut all);
    }
    let (mut links, mut dead) = (0, Vec::new());
    for page in all {
        let text = fs::read_to_string(&page).expect("a page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.starts_with("http") {
                links += 1;
                let to = page.parent().expect("in a folder").join(target);
                dead.extend((!to.exists()).then(|| format!("{}: {target}", page.display())));
            }
        }
    }
    assert!(links > 50, "{links}");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}
