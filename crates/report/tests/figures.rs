//! Figures from a results folder that is written here: their structure, their text in every format, their bytes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use trimtab_report::calibration::{Compared, StepError, replay, residuals};
use trimtab_report::{PictureFormat, Theme, figures, plot, save};
use trimtab_table::{Column, Table};

const SCHEDULERS: [&str; 4] = ["round-robin", "least-loaded", "cache-affinity", "DualMap (β=1.5)"];

/// A made-up experiment: quality falls and times grow with the rate, later schedulers being better.
fn write_results(folder: &Path, rates: &[Option<f64>], seeds: u64) {
    let mut rows: Vec<(usize, Option<f64>, u64)> = Vec::new();
    for scheduler in 0..SCHEDULERS.len() {
        rows.extend(rates.iter().flat_map(|&rate| (1..=seeds).map(move |seed| (scheduler, rate, seed))));
    }
    let load = |&(scheduler, rate, seed): &(usize, Option<f64>, u64)| {
        rate.unwrap_or(6.0) / (6.0 + 2.5 * scheduler as f64) * (1.0 + 0.03 * (seed as f64 - 3.0))
    };
    let real = |value: &dyn Fn(f64) -> f64| Column::real(rows.iter().map(|row| value(load(row))));
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).unwrap();
    add("cell", Column::text((0..rows.len()).map(|row| format!("c{row}"))));
    add("seed", Column::count(rows.iter().map(|row| row.2)));
    add("label", Column::text(rows.iter().map(|row| SCHEDULERS[row.0])));
    add("rate_rps", Column::Real(rows.iter().map(|row| row.1).collect()));
    add("requests", Column::count(rows.iter().map(|_| 1000)));
    add("slo_attainment", real(&|load| 1.0 / (1.0 + (8.0 * (load - 1.0)).exp())));
    for (name, factor) in [("ttft_p50_s", 0.3), ("ttft_p90_s", 1.0), ("ttft_p99_s", 2.0)] {
        add(name, real(&|load| factor * (2.5 * load).exp() * 0.5));
    }
    add(
        "hit_ratio_tokens",
        Column::real(rows.iter().map(|row| 0.2 + 0.1 * row.0 as f64 + 0.02 * (row.2 as f64 - 2.0))),
    );
    add(
        "load_cv",
        Column::real(rows.iter().map(|row| 0.3 + 0.15 * row.0 as f64 + 0.3 * load(row) + 0.02 * row.2 as f64)),
    );
    table.write(&folder.join("summary.csv")).unwrap();
    std::fs::write(folder.join("spec.toml"), "schema = 1\nwarmup_requests = 1\n[slo]\nttft_s = 5.0\nattain = 0.9\n")
        .unwrap();
    for (number, row) in rows.iter().enumerate().filter(|_| rates.len() == 1) {
        let cell = folder.join(format!("cells/c{number}"));
        std::fs::create_dir_all(&cell).unwrap();
        let mut requests = Table::new();
        let time = |n: u32| (n != 40).then(|| load(row) * (0.2 * f64::from(n % 20)).exp() * 0.1);
        requests.push("ttft_s", Column::Real((0..200).map(time).collect())).unwrap();
        requests.write(&cell.join("requests.parquet")).unwrap();
        // A cluster that grows: attainment falls, and recovers when there are more instances.
        let window = |n: u32| {
            let from = 10 * n;
            let (attainment, members) = if n < 7 { (1.0 - 0.1 * f64::from(n) * load(row), 4) } else { (0.95, 8) };
            format!(r#"{{"from_s": {from}.0, "members": {members}, "attainment": {attainment}, "hit_ratio": 0.4}}"#)
        };
        let windows: Vec<String> = (0..12).map(window).collect();
        let text = format!(r#"{{"metrics": {{"fleet": {{"windows": [{}]}}}}}}"#, windows.join(","));
        std::fs::write(folder.join(format!("cells/c{number}.json")), text).unwrap();
    }
}

fn write_capacity(folder: &Path) {
    let mut table = Table::new();
    table.push("label", Column::text(SCHEDULERS)).unwrap();
    table.push("capacity_lo_rps", Column::real([5.5, 8.25, 10.0, 64.0])).unwrap();
    table.push("capacity_hi_rps", Column::Real(vec![Some(6.1), Some(8.5), Some(11.5), None])).unwrap();
    table.push("seeds", Column::count([10; 4])).unwrap();
    table.write(&folder.join("capacity.csv")).unwrap();
}

/// A folder with results; with `TRIMTAB_FIGURES` set, pictures stay there to be looked at.
fn drawn(
    name: &str,
    rates: &[Option<f64>],
    theme: &str,
    formats: &[PictureFormat],
) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), rates, 5);
    write_capacity(folder.path());
    let kept = std::env::var_os("TRIMTAB_FIGURES").map(|kept| PathBuf::from(kept).join(name));
    let out = kept.unwrap_or_else(|| folder.path().join("plots"));
    let files = plot(folder.path(), None, formats, &Theme::named(theme).unwrap(), &out).unwrap();
    (folder, files)
}

fn rates() -> Vec<Option<f64>> {
    (1..=7).map(|n| Some(2.0 * f64::from(n))).collect()
}

const ALL: [PictureFormat; 3] = [PictureFormat::Svg, PictureFormat::Pdf, PictureFormat::Png];

/// Groups with their class and series and what is in them, then all text: numbers of places, not places.
fn structure(svg: &str) -> String {
    let mut lines = String::new();
    for group in svg.split("<g").skip(1) {
        let attribute = |name: &str| {
            group.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value)
        };
        let head = group.split_once('>').map_or("", |(head, _)| head);
        let of_group = |name: &str| attribute(name).filter(|_| head.contains(name)).unwrap_or("-");
        let count = |tag: &str| group.matches(&format!("<{tag} ")).count();
        let counts = ["polyline", "polygon", "circle", "rect", "text"].map(|tag| (tag, count(tag)));
        let counts: Vec<String> = counts.iter().filter(|(_, n)| *n > 0).map(|(tag, n)| format!("{n} {tag}")).collect();
        let dashes = if head.contains("stroke-dasharray") { " dashed" } else { "" };
        writeln!(lines, "{} [{}]{dashes}: {}", of_group("class"), of_group("data-series"), counts.join(", ")).unwrap();
        let texts: Vec<&str> = group
            .split("<text")
            .skip(1)
            .filter_map(|text| text.split_once(">\n")?.1.split_once('\n'))
            .map(|(text, _)| text.trim())
            .collect();
        if !texts.is_empty() {
            writeln!(lines, "    {}", texts.join(" | ")).unwrap();
        }
    }
    lines
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap()
}

fn with_extension<'a>(files: &'a [PathBuf], extension: &str) -> Vec<&'a PathBuf> {
    files.iter().filter(|file| file.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn every_figure_keeps_its_structure() {
    for (name, rates, theme) in
        [("rates", rates(), "paper"), ("single", vec![None], "paper-wide"), ("slides", rates(), "slide")]
    {
        let (_folder, files) = drawn(name, &rates, theme, &ALL);
        for file in with_extension(&files, "svg") {
            let svg = std::fs::read_to_string(file).unwrap();
            insta::assert_snapshot!(format!("{name}-{}", stem(file)), structure(&svg));
        }
    }
}

/// Made-up steps of four pairs, one error beyond the edge, and a made-up run in which no request has a time per token.
#[test]
fn figures_of_calibrations_keep_their_structure() {
    let step = |n: u32| StepError {
        pair: format!("card-{} engine", n % 4),
        kind: if n.is_multiple_of(3) { "prefill" } else { "decode" }.to_owned(),
        measured: 0.001 * f64::from(n + 1),
        predicted: 0.001 * f64::from(n + 1) * if n == 7 { 3.0 } else { 1.0 + 0.1 * f64::from(n).sin() },
    };
    let quantity = |name: &str, requests: u32| Compared {
        quantity: name.to_owned(),
        pairs: (0..requests).map(|n| (f64::from(n) * 0.2, f64::from(n) * 0.21)).collect(),
    };
    let run = [quantity("TTFT", 30), quantity("TPOT", 0), quantity("E2E", 30)];
    let folder = tempfile::tempdir().unwrap();
    for figure in [residuals(&(0..60).map(step).collect::<Vec<_>>()), replay(&run)] {
        for extension in ["svg", "pdf", "PNG"] {
            save(&figure, &Theme::named("paper-wide").unwrap(), &folder.path().join(format!("f.{extension}"))).unwrap();
        }
        let svg = std::fs::read_to_string(folder.path().join("f.svg")).unwrap();
        insta::assert_snapshot!(format!("calibration-{}", figure.name), structure(&svg));
    }
    let error = save(&replay(&run), &Theme::default(), &folder.path().join("f.gif")).unwrap_err().to_string();
    assert!(error.contains("no picture format `gif` (there are svg, pdf and png)"), "{error}");
}

#[test]
fn every_kind_of_figure_is_drawn_by_one_of_the_folders() {
    let mut names: Vec<String> = Vec::new();
    for rates in [rates(), vec![None]] {
        let (_folder, files) = drawn("kinds", &rates, "paper", &[PictureFormat::Svg]);
        names.extend(files.iter().map(|file| stem(file).to_owned()));
    }
    for figure in figures() {
        assert!(names.iter().any(|name| name == figure.name), "{}", figure.name);
    }
}

#[test]
fn the_same_results_give_the_same_bytes() {
    let (_first, ours) = drawn("once", &rates(), "paper", &ALL);
    let bytes: Vec<Vec<u8>> = ours.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let (_second, theirs) = drawn("again", &rates(), "paper", &ALL);
    for ((ours, theirs), bytes) in ours.iter().zip(&theirs).zip(bytes) {
        assert!(bytes == std::fs::read(theirs).unwrap(), "{}", ours.display());
    }
}

#[test]
fn the_points_drawn_are_beside_the_figure() {
    let (_folder, files) = drawn("points", &rates(), "paper", &[PictureFormat::Svg]);
    let path = files.iter().find(|file| file.ends_with("attainment-vs-rate.csv")).unwrap();
    let points = Table::read(path).unwrap();
    assert_eq!(points.rows(), SCHEDULERS.len() * 7);
    assert_eq!(points.get("series").map(|column| column.show(0)), Some("round-robin".to_owned()));
    let number = |name: &str, row: usize| points.get(name).and_then(|column| column.number(row)).unwrap();
    for row in 0..points.rows() {
        let (lo, y, hi) = (number("y_lo", row), number("y", row), number("y_hi", row));
        assert!(0.0 <= lo && lo <= y && y <= hi && hi <= 100.0 && lo < hi, "{lo} {y} {hi}");
        assert!((number("n", row) - 5.0).abs() < 1e-9);
    }
}

/// A PDF with everything in its compressed streams.
fn inflated(pdf: &[u8]) -> String {
    let mut all = String::from_utf8_lossy(pdf).into_owned();
    let mut rest = pdf;
    while let Some(start) = find(rest, b"stream\n") {
        rest = &rest[start + 7..];
        let mut bytes = Vec::new();
        if flate2::read::ZlibDecoder::new(rest).read_to_end(&mut bytes).is_ok() {
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    all
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn pdfs_hold_text_as_text() {
    let (_folder, files) = drawn("pdf", &rates(), "paper", &[PictureFormat::Pdf]);
    for file in with_extension(&files, "pdf") {
        let pdf = std::fs::read(file).unwrap();
        assert!(find(&pdf, b"/FontFile").is_some() && find(&pdf, b"Inter").is_some(), "{}", file.display());
        let content = inflated(&pdf);
        // Text is shown by its glyphs; the map from glyphs to letters is what makes it searchable.
        let letters = "round-robin".chars().all(|letter| {
            content.contains(&format!("<{:04X}>", u32::from(letter)))
                || content.contains(&format!("<{:04x}>", u32::from(letter)))
        });
        assert!(content.contains(" Tj") || content.contains(" TJ"), "{}: no text", file.display());
        assert!(content.contains("beginbfchar") && letters, "{}: text without letters", file.display());
        assert!(find(&pdf, b"[0 0 241.").is_some(), "{}: not one column wide", file.display());
    }
}

/// Where only the background and text would be, there is ink: drop the text and the ink is gone.
#[test]
fn pngs_hold_text() {
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='72pt' height='36pt'><rect width='72pt' height='36pt' fill='#fff'/>TEXT</svg>";
    let text = "<text x='4' y='24' font-family='Inter, Helvetica, Arial, sans-serif' font-size='12'>rate</text>";
    let with = trimtab_report::export::png(&svg.replace("TEXT", text), 300.0).unwrap();
    let without = trimtab_report::export::png(&svg.replace("TEXT", ""), 300.0).unwrap();
    assert!(with.len() > without.len() + 500, "{} {}", with.len(), without.len());
    // 1 in by 0.5 in at 300 pixels per inch, in the header.
    assert_eq!(&with[16..24], &[0, 0, 1, 44, 0, 0, 0, 150]);
}

#[test]
fn errors_name_what_is_there() {
    let (folder, _) = drawn("errors", &rates(), "paper", &[]);
    let check = |folder: &Path, figure: Option<&str>, expected: &str| {
        let error = plot(folder, figure, &[], &Theme::default(), &folder.join("out")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(folder.path(), Some("ttft-vs-rat"), "no figure `ttft-vs-rat`; did you mean `ttft-vs-rate`?");
    check(folder.path(), Some("comparison"), "comparison is for a single arrival rate");
    check(folder.path(), Some("ttft-cdf"), "ttft-cdf needs per-request rows");
    check(&folder.path().join("nowhere"), None, "is not a results folder: it has no summary.csv");
}
