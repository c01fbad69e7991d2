//! Attainment in all objectives, where there are others than the time to first token.

use std::path::Path;

use trimtab_report::{PictureFormat, Theme, page, plot};
use trimtab_table::Table;

use crate::made_up::{Varied, add_objectives, rates, single, sizes, write_comparisons, write_results};

/// The points of one kind of figure, and its first picture.
fn plotted(folder: &Path, figure: &str) -> (Table, String) {
    let out = folder.join("plots");
    let files = plot(folder, Some(figure), &[PictureFormat::Svg], &Theme::default(), &out).unwrap();
    (Table::read(&files[1]).unwrap(), std::fs::read_to_string(&files[0]).unwrap())
}

fn written(varied: &Varied) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), varied);
    if varied.rates.len() == 1 && varied.sizes.is_empty() {
        write_comparisons(folder.path(), varied.schedulers);
    }
    folder
}

/// The first value of a column among the rows that another names so.
fn first(points: &Table, by: &str, name: &str, column: &str) -> Option<f64> {
    let named = points.get(by).unwrap();
    let row = (0..points.rows()).find(|&row| named.show(row) == name)?;
    points.get(column).and_then(|column| column.number(row))
}

#[test]
fn all_objectives_are_drawn_where_there_are_others_than_the_first_token() {
    let cases = [
        ("attainment-vs-rate", rates(), "y_quantity", ["SLO attainment (%)", "In all objectives (%)"], "y"),
        ("comparison", single(), "panel", ["SLO attainment", "In all objectives"], "x"),
        ("vs-setting", sizes(), "y_quantity", ["SLO attainment (%)", "In all objectives (%)"], "y"),
        ("forest", single(), "panel", ["SLO attainment", "In all objectives"], "x"),
    ];
    for (figure, varied, by, [alone, all], column) in cases {
        let folder = written(&varied);
        let (points, picture) = plotted(folder.path(), figure);
        let in_ttft = first(&points, by, alone, column).unwrap();
        assert!(picture.contains(alone) && !picture.contains(all), "{figure}");
        add_objectives(folder.path());
        let (points, picture) = plotted(folder.path(), figure);
        let in_all = first(&points, by, all, column).unwrap();
        assert!(picture.contains(all) && !picture.contains(alone), "{figure}");
        // Ratios of a scheduler to another stay the same.
        let factor = if figure == "forest" { 1.0 } else { 0.8 };
        assert!((in_all - factor * in_ttft).abs() < 1e-6, "{figure}: {in_all} {in_ttft}");
    }
}

/// Windows have the time to first token alone: there is no target for it where the target is over more.
#[test]
fn over_time_says_that_it_is_about_the_first_token() {
    let folder = written(&single());
    let (_, picture) = plotted(folder.path(), "over-time");
    assert!(picture.contains("In TTFT SLO (%)") && picture.contains("target 90 %"), "{picture}");
    add_objectives(folder.path());
    let (_, picture) = plotted(folder.path(), "over-time");
    assert!(picture.contains("In TTFT SLO (%)") && !picture.contains("target 90 %"), "{picture}");
}

#[test]
fn pages_have_both_shares_where_they_differ() {
    let folder = written(&single());
    let html = page(folder.path(), &Theme::default()).unwrap();
    assert!(html.contains("in TTFT SLO (%)") && !html.contains("in all objectives (%)"));
    add_objectives(folder.path());
    let html = page(folder.path(), &Theme::default()).unwrap();
    assert!(html.contains("in TTFT SLO (%)") && html.contains("in all objectives (%)"));
}

#[test]
fn targets_are_round() {
    let folder = written(&rates());
    let spec = folder.path().join("spec.toml");
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text.replace("attain = 0.9", "attain = 0.55")).unwrap();
    let (_, picture) = plotted(folder.path(), "attainment-vs-rate");
    assert!(picture.contains("target 55 %"), "0.55 times 100 is not 55");
}
