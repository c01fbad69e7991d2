//! The Mooncake reader on good input.

use trimtab_core::{PS_PER_MS, SimTime};
use trimtab_workload::{ReadOptions, Trace};

use crate::support::{read_bytes, real_trace};

fn read(text: &str, options: &ReadOptions) -> Trace {
    read_bytes(text.as_bytes(), options).unwrap_or_else(|e| panic!("{text}: {e}"))
}

const TWO: &str = r#"{"timestamp": 0, "input_length": 1300, "output_length": 5, "hash_ids": [0, 1, 2]}
{"timestamp": 3000, "input_length": 1100, "output_length": 7, "hash_ids": [0, 1, 3]}
"#;

#[test]
fn prompts_share_what_their_ids_share() {
    let trace = read(TWO, &ReadOptions::default());
    let [a, b] = trace.requests[..] else { panic!("two requests") };
    assert_eq!(trace.forest.shared_tokens(a.prompt, b.prompt), 1024);
    assert_eq!((a.prompt.tokens, b.prompt.tokens, a.output_tokens, b.output_tokens), (1300, 1100, 5, 7));
    assert_eq!((a.arrival, b.arrival), (SimTime::ZERO, SimTime(3000 * PS_PER_MS)));
    assert_eq!(trace.forest.len(), 3, "blocks 0 and 1, and two tails");
}

#[test]
fn line_ends_and_spaces_do_not_matter() {
    let crlf = format!("\u{feff}\n{}\n \t\n", TWO.replace('\n', "\r\n"));
    let tight = TWO.replace(' ', "");
    let unfinished = TWO.trim_end();
    let plain = read(TWO, &ReadOptions::default());
    for text in [&crlf, &tight, unfinished] {
        assert_eq!(read(text, &ReadOptions::default()).requests, plain.requests, "{text:?}");
    }
}

#[test]
fn truncation_keeps_the_head() {
    for (limit, shared) in [(1024, 1024), (700, 700), (1250, 1024)] {
        let trace = read(TWO, &ReadOptions { max_input_tokens: Some(limit), ..ReadOptions::default() });
        let [a, b] = trace.requests[..] else { panic!("two requests") };
        assert_eq!(a.prompt.tokens, limit);
        assert_eq!(trace.forest.shared_tokens(a.prompt, b.prompt), shared);
    }
}

#[test]
fn sessions_delays_and_missing_fields_of_aiperf() {
    let trace = read(
        r#"{"session_id": "s", "timestamp": 1.5, "input_length": 10, "output_length": 1}
{"session_id": "s", "delay": 250, "input_length": 1e1, "output_length": 2.0, "extra": {"a": [1, null]}}
{"session_id": 7, "timestamp": 2e3, "input_length": 10, "output_length": 1, "hash_ids": []}
"#,
        &ReadOptions::default(),
    );
    let turns: Vec<_> = trace.requests.iter().map(|r| (r.session.unwrap().0, r.turn, r.arrival.0)).collect();
    assert_eq!(turns, [(0, 0, 1_500_000_000), (0, 1, 251_500_000_000), (1, 0, 2_000_000_000_000)]);
    assert_eq!(trace.delays, [None, Some(SimTime(250 * PS_PER_MS)), None]);
    assert!(trace.notes.iter().any(|n| n.to_string().contains("`extra`")), "{:?}", trace.notes);
}

#[test]
fn a_header_object_sets_the_block_size() {
    let trace = read(
        "{\"schema\": \"dynamo.agentic_mooncake\", \"version\": 2, \"block_size\": 16}\n\
         {\"timestamp\": 0, \"input_length\": 40, \"output_length\": 1, \"hash_ids\": [1, 2, 3]}\n",
        &ReadOptions { format: Some("mooncake".into()), ..ReadOptions::default() },
    );
    assert_eq!((trace.block_tokens, trace.requests.len()), (16, 1));
}

#[test]
fn epochs_are_rebased_and_windows_cut() {
    let rows: Vec<String> = [1_700_000_000_000u64, 1_700_000_003_000, 1_700_000_002_000, 1_700_000_009_000]
        .iter()
        .map(|t| format!("{{\"timestamp\": {t}, \"input_length\": 5, \"output_length\": 1}}\n"))
        .collect();
    let rows = rows.concat();
    let second = |s: u64| SimTime(s * 1000 * PS_PER_MS);
    for (window, expected) in [
        ((SimTime::ZERO, None), vec![0, 2, 3, 9]),
        ((second(1), None), vec![1, 2, 8]),
        ((second(1), Some(second(2))), vec![1]),
        ((SimTime::ZERO, Some(second(3))), vec![0, 2]),
    ] {
        let trace = read(&rows, &ReadOptions { window, ..ReadOptions::default() });
        let arrivals: Vec<u64> = trace.requests.iter().map(|r| r.arrival.0 / (1000 * PS_PER_MS)).collect();
        assert_eq!(arrivals, expected, "{window:?}");
    }
}

#[test]
fn the_real_conversation_trace() {
    let Some(path) = real_trace("mooncake_conversation.jsonl") else { return };
    let trace = trimtab_workload::read_file(path, &ReadOptions::default()).expect("the public trace is clean");
    assert_eq!(trace.requests.len(), 12_031);
    assert_eq!(trace.span(), SimTime(3_536_999 * PS_PER_MS));
    let tokens: u64 = trace.requests.iter().map(|r| u64::from(r.prompt.tokens)).sum();
    assert_eq!(tokens, 144_793_823);
    let nodes: u32 = (0..trace.forest.len())
        .map(|i| trimtab_core::PrefixId(u32::try_from(i).expect("few nodes")))
        .map(|id| (trace.forest.end(id) - trace.forest.start(id)).div_ceil(512))
        .sum();
    assert_eq!(nodes, 182_790, "every distinct block is in exactly one node");
}

#[test]
fn other_block_sizes_are_exact_or_say_so() {
    let trace = read(TWO, &ReadOptions::default());
    for (engine, inexact) in [(512, false), (1024, false), (16, true), (48, true), (0, false)] {
        assert_eq!(trace.block_note(engine).is_some(), inexact, "{engine}");
    }
    // Prompts of 16-token blocks on engine blocks of 64: the 32 tokens they share fill none.
    let text = r#"{"timestamp": 0, "input_length": 64, "output_length": 1, "hash_ids": [0, 1, 2, 3]}
{"timestamp": 1, "input_length": 64, "output_length": 1, "hash_ids": [0, 1, 4, 5]}
"#;
    let fine = read(text, &ReadOptions { block_tokens: Some(16), ..ReadOptions::default() });
    for (block, hit) in [(16, 0.5 / 2.0), (32, 0.5 / 2.0), (64, 0.0)] {
        let options = trimtab_workload::StatsOptions { block_tokens: Some(block), ..Default::default() };
        let stats = trimtab_workload::Stats::of_trace(&fine, &options);
        assert!((stats.hit_ratio.tokens - hit).abs() < 1e-12, "{block}: {}", stats.hit_ratio.tokens);
    }
}

#[test]
fn unknown_formats_suggest_a_name() {
    for (name, words) in [("mooncacke", "did you mean `mooncake`?"), ("x", "known formats: ")] {
        let options = ReadOptions { format: Some(name.into()), ..ReadOptions::default() };
        let error = read_bytes(TWO.as_bytes(), &options).expect_err(name).to_string();
        assert!(error.contains(words), "{error}");
    }
}
