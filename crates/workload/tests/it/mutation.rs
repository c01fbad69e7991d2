//! Seeded mutations of good files: any outcome is fine but a panic, a hang or a row out of nothing.

use rand::RngExt;
use trimtab_core::{RngStreams, StreamRng};
use trimtab_workload::{ReadOptions, ZeroOutput, formats, write_canonical};

use crate::support::read_bytes;

/// One good file of each format.
const SEEDS: &[(&str, &str)] = &[
    (
        "mooncake",
        "{\"timestamp\": 0, \"input_length\": 1300, \"output_length\": 5, \"hash_ids\": [0, 1, 2], \"session_id\": \"a\"}\n\
         {\"timestamp\": 30.5, \"input_length\": 1100, \"output_length\": 7, \"hash_ids\": [0, 1, 3]}\n",
    ),
    (
        "bailian",
        "{\"chat_id\": 1, \"parent_chat_id\": -1, \"timestamp\": 6.1, \"input_length\": 20, \"output_length\": 1, \"turn\": 1, \
         \"hash_ids\": [1, 2]}\n{\"chat_id\": 2, \"parent_chat_id\": 1, \"timestamp\": 7, \"input_length\": 40, \
         \"output_length\": 1, \"turn\": 2, \"hash_ids\": [1, 2, 3]}\n",
    ),
    (
        "azure",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50Z,3,1",
    ),
    ("burstgpt", "Timestamp,Session ID,Model,Request tokens,Response tokens\n5,7,ChatGPT,472,18\n6,,\"G,4\",3,0\n"),
    ("vidur", "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374,44\n4.314579,396,109\n"),
    (
        "blis",
        "tenant_id,prefix_group,prefix_length,input_tokens,output_tokens,arrival_time_us\nt,g,64,100,5,10\nt,g,32,90,5,20\n",
    ),
    (
        "llmservingsim",
        "{\"input_toks\": 3, \"output_toks\": 2, \"arrival_time_ns\": 1, \"input_tok_ids\": [1, 2, 3]}\n\
         {\"session_id\": \"a\", \"arrival_time_ns\": 5, \"sub_requests\": [{\"input_toks\": 5, \"output_toks\": 2, \
         \"tool_duration_ns\": 7}, {\"input_toks\": 9, \"output_toks\": 1}]}\n",
    ),
    (
        "weka",
        "{\"id\": \"s\", \"block_size\": 64, \"hash_id_scope\": \"local\",\n \"requests\": [{\"t\": 0.5, \"in\": 100, \"out\": 9, \
         \"hash_ids\": [1, 2]}, {\"type\": \"subagent\", \"requests\": [{\"t\": 1, \"in\": 70, \"out\": 1}]}]}\n",
    ),
    (
        "trimtab",
        "{\"trimtab_trace\":1,\"block_tokens\":1,\"timed\":true,\"tenants\":[\"a\"],\"models\":[]}\n\
         {\"t\":0,\"in\":5,\"out\":2,\"nodes\":[0,5,1,7],\"leaf\":0,\"out_leaf\":1,\"session\":0,\"turn\":0}\n\
         {\"t\":9,\"in\":8,\"out\":1,\"nodes\":[2,8],\"leaf\":2,\"session\":0,\"turn\":1}\n",
    ),
];

/// What numbers and structure are replaced with.
const TOKENS: &[&str] = &[
    "0",
    "-1",
    "1e308",
    "1e-308",
    "99999999999999999999999999",
    "4294967295",
    "4294967296",
    "null",
    "true",
    "NaN",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "{\"",
    "\\",
    "\0",
    "\r",
    "\n",
    ",",
    ";",
    "\u{feff}",
    "2023-02-30 99:99:99",
    "é",
    "1.5.5",
    "--",
];

fn mutate(bytes: &mut Vec<u8>, rng: &mut StreamRng) {
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..8)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            4 => {
                // A whole number, where there is one, becomes something else.
                let digits = bytes[at..].iter().position(u8::is_ascii_digit).map_or(at, |d| at + d);
                let len = bytes[digits..].iter().take_while(|b| b.is_ascii_digit()).count();
                let token = TOKENS[rng.random_range(0..TOKENS.len())];
                bytes.splice(digits..digits + len, token.bytes());
            }
            _ => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())];
                bytes.splice(at..end, token.bytes());
            }
        }
    }
}

#[test]
fn mutated_files_never_panic() {
    let mut covered: Vec<&str> = SEEDS.iter().map(|&(format, _)| format).collect();
    covered.sort_unstable();
    let mut known: Vec<&str> = formats().iter().map(|def| def.name).collect();
    known.sort_unstable();
    assert_eq!(covered, known, "every format has a good file here");
    let mut rng = RngStreams::new(20).stream("mutations");
    let (mut good, mut bad) = (0, 0);
    for &(format, text) in SEEDS {
        read_bytes(text.as_bytes(), &ReadOptions::default()).unwrap_or_else(|e| panic!("{format}: {e}"));
        for round in 0..6000 {
            let mut bytes = text.as_bytes().to_vec();
            mutate(&mut bytes, &mut rng);
            let options = ReadOptions {
                format: (round % 3 > 0).then(|| format.to_owned()),
                lenient: round % 2 == 0,
                max_dropped: 1.0,
                zero_output: if round % 4 < 2 { ZeroOutput::Drop } else { ZeroOutput::One },
                max_input_tokens: (round % 5 == 0).then_some(50),
                ..ReadOptions::default()
            };
            match read_bytes(&bytes, &options) {
                Ok(trace) => {
                    good += 1;
                    assert!(trace.requests.is_sorted_by_key(|r| r.arrival) && !trace.requests.is_empty());
                    let written = write_canonical(&trace, Vec::new()).expect("memory");
                    let again =
                        read_bytes(&written, &ReadOptions::default()).unwrap_or_else(|e| panic!("{bytes:?}: {e}"));
                    assert_eq!(again.requests, trace.requests, "what was read survives the canonical form");
                    for request in &trace.requests {
                        let fits = request.prompt.leaf.is_none_or(|leaf| {
                            trace.forest.start(leaf) < request.prompt.tokens
                                && request.prompt.tokens <= trace.forest.end(leaf)
                        });
                        assert!(fits && request.prompt.tokens > 0 && request.output_tokens > 0, "{request:?}");
                    }
                }
                Err(error) => {
                    bad += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(good > 1000 && bad > 1000, "mutations should go either way: {good} {bad}");
}

#[test]
fn mutated_compressed_files_never_panic() {
    let text = SEEDS[0].1.repeat(200);
    let zstd = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, text.as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let mut rng = RngStreams::new(21).stream("mutations");
    for seed in [zstd, gzip] {
        for _ in 0..300 {
            let mut bytes = seed.clone();
            let at = rng.random_range(4..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
            drop(read_bytes(&bytes, &ReadOptions::default()));
        }
    }
}
