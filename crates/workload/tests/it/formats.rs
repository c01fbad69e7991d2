//! Every format on a small good file: what it is taken for, and what it says.

use std::io::Write;

use trimtab_workload::{ReadError, ReadOptions, Trace};

use crate::support::{read_bytes, real_trace};

/// One request as text: arrival in µs, input, output, session:turn.
fn rows(trace: &Trace) -> Vec<String> {
    let row = |r: &trimtab_core::Request| {
        let session = r.session.map_or(String::new(), |s| format!(" {}:{}", s.0, r.turn));
        format!("{} {} {}{session}", r.arrival.0 / 1_000_000, r.prompt.tokens, r.output_tokens)
    };
    trace.requests.iter().map(row).collect()
}

fn check(format: &str, block: u32, text: &str, expected: &[&str]) -> Trace {
    let trace = read_bytes(text.as_bytes(), &ReadOptions::default()).unwrap_or_else(|e| panic!("{format}: {e}"));
    assert_eq!((trace.format, trace.block_tokens), (format, block));
    assert_eq!(rows(&trace), expected, "{format}");
    trace
}

fn shared(trace: &Trace, a: usize, b: usize) -> u32 {
    trace.forest.shared_tokens(trace.requests[a].prompt, trace.requests[b].prompt)
}

#[test]
fn azure() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n\
                2023-11-16 18:15:50.9951690,396,109\r\n2023-11-16 18:15:50.0000000,1,1";
    let trace = check("azure", 1, text, &["0 374 44", "3319410 1 1", "4314579 396 109"]);
    assert!(trace.notes.iter().any(|n| n.to_string().contains("earlier")), "{:?}", trace.notes);
    check(
        "azure",
        1,
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00+00:00,2,5,6\n",
        &["0 5 6"],
    );
}

#[test]
fn burstgpt() {
    let six = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
               5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,Conversation log\n";
    let trace = check("burstgpt", 1, six, &["5000000 472 18"]);
    assert!(trace.notes.iter().any(|n| n.to_string().contains("without output")), "{:?}", trace.notes);
    let eight = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                 5,7,1.5,ChatGPT,472,18,490,Conversation log\n6,,2,GPT-4,3,4,7,API log\n9,7,1.5,ChatGPT,1,2,3,x\n";
    let trace = check("burstgpt", 1, eight, &["5000000 472 18 0:0", "6000000 3 4", "9000000 1 2 0:1"]);
    assert_eq!(trace.models, ["ChatGPT", "GPT-4"]);
    let kept = ReadOptions { zero_output: trimtab_workload::ZeroOutput::One, ..ReadOptions::default() };
    assert_eq!(rows(&read_bytes(six.as_bytes(), &kept).expect("good"))[1], "45000000 1087 1");
}

#[test]
fn vidur() {
    let text = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n";
    check("vidur", 1, text, &["0 374 44", "4314579 396 109"]);
    let untimed = "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n10,2,12,5.0\n";
    assert!(!check("vidur", 1, untimed, &["0 10 2"]).timed);
}

#[test]
fn blis() {
    let text = "request_id,tenant_id,session_id,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us\n\
                0,t1,,g,64,100,5,10\n1,t2,s,g,32,90,5,20\n2,t1,s,,0,100,5,30\n";
    let trace = check("blis", 16, text, &["10 100 5", "20 90 5 0:0", "30 100 5 0:1"]);
    assert_eq!((shared(&trace, 0, 1), shared(&trace, 0, 2)), (32, 0));
    assert_eq!(trace.tenants, ["t1", "t2"]);
}

#[test]
fn bailian() {
    let row = |chat: u32, parent: i32, time: &str, turn: u32, ids: &str| {
        format!(
            "{{\"chat_id\": {chat}, \"parent_chat_id\": {parent}, \"timestamp\": {time}, \"input_length\": 40, \
             \"output_length\": 3, \"type\": \"text\", \"turn\": {turn}, \"hash_ids\": [{ids}]}}\n"
        )
    };
    let text = [
        row(159, -1, "61.114", 1, "1, 2, 3"),
        row(160, 159, "62.5", 2, "1, 2, 4"),
        row(161, 12, "63", 3, "1"),
        row(162, 160, "64", 3, "-5"),
    ];
    let text = text.concat();
    let expected = ["61114000 40 3 0:0", "62500000 40 3 0:1", "63000000 40 3 1:2", "64000000 40 3 0:2"];
    let trace = check("bailian", 16, &text, &expected);
    assert_eq!((shared(&trace, 0, 1), shared(&trace, 0, 2), shared(&trace, 0, 3)), (32, 16, 0));
    for (bad, word) in [(row(159, -1, "70", 1, ""), "each chat once"), (row(9, 9, "70", 1, ""), "own parent")] {
        let error = read_bytes(format!("{text}{bad}").as_bytes(), &ReadOptions::default()).expect_err("a bad session");
        assert!(matches!(&error, ReadError::Bad(bad) if bad.line == 5) && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn llmservingsim() {
    let ids = |range: std::ops::Range<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{{\"input_toks\": 40, \"output_toks\": 3, \"arrival_time_ns\": 1000, \"input_tok_ids\": [{}], \
         \"output_tok_ids\": [900, 901, 902]}}\n\
         {{\"session_id\": \"a\", \"arrival_time_ns\": 5000, \"sub_requests\": [{{\"input_toks\": 50, \"output_toks\": 2, \
         \"tool_duration_ns\": 7000, \"input_tok_ids\": [{}, 900, 901, 902, {}]}}, {{\"input_toks\": 9, \"output_toks\": 1}}]}}\n",
        ids(0..40),
        ids(0..40),
        ids(50..57),
    );
    let trace = check("llmservingsim", 16, &text, &["1 40 3", "5 50 2 0:0", "12 9 1 0:1"]);
    assert_eq!(shared(&trace, 0, 1), 32, "full blocks of token ids");
    let wrong = text.replacen("\"input_toks\": 40", "\"input_toks\": 41", 1);
    let error = read_bytes(wrong.as_bytes(), &ReadOptions::default()).expect_err("41 tokens, 40 ids").to_string();
    assert!(error.contains("`40 ids`, expected 41 ids"), "{error}");
}

#[test]
fn weka() {
    let session = |scope: &str| {
        format!(
            "{{\"id\": \"{scope}\", \"models\": [\"m\"], \"block_size\": 64, \"hash_id_scope\": \"{scope}\", \"requests\": [\
             {{\"t\": 0.5, \"type\": \"n\", \"model\": \"m\", \"in\": 100, \"out\": 9, \"hash_ids\": [1, 2]}}, \
             {{\"type\": \"subagent\", \"agent_id\": \"x\", \"requests\": [{{\"t\": 1, \"in\": 70, \"out\": 1, \
             \"hash_ids\": [1, 3]}}]}}]}}\n"
        )
    };
    let expected = ["500000 100 9 0:0", "500000 100 9 2:0", "1000000 70 1 1:0", "1000000 70 1 3:0"];
    let local = check(
        "weka",
        64,
        &(session("local") + &session("local").replace("\"id\": \"local\"", "\"id\": \"b\"")),
        &expected,
    );
    assert_eq!((shared(&local, 0, 1), shared(&local, 0, 2)), (0, 64), "local ids mean nothing in another session");
    let text = session("global") + &session("global").replace("\"id\": \"global\"", "\"id\": \"b\"");
    let global = check("weka", 64, &text, &expected);
    assert_eq!((shared(&global, 0, 1), shared(&global, 0, 2)), (100, 64));
    let pretty = text.replace(", \"", ",\r\n  \"").replace("{\"id", "{\n\"id");
    assert_eq!(rows(&check("weka", 64, &pretty, &expected)), rows(&global));
}

#[test]
fn compressed_files_are_read_as_what_they_hold() {
    let text = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n".repeat(3000);
    let plain = read_bytes(text.as_bytes(), &ReadOptions::default()).expect("good");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd =
        |text: &str| ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let (head, tail) = text.split_at(text.len() / 2);
    // Two frames with a skippable one between.
    let frames = [zstd(head), vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], zstd(tail)].concat();
    for bytes in [&gzip, &zstd(&text), &frames] {
        let trace = read_bytes(bytes, &ReadOptions::default()).expect("the same file");
        assert_eq!(trace.requests, plain.requests);
        let cut = read_bytes(&bytes[..bytes.len() - 20], &ReadOptions::default());
        assert!(matches!(cut, Err(ReadError::Io { .. } | ReadError::Bad(_))), "a cut download is not silent: {cut:?}");
    }
}

#[test]
fn the_real_azure_trace() {
    let Some(path) = real_trace("azure_conv_2023.csv") else { return };
    let trace = trimtab_workload::read_file(path, &ReadOptions::default()).expect("the public trace is clean");
    assert_eq!(trace.requests.len(), 19_366);
    assert_eq!((trace.span().as_secs_f64()).round().to_string(), "3502");
}
