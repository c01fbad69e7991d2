//! Figures from a results folder that is written here: their structure, their text in every format, their bytes.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they could not check")]

mod attainment;
mod made_up;
mod over_time;
mod pdf;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use trimtab_report::calibration::{Compared, StepError, replay, residuals};
use trimtab_report::prefixes::{self, Prefixes};
use trimtab_report::results::Results;
use trimtab_report::{PictureFormat, Theme, available, figures, miss_ratio, page, plot, save};
use trimtab_table::Table;

use made_up::{Varied, rates, single, sizes, write_capacity, write_comparisons, write_evictions, write_results};
use pdf::{find, said};

/// A folder with results; with `TRIMTAB_FIGURES` set, pictures stay there to be looked at.
fn drawn(name: &str, varied: &Varied, theme: &str, formats: &[PictureFormat]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), varied);
    write_capacity(folder.path());
    if varied.rates.len() == 1 && varied.sizes.is_empty() {
        write_comparisons(folder.path(), varied.schedulers);
    }
    let kept = std::env::var_os("TRIMTAB_FIGURES").map(|kept| PathBuf::from(kept).join(name));
    let out = kept.unwrap_or_else(|| folder.path().join("plots"));
    let files = plot(folder.path(), None, formats, &Theme::named(theme).unwrap(), &out).unwrap();
    if std::env::var_os("TRIMTAB_FIGURES").is_some() {
        std::fs::write(out.join("report.html"), page(folder.path(), &Theme::default()).unwrap()).unwrap();
    }
    (folder, files)
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
    for (name, varied, theme) in [
        ("rates", rates(), "paper"),
        ("single", single(), "paper-wide"),
        ("sizes", sizes(), "paper"),
        ("slides", rates(), "slide"),
    ] {
        let (_folder, files) = drawn(name, &varied, theme, &[PictureFormat::Svg]);
        for file in with_extension(&files, "svg") {
            let svg = std::fs::read_to_string(file).unwrap();
            insta::assert_snapshot!(format!("{name}-{}", stem(file)), structure(&svg));
        }
    }
}

/// The boxes of all text of a drawing: left, top, right, bottom and what it says. A letter counts as narrow, a line as
/// low: what overlaps here does on any screen.
fn boxes(svg: &str) -> Vec<([f64; 4], String)> {
    let text = |element: &str| {
        let (head, rest) = element.split_once('>')?;
        let words = rest.split_once("</text>")?.0.trim().to_owned();
        let value = |name: &str| head.split_once(&format!(" {name}=\""))?.1.split_once('"').map(|(value, _)| value);
        let number = |name: &str| value(name)?.parse::<f64>().ok();
        let (x, y, size) = (number("x")?, number("y")?, number("font-size")?);
        let width = 0.47 * size * words.chars().count() as f64;
        let left = match value("text-anchor") {
            Some("middle") => -width / 2.0,
            Some("end") => -width,
            _ => 0.0,
        };
        let half = 0.33 * size;
        let upward = value("transform").is_some();
        let frame = if upward {
            [x - half, y - left - width, x + half, y - left]
        } else {
            [x + left, y - half, x + left + width, y + half]
        };
        Some((frame, words))
    };
    svg.split("<text").skip(1).filter_map(text).collect()
}

/// What is wrong with where the text of a drawing stands.
fn collisions(svg: &str) -> Vec<String> {
    let size = svg.split_once("viewBox=\"0 0 ").unwrap().1.split_once('"').unwrap().0;
    let size: Vec<f64> = size.split(' ').map(|part| part.parse().unwrap()).collect();
    let boxes = boxes(svg);
    let mut found = Vec::new();
    for (at, (a, words)) in boxes.iter().enumerate() {
        if a[0] < 0.0 || a[1] < 0.0 || a[2] > size[0] || a[3] > size[1] {
            found.push(format!("`{words}` is cut off"));
        }
        let over = |b: &[f64; 4]| a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
        found.extend(boxes[..at].iter().filter(|(b, _)| over(b)).map(|(_, other)| format!("`{words}` on `{other}`")));
    }
    found
}

#[test]
fn no_text_is_cut_off_or_on_other_text() {
    let looking = std::env::var_os("TRIMTAB_FIGURES").is_some();
    let formats: &[PictureFormat] = if looking { &[PictureFormat::Svg, PictureFormat::Png] } else { &ALL[..1] };
    let mut wrong = Vec::new();
    for theme in ["paper", "paper-wide", "slide"] {
        for schedulers in [2, 8] {
            for (name, varied) in [("rates", rates()), ("single", single()), ("sizes", sizes())] {
                let name = format!("{theme}-{schedulers}-{name}");
                let (_folder, files) = drawn(&name, &Varied { schedulers, seeds: 2, ..varied }, theme, formats);
                for file in with_extension(&files, "svg") {
                    let found = collisions(&std::fs::read_to_string(file).unwrap());
                    wrong.extend(found.into_iter().map(|what| format!("{name} {}: {what}", stem(file))));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Twelve schedulers have more rows than a page has room for: figures go on in other files, and nothing is lost.
#[test]
fn no_figure_is_higher_than_a_page() {
    let looking = std::env::var_os("TRIMTAB_FIGURES").is_some();
    let formats: &[PictureFormat] = if looking { &[PictureFormat::Svg, PictureFormat::Png] } else { &ALL[..1] };
    for theme in ["paper", "paper-wide", "slide"] {
        let varied = Varied { schedulers: 12, seeds: 2, ..single() };
        let (_folder, files) = drawn(&format!("many-{theme}"), &varied, theme, formats);
        let (mut panels, mut darkest) = (Vec::new(), Vec::new());
        for file in with_extension(&files, "svg") {
            let svg = std::fs::read_to_string(file).unwrap();
            let height: f64 = svg.split_once("height=\"").unwrap().1.split_once("pt\"").unwrap().0.parse().unwrap();
            assert!(height <= 9.0 * 72.0, "{theme} {}: {height} pt", stem(file));
            assert_eq!(collisions(&svg), Vec::<String>::new(), "{theme} {}", stem(file));
            let points = Table::read(&file.with_extension("csv")).unwrap();
            let headings = points.get("panel").unwrap();
            darkest.extend(boxes(&svg).into_iter().map(|(_, text)| text).find(|text| text.ends_with("pending tokens")));
            let of_forest = stem(file).split("--").next() == Some("forest");
            panels.extend((0..points.rows()).filter(|_| of_forest).map(|row| headings.show(row)));
        }
        panels.dedup();
        darkest.dedup();
        assert_eq!(darkest.len(), 1, "shades mean the same on all pages: {darkest:?}");
        let metrics = ["SLO attainment", "Goodput", "P90 TTFT", "P90 E2E", "Hit ratio", "Load CV"];
        assert_eq!(panels, metrics, "{theme}");
    }
}

/// Made-up steps of four pairs, one error beyond the edge; a made-up run in which no request has a time per token; a
/// made-up trace; and caches that miss less and less.
#[test]
fn figures_of_other_things_keep_their_structure() {
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
    let trace = Prefixes {
        name: "chat".to_owned(),
        lru: (0..12).map(|n| (1e4 * f64::from(1 << n), 0.06 * f64::from(n))).collect(),
        infinite: 0.68,
        popularity: (1..200).map(|rank| (rank, 1 + 4000 / rank)).collect(),
        zipf: Some((1.02, [(1.0, 4000.0), (200.0, 20.0)])),
        reuse: (0..40).map(|n| (3.0 * f64::from(n), 0.025 * f64::from(n))).collect(),
    };
    let misses = |factor: f64| (0..11).map(|n| (500 << n, factor / f64::from(n + 1))).collect();
    let curves = [("lru".to_owned(), misses(0.9)), ("sieve".to_owned(), misses(0.8))];
    let all = [
        residuals(&(0..60).map(step).collect::<Vec<_>>()),
        replay(&run),
        prefixes::figure(&trace),
        miss_ratio::figure(&curves),
    ];
    for figure in all {
        for extension in ["svg", "pdf", "PNG"] {
            save(&figure, &Theme::named("paper-wide").unwrap(), &folder.path().join(format!("f.{extension}"))).unwrap();
        }
        let svg = std::fs::read_to_string(folder.path().join("f.svg")).unwrap();
        assert!(collisions(&svg).is_empty(), "{}: {}", figure.name, collisions(&svg).join(", "));
        insta::assert_snapshot!(format!("other-{}", figure.name), structure(&svg));
    }
    let error = save(&replay(&run), &Theme::default(), &folder.path().join("f.gif")).unwrap_err().to_string();
    assert!(error.contains("no picture format `gif` (there are svg, pdf and png)"), "{error}");
}

#[test]
fn every_kind_of_figure_is_drawn_by_one_of_the_folders() {
    let mut names: Vec<String> = Vec::new();
    for varied in [rates(), single(), sizes()] {
        let (_folder, files) = drawn("kinds", &varied, "paper", &[PictureFormat::Svg]);
        names.extend(files.iter().map(|file| stem(file).to_owned()));
    }
    let folder = tempfile::tempdir().unwrap();
    write_evictions(folder.path());
    let files = plot(folder.path(), None, &ALL[..1], &Theme::default(), &folder.path().join("plots")).unwrap();
    names.extend(files.iter().map(|file| stem(file).to_owned()));
    for figure in figures() {
        assert!(names.iter().any(|name| name.split("--").next() == Some(figure.name)), "{}", figure.name);
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
    assert_eq!(points.rows(), 4 * 7);
    assert_eq!(points.get("series").map(|column| column.show(0)), Some("round-robin".to_owned()));
    let number = |name: &str, row: usize| points.get(name).and_then(|column| column.number(row)).unwrap();
    for row in 0..points.rows() {
        let (lo, y, hi) = (number("y_lo", row), number("y", row), number("y_hi", row));
        assert!(0.0 <= lo && lo <= y && y <= hi && hi <= 100.0 && lo < hi, "{lo} {y} {hi}");
        assert!((number("n", row) - 5.0).abs() < 1e-9);
    }
}

/// Read as `pdftotext` reads it where that is installed, and by the fonts' own maps everywhere.
#[test]
fn pdfs_hold_text_as_text() {
    let (_folder, files) = drawn("pdf", &rates(), "paper", &[PictureFormat::Pdf]);
    for file in with_extension(&files, "pdf") {
        let pdf = std::fs::read(file).unwrap();
        assert!(find(&pdf, b"/FontFile").is_some() && find(&pdf, b"Inter").is_some(), "{}", file.display());
        assert!(find(&pdf, b"[0 0 241.").is_some(), "{}: not one column wide", file.display());
        let svg = file.with_extension("svg");
        assert!(!svg.exists(), "nothing but PDF was asked for");
        let mut readings = vec![said(&pdf)];
        match std::process::Command::new("pdftotext").arg(file).arg("-").output() {
            Ok(output) => readings.push(String::from_utf8(output.stdout).unwrap().split_whitespace().collect()),
            Err(error) => eprintln!("NOT CHECKED with pdftotext ({error}): the text was read by the test alone"),
        }
        for text in readings {
            for words in ["round-robin", "least-loaded", "DualMap(β=1.5)", "(requests/s)"] {
                let plane = stem(file) == "hit-cv-plane" && words == "(requests/s)";
                assert!(plane || text.contains(words), "{}: no `{words}` in {text}", file.display());
            }
        }
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
fn every_kind_is_documented() {
    let page = include_str!("../../../../docs/figures.md");
    for figure in figures() {
        let row = format!("| `{}` | {} | {} |", figure.name, figure.summary, figure.needs);
        assert!(page.contains(&row), "docs/figures.md lacks\n{row}");
    }
}

#[test]
fn what_can_be_drawn_is_said() {
    let (folder, _) = drawn("available", &rates(), "paper", &[]);
    let found = available(folder.path()).unwrap();
    let of = |name: &str| found.iter().find(|(kind, _)| *kind == name).unwrap().1.clone();
    assert_eq!(of("ttft-vs-rate"), Ok(vec!["ttft-vs-rate".to_owned()]));
    assert_eq!(of("load-map"), Err("load-map needs load rows (`[output] load = true`)".to_owned()));
    assert_eq!(found.len(), figures().len());
}

#[test]
fn errors_name_what_is_there() {
    let (folder, _) = drawn("errors", &rates(), "paper", &[]);
    let check = |folder: &Path, figure: Option<&str>, expected: &str| {
        let error = plot(folder, figure, &[], &Theme::default(), &folder.join("out")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(folder.path(), Some("ttft-vs-rat"), "no figure `ttft-vs-rat`; did you mean `ttft-vs-rate`?");
    check(folder.path(), Some("comparison"), "comparison needs a single arrival rate");
    check(folder.path(), Some("ttft-cdf"), "ttft-cdf needs per-request rows");
    check(&folder.path().join("nowhere"), None, "is not a results folder: it has no summary.csv");
}

/// A run that turned everything away has no times and no hits. What it lacks is said, one reason to a line, and nothing
/// that it has.
#[test]
fn results_without_anything_to_draw_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let table = "cell,label,rate_rps,requests,ttft_p90_s,hit_ratio_tokens,load_cv\nc0,a,2,100,,,0\n";
    std::fs::write(folder.path().join("summary.csv"), table).unwrap();
    let error = plot(folder.path(), None, &[], &Theme::default(), folder.path()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("nothing in `") && lines[0].ends_with("` can be drawn:"), "{error}");
    assert_eq!(lines.len(), 1 + figures().len(), "{error}");
    for expected in ["  comparison needs a run that served requests", "  hit-cv-plane needs a run that served requests"]
    {
        assert!(lines.contains(&expected), "{error}");
    }
}

#[test]
fn hits_by_eviction_have_a_row_for_each_policy_and_a_panel_for_each_case() {
    let folder = tempfile::tempdir().unwrap();
    write_evictions(folder.path());
    for theme in ["paper", "paper-wide", "slide"] {
        let (theme, out) = (Theme::named(theme).unwrap(), folder.path().join(theme));
        let files = plot(folder.path(), Some("hit-ratio-by-eviction"), &ALL[..1], &theme, &out).unwrap();
        let svg = std::fs::read_to_string(&files[0]).unwrap();
        assert_eq!(collisions(&svg), Vec::<String>::new());
        for words in ["lru", "rlt", "belady", "conversation", "long documents", "dualmap"] {
            assert!(boxes(&svg).iter().any(|(_, text)| text == words), "{words}");
        }
        assert!(svg.contains("<desc>mean and 95 % t interval over 3 seeds</desc>"));
        let points = Table::read(&files[1]).unwrap();
        let number = |name: &str, row: usize| points.get(name).and_then(|column| column.number(row)).unwrap();
        for row in 0..points.rows() {
            let (lo, x, hi) = (number("x_lo", row), number("x", row), number("x_hi", row));
            assert!(lo < x && x < hi && (number("n", row) - 3.0).abs() < 1e-9, "{lo} {x} {hi}");
            let (place, name) = (number("y", row), points.get("y_name").unwrap().show(row));
            let row = ["belady", "rlt", "lru"].iter().position(|known| *known == name).unwrap() as f64;
            assert!((place - row).abs() < 0.5, "{name} at {place}");
        }
    }
}

#[test]
fn policies_with_one_miss_ratio_curve_share_it() {
    let curve = |miss: f64| vec![(100, miss), (200, miss / 2.0)];
    let curves = [("lru", 0.8), ("lfu", 0.9), ("sieve", 0.9), ("ttl", 0.8)];
    let figure = miss_ratio::figure(&curves.map(|(name, miss)| (name.to_owned(), curve(miss))));
    assert_eq!(figure.labels(), ["lru, ttl", "lfu, sieve"]);
}

/// What a case sets together is named by the case; what follows from the axis is not named at all. Rates are no settings.
#[test]
fn settings_that_were_varied_together_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = "case,label,rate_rps,signals.refresh_ms,signals.delay_ms,cluster.instances,requests,slo_attainment
slow,a,5,200,200,4,10,0.5
slow,a,5,200,200,8,10,0.6
fast,a,9,50,50,4,10,0.7
fast,a,9,50,50,8,10,0.8
";
    std::fs::write(folder.path().join("summary.csv"), text).unwrap();
    let results = Results::open(folder.path()).unwrap();
    let names = |but: &[&str]| results.slices(but).iter().map(|slice| slice.name("x")).collect::<Vec<_>>();
    for (but, expected) in [
        (&["cluster.instances"][..], &["x--case=slow", "x--case=fast"][..]),
        (&["signals.delay_ms"], &["x--cluster.instances=4", "x--cluster.instances=8"]),
        (
            &["rate_rps"],
            &[
                "x--case=slow--cluster.instances=4",
                "x--case=slow--cluster.instances=8",
                "x--case=fast--cluster.instances=4",
                "x--case=fast--cluster.instances=8",
            ],
        ),
    ] {
        assert_eq!(names(but), expected, "{but:?}");
    }
}
