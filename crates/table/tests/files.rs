//! Tables through both formats: what goes in comes out, and the same table gives the same bytes.

use proptest::prelude::*;
use trimtab_core::SimTime;
use trimtab_table::{Column, Format, RequestRow, Stat, Table, TableError, nearest_rank, requests_table, summarise};

const FORMATS: [Format; 2] = [Format::Csv, Format::Parquet];

fn table(columns: Vec<(&str, Column)>) -> Table {
    let mut table = Table::new();
    for (name, column) in columns {
        table.push(name, column).expect("valid table");
    }
    table
}

fn sample() -> Table {
    table(vec![
        ("scheduler", Column::text(["DualMap (β=1.5)", "a, \"b\"", "x\ny"])),
        ("seed", Column::Count(vec![Some(1), None, Some(u64::MAX)])),
        ("rate", Column::real([1.0, 0.1 + 0.2, -1e300])),
        ("p99", Column::Real(vec![None, Some(5e-324), None])),
        ("nothing", Column::Text(vec![None, None, None])),
    ])
}

#[test]
fn both_formats_return_what_was_written() {
    for format in FORMATS {
        let bytes = sample().encode(format).expect("encodes");
        assert_eq!(Table::decode(&bytes, format).expect("decodes"), sample(), "{format:?}");
    }
}

#[test]
fn lists_are_columns_of_parquet_and_text_in_csv() {
    let lists = table(vec![
        ("nodes", Column::Counts(vec![Some(vec![0, u64::MAX]), None, Some(Vec::new())])),
        ("none", Column::Counts(vec![None, None, None])),
    ]);
    let bytes = lists.encode(Format::Parquet).expect("encodes");
    assert_eq!(Table::decode(&bytes, Format::Parquet).expect("decodes"), lists);
    let text = String::from_utf8(lists.encode(Format::Csv).expect("encodes")).expect("text");
    assert_eq!(text, "nodes,none\n0 18446744073709551615,\n,\n,\n");
}

#[test]
fn csv_is_plain_to_read() {
    let text = String::from_utf8(sample().encode(Format::Csv).expect("encodes")).expect("text");
    let expected = "scheduler,seed,rate,p99,nothing\nDualMap (β=1.5),1,1.0,,\n\"a, \"\"b\"\"\",,0.30000000000000004,5e-324,\n\
                    \"x\ny\",18446744073709551615,-1e300,,\n";
    assert_eq!(text, expected);
}

#[test]
fn csv_columns_get_the_narrowest_type_that_loses_nothing() {
    let check = |cells: [&str; 2], expected: Column| {
        let csv = format!("x,y\n{},1\n{},1\n", cells[0], cells[1]);
        let table = Table::decode(csv.as_bytes(), Format::Csv).expect("decodes");
        assert_eq!(table.get("x"), Some(&expected), "{cells:?}");
    };
    check(["1", "2"], Column::count([1, 2]));
    check(["1", ""], Column::Count(vec![Some(1), None]));
    check(["1", "2.0"], Column::real([1.0, 2.0]));
    check(["1", "-2"], Column::real([1.0, -2.0]));
    check(["007", "x"], Column::text(["007", "x"]));
    check(["inf", "1"], Column::text(["inf", "1"]));
    check(["", ""], Column::Text(vec![None, None]));
}

/// Enough rows for several row groups, so that a parallel writer would have something to reorder.
#[test]
fn the_same_table_gives_the_same_bytes() {
    let rows = 270_000;
    let large = table(vec![
        ("request", Column::count(0..rows)),
        ("ttft_s", Column::real((0..rows).map(|n| (n * 7919 % 1000) as f64 / 8.0))),
        ("outcome", Column::text((0..rows).map(|n| if n % 17 == 0 { "rejected" } else { "completed" }))),
    ]);
    for format in FORMATS {
        let first = large.encode(format).expect("encodes");
        assert_eq!(first, large.encode(format).expect("encodes"), "{format:?}");
        assert_eq!(Table::decode(&first, format).expect("decodes"), large, "{format:?}");
    }
}

#[test]
fn files_are_written_whole_and_chosen_by_extension() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["rows.csv", "rows.parquet"] {
        let path = folder.path().join(name);
        sample().write(&path).expect("writes");
        assert_eq!(Table::read(&path).expect("reads"), sample(), "{name}");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(&folder).expect("lists").map(|entry| entry.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["rows.csv", "rows.parquet"]);
}

#[test]
fn errors_say_what_is_wrong() {
    let check = |error: TableError, expected: &str| assert_eq!(error.to_string(), expected);
    let mut table = sample();
    check(table.push("seed", Column::count([1, 2, 3])).unwrap_err(), "column `seed` is there twice");
    check(table.push("x", Column::count([1])).unwrap_err(), "column `x` has 1 rows, the table has 3");
    check(
        table.push("x", Column::real([0.0, f64::NAN, 0.0])).unwrap_err(),
        "column `x`, row 1: NaN is not a finite number",
    );
    check(table.column("ttft").unwrap_err(), "no column `ttft`; the columns are scheduler, seed, rate, p99, nothing");
    check(table.write("rows.txt".as_ref()).unwrap_err(), "`rows.txt`: the file name must end in .csv or .parquet");
    assert!(Table::decode(b"no parquet", Format::Parquet).is_err());
    assert!(Table::decode(b"a,b\n1\n", Format::Csv).is_err());
}

#[test]
fn groups_are_sorted_and_skip_missing_cells() {
    let cells = table(vec![
        ("scheduler", Column::text(["b", "a", "b", "a", "b"])),
        ("seed", Column::count([2, 1, 1, 1, 2])),
        ("ttft_s", Column::Real(vec![Some(3.0), Some(1.0), None, Some(2.0), Some(9.0)])),
    ]);
    let stats = [Stat::Count, Stat::Mean, Stat::PerMille(500), Stat::PerMille(999)];
    let summary = summarise(&cells, &["scheduler", "seed"], &["ttft_s"], &stats).expect("summarises");
    let expected = table(vec![
        ("scheduler", Column::text(["a", "b", "b"])),
        ("seed", Column::count([1, 1, 2])),
        ("ttft_s_n", Column::count([2, 0, 2])),
        ("ttft_s_mean", Column::Real(vec![Some(1.5), None, Some(6.0)])),
        ("ttft_s_p50", Column::Real(vec![Some(1.0), None, Some(3.0)])),
        ("ttft_s_p99.9", Column::Real(vec![Some(2.0), None, Some(9.0)])),
    ]);
    assert_eq!(summary, expected);
}

#[test]
fn request_rows_become_seconds_and_missing_cells() {
    let time = |ms| SimTime::from_ms(ms).expect("in range");
    let served = RequestRow {
        arrival: time(1000),
        admitted: Some(time(1500)),
        first_token: Some(time(1750)),
        finish: Some(time(3000)),
        instance: Some(3),
        hit_tokens: 96,
        loaded_tokens: 64,
        outcome: "completed",
        ..RequestRow::default()
    };
    let rejected = RequestRow {
        request: 1,
        arrival: time(2000),
        finish: Some(time(2000)),
        outcome: "rejected",
        ..RequestRow::default()
    };
    let table = requests_table(&[served, rejected]);
    let check = |name: &str, served: Option<f64>, rejected: Option<f64>| {
        let column = table.get(name).expect("a column");
        assert_eq!((column.number(0), column.number(1)), (served, rejected), "{name}");
    };
    check("arrival_s", Some(1.0), Some(2.0));
    check("queue_s", Some(0.5), None);
    check("ttft_s", Some(0.75), None);
    check("e2e_s", Some(2.0), None);
    check("finish_s", Some(3.0), Some(2.0));
    check("instance", Some(3.0), None);
    check("hit_tokens", Some(96.0), Some(0.0));
    check("loaded_tokens", Some(64.0), Some(0.0));
}

proptest! {
    #[test]
    fn any_table_survives_both_formats(
        rows in proptest::collection::vec(
            (proptest::option::of("[ -~äβ\n]{1,6}"), proptest::option::of(any::<u64>()), proptest::option::of(proptest::num::f64::NORMAL)),
            0..20,
        ),
    ) {
        let mut written = Table::new();
        // A letter in front, or text that looks like numbers would read back from CSV as numbers.
        written.push("text", Column::Text(rows.iter().map(|row| row.0.as_ref().map(|text| format!("t{text}"))).collect())).unwrap();
        written.push("count", Column::Count(rows.iter().map(|row| row.1).collect())).unwrap();
        written.push("real", Column::Real(rows.iter().map(|row| row.2).collect())).unwrap();
        for format in FORMATS {
            let read = Table::decode(&written.encode(format).unwrap(), format).unwrap();
            prop_assert_eq!(read.rows(), rows.len());
            for (name, column) in written.columns() {
                for row in 0..rows.len() {
                    prop_assert_eq!(read.get(name).unwrap().show(row), column.show(row), "{} {:?}", name, format);
                }
            }
        }
    }

    #[test]
    fn nearest_rank_covers_its_share(mut values in proptest::collection::vec(-1e6..1e6_f64, 1..50), q in 0..=1000_u32) {
        values.sort_by(f64::total_cmp);
        let quantile = nearest_rank(&values, q).unwrap();
        let share = |below: &dyn Fn(f64) -> bool| values.iter().filter(|&&x| below(x)).count() as u64 * 1000;
        let needed = values.len() as u64 * u64::from(q);
        prop_assert!(share(&|x| x <= quantile) >= needed);
        prop_assert!(share(&|x| x < quantile) < needed || quantile <= values[0]);
    }
}

#[test]
fn damaged_parquet_is_refused_or_read() {
    let mut table = Table::new();
    table.push("name", Column::text(["a", "b", "c"])).expect("a column");
    table.push("n", Column::count([1, 2, 3])).expect("a column");
    let bytes = table.encode(Format::Parquet).expect("memory");
    let (mut refused, mut read) = (0, 0);
    for at in 0..bytes.len() {
        for value in [0, 0x15, 0x7f, 0xff, bytes[at] ^ 1] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            match Table::decode(&damaged, Format::Parquet) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    for at in 0..bytes.len() {
        assert!(Table::decode(&bytes[..at], Format::Parquet).is_err(), "cut after {at} bytes");
    }
    assert!(refused > 100 && read > 100, "{refused} {read}");
}

/// Structs of Thrift's compact protocol, for which the decoder would make room.
#[test]
fn parquet_that_announces_more_than_it_holds_is_refused() {
    let with_footer = |footer: &[u8]| {
        let length = u32::try_from(footer.len()).expect("short").to_le_bytes();
        [b"PAR1", footer, &length, b"PAR1"].concat()
    };
    let mut table = Table::new();
    table.push("x", Column::real([0.5, 1.5, 2.5, 3.5])).expect("a column");
    let sound = table.encode(Format::Parquet).expect("memory");
    // The header of a data page goes on with a struct that begins with 4 values: 2 x 4, then PLAIN.
    let at = sound.windows(4).position(|bytes| bytes == [0x2c, 0x15, 8, 0x15]).expect("a data page") + 2;
    let with_values = |values: &[u8]| [&sound[..at], values, &sound[at + 1..]].concat();
    assert!(Table::decode(&with_values(&[8]), Format::Parquet).is_ok());
    for (what, file) in [
        ("a schema of 2^31 - 1", with_footer(&[0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0x48, 1, b's', 0, 0])),
        ("a schema that calls itself a float", with_footer(&[0x15, 2, 0x17, 0xfc, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0])),
        ("a schema of empty structs", with_footer(&[&[0x15, 2, 0x19, 0xfc, 100][..], &[0; 200]].concat())),
        ("-1 values", with_values(&[1])),
        ("2^31 - 1 values", with_values(&[0xfe, 0xff, 0xff, 0xff, 0xf])),
        ("4 values, and then -1", with_values(&[8, 6, 2, 1])),
        ("4 values, and then -1 as a field of number 2^16 + 1", with_values(&[8, 6, 0x82, 0x80, 8, 1])),
    ] {
        let error = Table::decode(&file, Format::Parquet).expect_err(what).to_string();
        assert!(error.contains("damaged"), "{what}: {error}");
    }
}
