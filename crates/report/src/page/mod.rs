//! One HTML file for a colleague: what was run, what came out, how sure it is, and how to run it again. Nothing is
//! fetched: figures, style and script are inside.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::draw;
use crate::figure::Figure;
use crate::look::looks;
use crate::plot::{PlotError, drawable};
use crate::results::Results;
use crate::theme::Theme;

mod tables;

use tables::{summary_table, verdict_table};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of a results folder. Looks of schedulers come from `theme`, sizes are those of a screen.
pub fn page(folder: &Path, theme: &Theme) -> Result<String, PlotError> {
    let results = Results::open(folder)?;
    let theme = Theme { series: theme.series.clone(), ..screen() };
    let manifest = manifest(folder);
    let name = manifest["name"].as_str().unwrap_or("results").to_owned();
    let spec = fs::read_to_string(folder.join("spec.toml")).unwrap_or_default();
    let mut body = String::new();
    let mut section = |id: &str, heading: &str, content: String| {
        if !content.is_empty() {
            let _ = write!(body, "<section id=\"{id}\"><h2>{heading}</h2>\n{content}</section>\n");
        }
    };
    section("warnings", "Warnings", warnings(&manifest));
    section("verdicts", "Who is better", verdict_table(&results));
    section("figures", "Figures", figures(&results, &theme)?);
    section("results", "Results", summary_table(&results));
    section("again", "Run it again", again(&manifest, &spec));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>{title}</h1>\n{head}</header>\n<main>\n{body}</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escaped(&name),
        head = provenance(&manifest),
    ))
}

/// Sizes for reading on a screen, down to a phone's width.
fn screen() -> Theme {
    Theme { width: 460.0, panel_height: 230.0, font: 10.0, line: 1.4, marker: 5.0, columns: 1, ..Theme::default() }
}

fn manifest(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("manifest.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// What made these results.
fn provenance(manifest: &Value) -> String {
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten();
        items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
    };
    let cells = &manifest["cells"];
    let count = |name: &str| cells[name].as_u64().unwrap_or(0);
    let traces = manifest["trace_sha256"].as_object().into_iter().flatten();
    let traces: Vec<String> =
        traces.map(|(name, hash)| format!("{name} (SHA-256 {})", hash.as_str().unwrap_or_default())).collect();
    let facts = [
        ("trimtab", manifest["trimtab"].as_str().unwrap_or_default().to_owned()),
        ("status", manifest["status"].as_str().unwrap_or_default().to_owned()),
        ("simulations", format!("{} done, {} failed", count("done") + count("reused"), count("failed"))),
        ("requests simulated", manifest["requests"].as_u64().map(|n| n.to_string()).unwrap_or_default()),
        ("seeds", list(&manifest["seeds"])),
        ("random numbers", manifest["rng"].as_str().unwrap_or_default().to_owned()),
        ("traces", traces.join(", ")),
    ];
    let rows = facts.iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<String> = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value))).collect();
    let rows = rows.concat();
    format!("<dl>\n{rows}</dl>\n")
}

fn warnings(manifest: &Value) -> String {
    let texts = manifest["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let failures = manifest["failures"].as_array().into_iter().flatten().map(|failure| {
        let part = |name: &str| failure[name].as_str().unwrap_or_default();
        format!("{} failed: {}. To see it again: {}", part("label"), part("message"), part("reproduce"))
    });
    let items: Vec<String> = failures.chain(texts).map(|text| format!("<li>{}</li>\n", escaped(&text))).collect();
    let items = items.concat();
    if items.is_empty() { items } else { format!("<ul class=\"warnings\">\n{items}</ul>\n") }
}

fn figures(results: &Results, theme: &Theme) -> Result<String, PlotError> {
    let looks = looks(&results.labels(), &theme.series);
    let mut html = String::new();
    for figure in drawable(results)?.0 {
        let svg = draw::svg(&figure, &looks, theme);
        let toggles: String =
            figure.labels().iter().filter(|_| figure.labels().len() > 1).fold(String::new(), |mut buttons, label| {
                let (colour, name) = (looks.get(*label).map_or("#222222", |look| &look.colour), escaped(label));
                let _ = write!(
                    buttons,
                    "<button type=\"button\" aria-pressed=\"true\" data-series=\"{name}\" \
                     style=\"--colour:{colour}\">{name}</button>"
                );
                buttons
            });
        let _ = write!(
            html,
            "<figure>\n<div class=\"toggles\">{toggles}</div>\n{svg}<figcaption>{}. {}.</figcaption>\n\
             <details><summary>The points</summary>\n{}</details>\n</figure>\n",
            escaped(&figure.title),
            escaped(&sentence(&figure.spread())),
            points(&figure),
        );
    }
    Ok(html)
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn points(figure: &Figure) -> String {
    tables::html(&figure.table())
}

fn again(manifest: &Value, spec: &str) -> String {
    if spec.is_empty() {
        return String::new();
    }
    let name = manifest["name"].as_str().unwrap_or("experiment");
    format!(
        "<p>Save the spec as <code>{0}.toml</code> and run <code>trimtab sweep {0}.toml</code>; the same version of trimtab \
         gives the same bytes.</p>\n<pre>{1}</pre>\n",
        escaped(name),
        escaped(spec)
    )
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
