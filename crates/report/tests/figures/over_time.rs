//! Windows without a value, and runs of one window.

use std::path::Path;

use trimtab_report::{PictureFormat, Theme, plot};
use trimtab_table::{Column, Table};

/// Two seeds of one scheduler, with the same windows: from, share in time, instances at the end.
fn write(folder: &Path, windows: &[(f64, Option<f64>, u32)]) {
    let table = "cell,seed,label,rate_rps,requests,slo_attainment\nc0,1,a,2,10,0.9\nc1,2,a,2,10,0.9\n";
    std::fs::write(folder.join("summary.csv"), table).unwrap();
    let window = |(from, share, members): &(f64, Option<f64>, u32)| {
        let share = share.map_or("null".to_owned(), |share| share.to_string());
        format!(r#"{{"from_s": {from:.1}, "members": {members}, "attainment": {share}, "hit_ratio": 0.5}}"#)
    };
    let windows: Vec<String> = windows.iter().map(window).collect();
    let cell = format!(r#"{{"metrics": {{"fleet": {{"windows": [{}]}}}}}}"#, windows.join(","));
    std::fs::create_dir_all(folder.join("cells")).unwrap();
    for seed in 0..2 {
        std::fs::write(folder.join(format!("cells/c{seed}.json")), &cell).unwrap();
    }
}

/// Lines and markers of the groups of one class, in the order of the panels, and the points drawn.
fn drawn(folder: &Path, figure: &str, class: &str) -> (Vec<(usize, usize)>, Table, String) {
    let files = plot(folder, Some(figure), &[PictureFormat::Svg], &Theme::default(), folder).unwrap();
    let svg = std::fs::read_to_string(&files[0]).unwrap();
    let groups = svg.split("<g ").filter(|group| group.starts_with(&format!("class=\"{class}\"")));
    let markers = |group: &str| group.matches("<circle ").count() + group.matches("<polygon ").count();
    let counts = groups.map(|group| (group.matches("<polyline ").count(), markers(group))).collect();
    (counts, Table::read(&files[1]).unwrap(), svg)
}

#[test]
fn lines_break_where_nobody_arrived_and_counts_follow_what_they_count() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[(0.0, Some(1.0), 4), (10.0, Some(0.5), 3), (40.0, Some(0.9), 4)]);
    let (lines, points, svg) = drawn(folder.path(), "over-time", "line");
    assert_eq!(lines, [(2, 0), (2, 0), (1, 0)], "attainment, hit ratio, instances");
    assert!(svg.contains("<desc>mean over 2 seeds, without intervals</desc>"), "{svg}");
    let column = |name: &str| -> Vec<f64> {
        let column = points.get(name).unwrap();
        (0..points.rows()).map(|row| column.number(row).unwrap()).collect()
    };
    let spans: Vec<(f64, f64)> = column("x_lo").into_iter().zip(column("x_hi")).collect();
    assert_eq!(spans[..3], [(0.0, 10.0), (10.0, 20.0), (40.0, 50.0)]);
    // Counted at the ends of windows, never before.
    assert_eq!(spans[6..], [(10.0, 20.0), (20.0, 50.0), (50.0, 50.0)]);
    assert!(column("n").iter().all(|n| (n - 2.0).abs() < 1e-9), "two seeds");
}

#[test]
fn a_run_of_one_window_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[(0.0, Some(1.0), 4)]);
    let (lines, _, svg) = drawn(folder.path(), "over-time", "line");
    assert_eq!(lines, [(1, 0), (1, 0)], "attainment and hit ratio over their window");
    assert_eq!(drawn(folder.path(), "over-time", "markers").0, [(0, 2)], "the one count, with its rim");
    assert!(svg.contains("\n10\n") && !svg.contains("\n0.2\n"), "ten seconds, not the part of one");
}

#[test]
fn a_panel_without_a_value_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[(0.0, None, 4), (10.0, None, 4)]);
    let (lines, _, svg) = drawn(folder.path(), "over-time", "line");
    assert_eq!((lines.len(), svg.matches("class=\"axes\"").count()), (2, 2), "hit ratio and instances");
}

#[test]
fn instances_that_are_away_have_no_line() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[]);
    let rows: Vec<(u32, u64)> = (0..5).flat_map(|window| [0, 1].map(|instance| (window, instance))).collect();
    let away = |&(window, instance): &(u32, u64)| instance == 1 && (2..4).contains(&window);
    let mut load = Table::new();
    load.push("from_s", Column::real(rows.iter().map(|row| 10.0 * f64::from(row.0)))).unwrap();
    load.push("instance", Column::count(rows.iter().map(|row| row.1))).unwrap();
    load.push("waiting", Column::real(rows.iter().map(|_| 1.0))).unwrap();
    load.push("pending_tokens", Column::real(rows.iter().map(|row| if away(row) { 0.0 } else { 50.0 }))).unwrap();
    load.push("moved", Column::count(rows.iter().map(|_| 0))).unwrap();
    load.push("serving", Column::real(rows.iter().map(|row| if away(row) { 0.0 } else { 1.0 }))).unwrap();
    for seed in 0..2 {
        let cell = folder.path().join(format!("cells/c{seed}"));
        std::fs::create_dir_all(&cell).unwrap();
        load.write(&cell.join("load.parquet")).unwrap();
    }
    assert_eq!(drawn(folder.path(), "load-over-time", "strand").0, [(1, 0), (2, 0)]);
    let (lines, points, _) = drawn(folder.path(), "queue-over-time", "line");
    assert_eq!(lines, [(1, 0)]);
    let n = points.get("n").unwrap();
    assert!((0..points.rows()).all(|row| n.number(row).is_some_and(|n| (n - 2.0).abs() < 1e-9)), "two seeds");
}
