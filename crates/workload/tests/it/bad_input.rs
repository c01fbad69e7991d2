//! The catalogue of bad inputs: each is refused with its place, or read with a note.

use trimtab_workload::{Kind, ReadError, ReadOptions};

use crate::support::read_bytes;

/// A good Mooncake row.
const GOOD: &str = r#"{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}"#;

/// What strict reading says of a second row after [`GOOD`]: the kind, the field, the value quoted, and the column.
fn check(row: &str, kind: Kind, field: Option<&str>, value: &str, at: usize) {
    let text = format!("{GOOD}\n{row}\n");
    match read_bytes(text.as_bytes(), &ReadOptions::default()) {
        Err(ReadError::Bad(bad)) => {
            assert_eq!((bad.issue.kind, bad.issue.field.as_deref()), (kind, field), "{row}: {bad}");
            assert_eq!((bad.issue.value.as_str(), bad.line), (value, 2), "{row}: {bad}");
            assert_eq!(bad.byte, (GOOD.len() + 1 + at) as u64, "{row}: {bad}");
            assert!(!bad.issue.expected.is_empty());
        }
        other => panic!("{row}: {other:?}"),
    }
}

#[test]
fn rows() {
    let input = |value: &str| format!(r#"{{"timestamp": 0, "input_length": {value}, "output_length": 5}}"#);
    let time = |value: &str| format!(r#"{{"timestamp": {value}, "input_length": 9, "output_length": 5}}"#);
    let ids =
        |value: &str| format!(r#"{{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": {value}}}"#);
    for (value, kind) in [
        ("-5", Kind::OutOfRange),
        ("0", Kind::ZeroInput),
        ("null", Kind::Missing),
        ("true", Kind::WrongType),
        ("\"512\"", Kind::WrongType),
        ("512.5", Kind::WrongType),
        ("NaN", Kind::WrongType),
        ("Infinity", Kind::WrongType),
        ("-Infinity", Kind::WrongType),
        ("1e308", Kind::OutOfRange),
        ("134217729", Kind::OutOfRange),
        ("4294967296", Kind::OutOfRange),
        ("123456789012345678901234567890", Kind::OutOfRange),
        ("012", Kind::Syntax),
        ("[1]", Kind::WrongType),
    ] {
        let quoted = if value == "[1]" { "[" } else { value };
        check(&input(value), kind, Some("input_length"), quoted, 33);
    }
    for (value, kind) in [
        ("-1", Kind::OutOfRange),
        ("1e40", Kind::OutOfRange),
        ("nan", Kind::WrongType),
        ("\"0\"", Kind::WrongType),
        ("1.2.3", Kind::Syntax),
    ] {
        check(&time(value), kind, Some("timestamp"), value, 14);
    }
    check(&time("17280000001000"), Kind::OutOfRange, Some("timestamp"), "more than 200 days", 14);
    check(&ids("[0, 1, 2]"), Kind::BadBlocks, Some("hash_ids"), "3 ids", 70);
    check(&ids("[4, 4]"), Kind::BadBlocks, Some("hash_ids"), "4", 70);
    check(&ids("7"), Kind::WrongType, Some("hash_ids"), "7", 70);
    check(&ids("null"), Kind::Missing, Some("hash_ids"), "null", 70);
    check(&ids("[0, 1.5]"), Kind::WrongType, Some("hash_ids"), "1.5", 74);
    check(r#"{"timestamp": 0, "output_length": 5}"#, Kind::Missing, Some("input_length"), "", 0);
    check(r#"{"timestamp": 0, "input_length": 5}"#, Kind::Missing, Some("output_length"), "", 0);
    check(r#"{"input_length": 5, "output_length": 5}"#, Kind::Missing, Some("timestamp"), "", 0);
    check(r#"{"input_length": 5, "input_length": 6}"#, Kind::Syntax, Some("input_length"), "6", 36);
    check(r#"{"messages": [{"role": "user"}]}"#, Kind::WrongType, Some("messages"), "[", 13);
    // Cut, spread over lines, or two in one line.
    check(r#"{"timestamp": 0, "input_len"#, Kind::Syntax, None, "", 27);
    check("{", Kind::Syntax, None, "", 1);
    check(&format!("{GOOD} {GOOD}"), Kind::Syntax, None, "{", GOOD.len() + 1);
    check("nonsense", Kind::Syntax, None, "nonsense", 0);
    // Bytes that are no text.
    check("{\"timestamp\": \0}", Kind::Encoding, Some("timestamp"), "\\u{0}}", 14);
    check(&format!("{GOOD}\r{GOOD}"), Kind::Syntax, None, &format!("\\r{}…", &GOOD[..39]), GOOD.len());
}

#[test]
fn invalid_utf8_is_refused_even_when_lenient() {
    let mut text = format!("{GOOD}\n").into_bytes();
    text.extend(b"{\"x\": \"\xff\"}\n");
    for lenient in [false, true] {
        match read_bytes(&text, &ReadOptions { lenient, ..ReadOptions::default() }) {
            Err(ReadError::Bad(bad)) => {
                assert_eq!((bad.issue.kind, bad.byte), (Kind::Encoding, GOOD.len() as u64 + 1 + 7), "{bad}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_that_are_no_traces() {
    for (text, word) in [
        (&b"<!DOCTYPE html><html>"[..], "raw URL"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "LFS"),
        (b"{\"error\": \"not found\"}", "server"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"PK\x03\x04", "zip"),
        (b"[{\"timestamp\": 0}]", "JSON array"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"hello world", "--format"),
    ] {
        let error = read_bytes(text, &ReadOptions::default()).expect_err("not a trace").to_string();
        assert!(error.contains(word) && error.contains("hint: ") && error.contains("byte 0"), "{error}");
    }
    for text in [&b""[..], b"\n \n"] {
        let error = read_bytes(text, &ReadOptions { format: Some("mooncake".into()), ..ReadOptions::default() });
        assert!(matches!(error, Err(ReadError::Empty { .. })), "{error:?}");
    }
}

#[test]
fn lenient_counts_and_refuses_above_a_share() {
    let rows = |good: usize, bad: usize| {
        let bad_row = GOOD.replace("600", "-600");
        format!("{}{}", format!("{GOOD}\n").repeat(good), format!("{bad_row}\n").repeat(bad))
    };
    let options = ReadOptions { lenient: true, ..ReadOptions::default() };
    let trace = read_bytes(rows(198, 2).as_bytes(), &options).expect("1 % is accepted");
    assert_eq!((trace.requests.len(), trace.rows), (198, 200));
    let note = trace.notes.iter().map(ToString::to_string).find(|n| n.starts_with("dropped")).expect("a tally");
    assert!(note.contains("2 times, first in line 199") && note.contains("`-600`"), "{note}");
    let error = read_bytes(rows(198, 3).as_bytes(), &options).expect_err("more than 1 %").to_string();
    assert!(error.contains("3 of 201 rows") && error.contains("hint: "), "{error}");
    let quoted = GOOD.replace("600", "\"600\"");
    let trace = read_bytes(quoted.as_bytes(), &options).expect("a number in quotes");
    assert_eq!(trace.requests[0].prompt.tokens, 600);
}

/// What reading a BurstGPT file with this header and row says.
fn burst(header: &str, row: &str, options: &ReadOptions) -> Result<Vec<String>, String> {
    let options = ReadOptions { format: Some("burstgpt".into()), ..options.clone() };
    let trace = read_bytes(format!("{header}\n{row}\n").as_bytes(), &options).map_err(|error| error.to_string())?;
    Ok(trace.notes.iter().map(ToString::to_string).collect())
}

#[test]
fn tables() {
    let header = "Timestamp,Model,Request tokens,Response tokens";
    let strict = ReadOptions::default();
    let lenient = ReadOptions { lenient: true, ..ReadOptions::default() };
    for (row, words) in [
        ("5,m,nan,1", "line 2 (byte 51): field `request tokens` is `nan`, expected a whole number"),
        ("5,m,inf,1", "is `inf`"),
        ("5,m,,1", "field `request tokens` is absent"),
        ("5,m,-1,1", "is `-1`"),
        ("5,m,1.5,1", "is `1.5`"),
        ("5,m,0,1", "at least one token"),
        ("5,m,99999999999,1", "at most 134217728 tokens"),
        ("nan,m,1,1", "field `timestamp` is `nan`"),
        ("-1,m,1,1", "not negative"),
        (",m,1,1", "field `timestamp` is absent"),
        ("5,m,1", "found `3 columns`, expected 4 columns"),
        ("5,m,1,1,1", "found `5 columns`"),
        ("5,\"m,1,1", "closing"),
        ("5,m,\"1,024\",1", "is `1,024`"),
        ("5,m\r,1,1", "carriage return"),
        ("", "no requests"),
    ] {
        let error = burst(header, row, &strict).expect_err(row);
        assert!(error.contains(words), "{row}: {error}");
    }
    let error = burst("5,m,1,1", "6,m,1,1", &strict).expect_err("no header");
    assert!(error.contains("header with the column `request tokens`") && error.contains("hint: "), "{error}");
    for (header, row, options, note) in [
        (" timestamp , MODEL,request tokens ,Response Tokens", "5,\"a,b\",1,1.0", &strict, ""),
        ("Timestamp;Model;Request tokens;Response tokens", "5;m;1;1", &strict, ""),
        (header, &format!("5,m,1,1\n{header}\n6,m,1,1"), &strict, "header again"),
        (header, "5,m,\"1,024\",1", &lenient, "thousands"),
    ] {
        let notes = burst(header, row, options).expect(row);
        assert!(notes.iter().any(|n| n.contains(note)) || note.is_empty(), "{row}: {notes:?}");
    }
}

#[test]
fn suspicious_files_are_read_with_a_warning() {
    let mooncake = |rows: &[(u64, &str)]| {
        let row = |(time, ids): &(u64, &str)| {
            format!("{{\"timestamp\": {time}, \"input_length\": 1100, \"output_length\": 5{ids}}}\n")
        };
        rows.iter().map(row).collect::<Vec<_>>().concat()
    };
    let dense: Vec<(u64, &str)> = (0..200).map(|t| (t, "")).collect();
    for (rows, options, words) in [
        (vec![(0, ""), (5, "")], ReadOptions::default(), "prefix caching finds nothing"),
        (vec![(0, ", \"hash_ids\": [1, 2]")], ReadOptions::default(), "last partial block"),
        (vec![(0, ", \"hash_ids\": [1]")], ReadOptions::default(), "fewer block ids"),
        (vec![(5, ""), (0, "")], ReadOptions::default(), "rows were sorted"),
        (vec![(0, ""), (0, ""), (0, "")], ReadOptions::default(), "1 distinct times for 3 requests"),
        (dense, ReadOptions::default(), "unit of time"),
        (
            vec![(0, ", \"hash_ids\": [1, 2, 3]"), (0, ", \"hash_ids\": [4, 2, 5]")],
            ReadOptions::default(),
            "follow different blocks",
        ),
        (vec![(0, "")], ReadOptions { max_input_tokens: Some(10), ..ReadOptions::default() }, "--max-input-tokens"),
        (vec![(0, ", \"extra\": 1"), (1, ", \"extra\": 2")], ReadOptions::default(), "(2 times, first in line 1)"),
    ] {
        let trace = read_bytes(mooncake(&rows).as_bytes(), &options).unwrap_or_else(|e| panic!("{rows:?}: {e}"));
        let notes: Vec<String> = trace.notes.iter().map(ToString::to_string).collect();
        assert!(notes.iter().any(|n| n.contains(words)), "{words}: {notes:?}");
    }
    let strict_order = ReadOptions { strict_order: true, ..ReadOptions::default() };
    let error = read_bytes(mooncake(&[(5, ""), (0, "")]).as_bytes(), &strict_order).expect_err("out of order");
    assert!(error.to_string().contains("line 2") && error.to_string().contains("--strict-order"), "{error}");
}

#[test]
fn ids_of_any_kind_name_blocks() {
    let row = |ids: &str| {
        format!("{{\"timestamp\": 0, \"input_length\": 1000, \"output_length\": 1, \"hash_ids\": [{ids}]}}\n")
    };
    for (a, b, shared) in [
        ("-7, 1", "-7, 2", 512),
        ("\"0xab\", 1", "\"0xab\", 2", 512),
        ("\"0xab\", 1", "\"0xac\", 2", 0),
        ("18446744073709551615, 1", "18446744073709551615, 2", 512),
        // Neighbours that a float cannot tell apart.
        ("9007199254740993, 1", "9007199254740992, 2", 0),
        ("98765432109876543210987654321, 1", "98765432109876543210987654321, 2", 512),
    ] {
        let trace = read_bytes((row(a) + &row(b)).as_bytes(), &ReadOptions::default()).expect(a);
        let [first, second] = trace.requests[..] else { panic!("two requests") };
        assert_eq!(trace.forest.shared_tokens(first.prompt, second.prompt), shared, "{a} | {b}");
    }
}

#[test]
fn one_line_cannot_exhaust_the_memory() {
    let mut text = format!("{GOOD}\n").into_bytes();
    text.resize(65 << 20, b' ');
    let error = read_bytes(&text, &ReadOptions { lenient: true, ..ReadOptions::default() }).expect_err("65 MiB");
    assert!(matches!(&error, ReadError::Bad(bad) if bad.issue.kind == Kind::TooLong && bad.line == 2), "{error}");
}

#[test]
fn the_limit_stops_reading() {
    let text = format!("{GOOD}\n{GOOD}\nnonsense\n");
    let limited = |limit| read_bytes(text.as_bytes(), &ReadOptions { limit: Some(limit), ..ReadOptions::default() });
    assert_eq!(limited(2).expect("the fault comes later").requests.len(), 2);
    assert!(limited(3).is_err());
}

#[test]
fn sessions_that_contradict_themselves() {
    for (format, text, words) in [
        (
            "llmservingsim",
            "{\"session_id\": \"a\", \"arrival_time_ns\": 5, \"sub_requests\": []}",
            "field `sub_requests` is `[]`, expected at least one request",
        ),
        ("weka", "{\"id\": \"a\", \"block_size\": 64}", "field `requests` is absent"),
        (
            "weka",
            "{\"block_size\": 64, \"requests\": [{\"t\": 0, \"in\": 5, \"out\": 1}]}\n{\"block_size\": 32, \"requests\": []}",
            "the same block size in all sessions",
        ),
        (
            "mooncake",
            "{\"input_length\": 5, \"output_length\": 1}\n{\"timestamp\": 3, \"input_length\": 5, \"output_length\": 1}",
            "no time, as in the first row",
        ),
    ] {
        let options = ReadOptions { format: Some(format.into()), ..ReadOptions::default() };
        let error = read_bytes(text.as_bytes(), &options).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}
