//! What a change of the cluster did stands beside a control.

use std::fs;

use crate::support::{folder, run, text};

#[test]
fn a_change_is_set_beside_the_first_point_that_differs_in_nothing_else() {
    let folder = folder(300);
    let text = text(folder.path());
    let (head, _) = text.split_once("[grid]").unwrap();
    let head = head.replace("[search]\nkind = \"sweep\"\nrates_rps = [2.0, 6.0]\n", "");
    let fails = "event = [{ at_s = 20.0, fail = [0], for_s = 15.0 }]";
    let spec = format!(
        r#"{head}
[[case]]
label = "control"
set = {{ event = [{{ at_s = 20.0, slow = [0], factor = 1.0, for_s = 1.0 }}] }}

[[case]]
label = "failure"
set = {{ {fails} }}

[[case]]
label = "failure of slower instances"
set = {{ "cluster.cost.step_us" = 9000.0, {fails} }}
"#
    );
    let out = folder.path().join("out");
    assert_eq!(run(&spec, &out, 2, None, &()).unwrap().exit_code(), 0);
    let table = fs::read_to_string(out.join("changes.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let told = |row: &csv::StringRecord| ["label", "metric"].map(|name| row[at(name)].to_owned()).join(" ");
    let expected = ["round-robin", "coin"]
        .map(|label| ["hit_ratio", "attainment", "ttft_p90_s"].map(|metric| format!("{label} {metric}")));
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), expected.concat());
    for row in &rows {
        assert_eq!((&row[at("case")], &row[at("n")]), ("failure", "3"), "the others have no control, or are it");
        // Half of the cluster is lost, with its cache; the other half is quick enough.
        let worst = row[at("worst")].parse::<f64>().unwrap();
        assert!(if &row[at("metric")] == "hit_ratio" { worst > 0.0 } else { worst >= 0.0 }, "{row:?}");
    }
}
