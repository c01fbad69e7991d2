//! The page of a results folder that is written here: what it says, and that it needs nothing from outside.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use trimtab_report::{Theme, page};
use trimtab_table::{Column, Table};

const LABELS: [&str; 2] = ["round-robin", "<dual & map>"];

fn write_results(folder: &Path) {
    let rows: Vec<(usize, f64, u64)> = (0..2)
        .flat_map(|label| [2.0, 4.0].into_iter().flat_map(move |rate| (1..=3).map(move |seed| (label, rate, seed))))
        .collect();
    let mut summary = Table::new();
    summary.push("label", Column::text(rows.iter().map(|row| LABELS[row.0]))).unwrap();
    summary.push("seed", Column::count(rows.iter().map(|row| row.2))).unwrap();
    summary.push("rate_rps", Column::real(rows.iter().map(|row| row.1))).unwrap();
    summary.push("requests", Column::count(rows.iter().map(|_| 100))).unwrap();
    let attained = rows.iter().map(|row| 0.9 - 0.1 * row.1 + 0.05 * row.0 as f64 + 0.001 * row.2 as f64);
    summary.push("slo_attainment", Column::real(attained)).unwrap();
    summary.write(&folder.join("summary.csv")).unwrap();
    let mut comparisons = Table::new();
    comparisons.push("label", Column::text([LABELS[1]; 2])).unwrap();
    comparisons.push("rate_rps", Column::real([2.0, 4.0])).unwrap();
    comparisons.push("baseline", Column::text([LABELS[0]; 2])).unwrap();
    comparisons.push("metric", Column::text(["slo_attainment"; 2])).unwrap();
    for (name, values) in
        [("difference", [0.05, 0.01]), ("difference_lo", [0.04, -0.01]), ("difference_hi", [0.06, 0.03])]
    {
        comparisons.push(name, Column::real(values)).unwrap();
    }
    comparisons.push("verdict", Column::text(["better", "not distinguishable"])).unwrap();
    comparisons.write(&folder.join("comparisons.csv")).unwrap();
    std::fs::write(folder.join("spec.toml"), "schema = 1\nname = \"small\" # a & b\n[slo]\nttft_s = 5.0\n").unwrap();
    let manifest = r#"{ "name": "small", "status": "complete", "trimtab": "0.1.0", "seeds": [1, 2, 3],
        "cells": { "done": 12, "reused": 0, "failed": 1 }, "warnings": ["the queue grows <fast>"],
        "failures": [{ "label": "x", "message": "it broke", "reproduce": "trimtab run small.toml --cell 1" }] }"#;
    std::fs::write(folder.join("manifest.json"), manifest).unwrap();
}

/// The text between tags, a line for each element that has some.
fn text(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1.split_once("<script>").unwrap().0;
    let mut lines = Vec::new();
    for piece in body.split('<') {
        let words = piece.split_once('>').map_or("", |(_, words)| words).trim();
        if !words.is_empty() {
            lines.push(words.to_owned());
        }
    }
    lines.join("\n")
}

#[test]
fn a_page_says_what_was_found_and_how() {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path());
    let html = page(folder.path(), &Theme::default()).unwrap();
    let said = text(&html);
    for expected in [
        "the queue grows &lt;fast&gt;",
        "x failed: it broke. To see it again: trimtab run small.toml --cell 1",
        "12 done, 1 failed",
        "1, 2, 3",
        "Paired by seed against\nround-robin",
        "&lt;dual &amp; map&gt;",
        "5.000\n4.000 to 6.000\nbetter",
        "1.000\n-1.000 to 3.000\nnot distinguishable",
        "in TTFT SLO (%)",
        // 0.9 - 0.2 + 0.002, and the half-width of three values 0.001 apart: 4.3027 * 0.001 / sqrt 3.
        "70.20 ±0.2484",
        "schema = 1\nname = &quot;small&quot; # a &amp; b",
    ] {
        assert!(said.contains(expected), "no `{expected}` in\n{said}");
    }
    assert_eq!(html.matches("<figure>").count(), 1, "attainment against rate");
    assert_eq!(html.matches("aria-pressed=\"true\" data-series=").count(), 2);
    assert!(!html.contains("<dual"), "labels are text");
}

#[test]
fn a_page_needs_nothing_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path());
    let html = page(folder.path(), &Theme::default()).unwrap();
    for loads in ["src=", "url(", "@import", "fetch(", "XMLHttpRequest", "<link rel=\"stylesheet\"", "import "] {
        assert!(!html.contains(loads), "`{loads}`");
    }
    let addresses: Vec<&str> = html.match_indices("http").map(|(at, _)| &html[at..at + 26]).collect();
    assert!(addresses.iter().all(|&a| a == "http://www.w3.org/2000/svg"), "{addresses:?}");
    assert_eq!(html, page(folder.path(), &Theme::default()).unwrap(), "the same bytes each time");
}

#[test]
fn a_folder_without_a_manifest_still_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path());
    for file in ["manifest.json", "spec.toml", "comparisons.csv"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let html = page(folder.path(), &Theme::default()).unwrap();
    assert!(html.contains("id=\"results\"") && !html.contains("id=\"verdicts\"") && !html.contains("id=\"again\""));
    let error = page(&folder.path().join("nowhere"), &Theme::default()).unwrap_err().to_string();
    assert!(error.contains("is not a results folder"), "{error}");
}
