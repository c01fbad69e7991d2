//! Seeded mutations of good files: any outcome is fine but a panic, a hang or a row out of nothing.

use rand::RngExt;
use trimtab_core::{RngStreams, StreamRng};
use trimtab_workload::{ReadOptions, ZeroOutput, formats, write_canonical};

use crate::support::read_bytes;

/// One good file of each format.
const SEEDS: &[(&str, &str)] = &[
    ("mooncake", include_str!("../samples/mooncake.jsonl")),
    ("bailian", include_str!("../samples/bailian.jsonl")),
    ("azure", include_str!("../samples/azure.csv")),
    ("burstgpt", include_str!("../samples/burstgpt.csv")),
    ("vidur", include_str!("../samples/vidur.csv")),
    ("blis", include_str!("../samples/blis.csv")),
    ("llmservingsim", include_str!("../samples/llmservingsim.jsonl")),
    ("weka", include_str!("../samples/weka.json")),
    ("trimtab", include_str!("../samples/trimtab.jsonl")),
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
