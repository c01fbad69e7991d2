//! Pages from templates: each placeholder means one number, and the pages of this repository are current.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use trimtab_report::render;

const INTERVALS: &str = "case,label,rate_rps,metric,n,mean,lo,hi
a,one,1,ttft,3,2.0,1.5,2.5
a,one,2,ttft,3,4.0,3.0,5.0
a,two,1,ttft,3,1.0,0.5,1.5
a,two,2,ttft,3,0.9,,
b,one,1,ttft,3,0.8123,0.7123,0.9123
d,one,1,share,3,0.97,0.9,1.04
";
const RATIOS: &str = "label,baseline,rate_rps,ratio,ratio_lo,ratio_hi,capacity_lo_rps,capacity_hi_rps
two,one,1,0.8,0.7,0.95,4,5
three,one,1,1.3,0.9,1.8,10,12
two,one,2,2.0,1.9,2.1,6,
";
const PUBLISHED: &str = "id,source,claim,lo,hi,format
drop,Fig. 1,time falls,0.81,0.81,+%1
gain,Fig. 2,gain,1.4,1.5,x1
most,Fig. 3,share,0.9,,%0
least,Fig. 4,ceiling,,1,.1
";

fn rendered(template: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("i.csv", INTERVALS), ("r.csv", RATIOS), ("published.csv", PUBLISHED)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let page = render("page.md", template, folder.path(), &folder.path().join("published.csv"));
    page.map(|page| page.split_once("\n\n").unwrap().1.to_owned()).map_err(|error| error.to_string())
}

#[test]
fn placeholders_become_numbers() {
    for (template, expected) in [
        ("a {{i.csv case=b mean:.2}} b", "a 0.81 (0.71 to 0.91) b"),
        ("{{i.csv case=b mean:%1}}", "81.2 % (71.2 to 91.2 %)"),
        ("{{i.csv case=d mean:%0}}", "97 % (90 to 100 %)"),
        ("{{i.csv case=a label=two rate_rps=2.0 mean:x1}}", "0.9×"),
        ("{{i.csv case=a most:mean label:.0}}", "error: no number in `label`"),
        ("{{i.csv case=a most:mean rate_rps:.0}}", "2"),
        ("{{i.csv case!=d least:mean@case most:mean mean:.1}}", "0.9"),
        ("{{i.csv case!=b label!=one rate_rps=1 mean:.1}}", "1.0 (0.5 to 1.5)"),
        ("{{r.csv label=two rate_rps=1 ratio:+%0}}", "-20 % (-30 to -5 %)"),
        ("{{r.csv label=two rate_rps=1 capacity_lo_rps..capacity_hi_rps:.1}}", "4.0 to 5.0"),
        (
            "{{r.csv label=three capacity_lo_rps..capacity_hi_rps over r.csv label=two rate_rps=1 \
          capacity_lo_rps..capacity_hi_rps:x1}}",
            "2.0 to 3.0×",
        ),
        (
            "{{r.csv label=two rate_rps=2 capacity_lo_rps..capacity_hi_rps:.1}}",
            "error: an end of the interval is missing",
        ),
        (
            "{{against drop r.csv label=two rate_rps=1 ratio \"why\"}}",
            "| time falls | Fig. 1 | -19.0 % | -20.0 % (-30.0 to -5.0 %) | **agrees** |  |",
        ),
        (
            "{{against drop r.csv rate_rps=2 ratio \"why\"}}",
            "| time falls | Fig. 1 | -19.0 % | +100.0 % (+90.0 to +110.0 %) | **differs** (+109.0 points) | why |",
        ),
        (
            "{{against gain r.csv label=three ratio\n\"a long\nreason\"}}",
            "| gain | Fig. 2 | 1.4 to 1.5× | 1.3× (0.9 to 1.8×) | undecided: no effect is in the interval too | a long reason |",
        ),
        (
            "{{against gain r.csv label=two rate_rps=1 ratio \"x\"}}",
            "| gain | Fig. 2 | 1.4 to 1.5× | 0.8× (0.7 to 0.9×) | **differs** (-0.4×) | x |",
        ),
        (
            "{{against most note=\"7B, b\" i.csv case=b mean \"x\"}}",
            "| share (7B, b) | Fig. 3 | at least 90 % | 81 % (71 to 91 %) | **agrees** |  |",
        ),
        (
            "{{against least i.csv case=a label=one rate_rps=1 mean \"x\"}}",
            "| ceiling | Fig. 4 | at most 1.0 | 2.0 (1.5 to 2.5) | **differs** (+0.5) | x |",
        ),
        ("{{published drop \"no clock\"}}", "| time falls | Fig. 1 | -19.0 % |  | cannot be compared | no clock |"),
        (
            "{{table i.csv rows=label columns=rate_rps case=a mean:.1}}",
            "|  | 1 | 2 |\n|---|---|---|\n| one | 2.0 ± 0.5 | 4.0 ± 1.0 |\n| two | 1.0 ± 0.5 | 0.9 |",
        ),
        (
            "{{table r.csv rows=label columns=rate_rps ratio:+%0}}",
            "|  | 1 | 2 |\n|---|---|---|\n| two | -20 % (-30 to -5 %) | +100 ± 10 % |\n| three | +30 % (-10 to +80 %) | - |",
        ),
        ("{{i.csv case=c mean:.1}}", "error: 0 rows are meant, not one"),
        ("{{i.csv case=a label=one mean:.1}}", "error: 2 rows are meant, not one: a,one,1,ttft"),
        ("{{i.csv kase=a mean:.1}}", "error: no column `kase`"),
        ("{{i.csv case=b mean:3}}", "error: `3` is no format"),
        ("{{i.csv case=b mean}}", "error: `mean` is not COLUMN:FORMAT"),
        ("{{i.csv b mean:.1}}", "error: `b` is no condition"),
        ("{{j.csv mean:.1}}", "error: "),
        ("{{against none i.csv case=b mean \"x\"}}", "error: `none` does not stand once"),
        ("{{table i.csv metric=ttft rows=label columns=rate_rps mean:.1}}", "error: 2 rows for one, 1: "),
        ("{{i.csv", "error: is never closed"),
    ] {
        match rendered(template) {
            Ok(page) => assert_eq!(page, expected, "{template}"),
            Err(error) => {
                let (place, message) = error.split_once("}}`: ").unwrap();
                assert!(place.starts_with("page.md:1: `{{"), "{error}");
                let wanted = expected.strip_prefix("error: ").unwrap_or_else(|| panic!("{template}: {error}"));
                assert!(message.contains(wanted), "{template}: {error}");
            }
        }
    }
    assert!(rendered("one\ntwo {{x.csv a:.1}}").unwrap_err().starts_with("page.md:2: "));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The templates of this repository, by name.
fn templates() -> Vec<(String, String)> {
    let pages = fs::read_dir(repository().join("docs/pages")).unwrap().map(|entry| entry.unwrap().path());
    let named =
        |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap());
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).map(named).collect()
}

#[test]
fn the_pages_of_this_repository_are_current() {
    let root = repository();
    for (name, template) in templates() {
        let page =
            render(&name, &template, &root.join("results/published"), &root.join("docs/pages/published.csv")).unwrap();
        let known = fs::read_to_string(root.join("docs").join(&name)).unwrap();
        assert!(page == known, "docs/{name} is not current: run `trimtab render`");
    }
}

/// Settings that look like results.
const SETTINGS: [&str; 6] = ["90 %", "95 %", "arXiv 2602.06502", "0.5 M tokens", "from 0.5 to 30 s", "50 % rule"];

/// Results are decimals, percentages or ratios: none of these is typed. Settings are whole numbers, or code.
#[test]
fn no_result_is_typed_in_a_template() {
    let templates = templates();
    assert!(!templates.is_empty());
    for (name, template) in templates {
        let mut code = false;
        let mut text = String::new();
        for line in outside(&template).lines() {
            code ^= line.starts_with("```");
            let prose: String = line.split('`').step_by(2).collect();
            let prose = SETTINGS.iter().fold(prose, |prose, setting| prose.replace(setting, ""));
            if !code {
                text.push_str(&prose);
                text.push('\n');
            }
        }
        let chars: Vec<char> = text.chars().collect();
        for (at, window) in chars.windows(3).enumerate() {
            let decimal = matches!(window, [a, '.', b] if a.is_ascii_digit() && b.is_ascii_digit());
            let unit = window[0].is_ascii_digit()
                && (matches!(window[1], '%' | '×') || window[1] == ' ' && matches!(window[2], '%' | '×'));
            let near: String = chars[at.saturating_sub(40)..chars.len().min(at + 20)].iter().collect();
            assert!(!decimal && !unit, "{name}: a number is typed: {near}");
        }
    }
}

/// A template without its placeholders; their reasons are prose too.
fn outside(template: &str) -> String {
    let mut text = String::new();
    for (at, piece) in template.split("{{").enumerate() {
        let (inside, after) = if at == 0 { ("", piece) } else { piece.split_once("}}").unwrap() };
        text.extend(inside.split('"').skip(1).step_by(2));
        text.push_str(after);
    }
    text
}
