//! What reading a trace costs: `cargo bench -p trimtab-workload --bench reading`.
//!
//! The same generated conversations as lines of Mooncake's form and in the canonical form, plain and compressed: the best of
//! five readings, from memory.
#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::time::Instant;

use flate2::write::GzEncoder;
use trimtab_workload::{ReadOptions, ZstdWriter, read, write_canonical};

const ROWS: u32 = 20_000;

/// Sessions of ten turns, each with three more blocks of 512 tokens.
fn mooncake() -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        let (session, turn) = (row % (ROWS / 10), row / (ROWS / 10));
        let blocks = 3 * (turn + 1);
        let ids: Vec<String> = (0..blocks).map(|block| (session * 100 + block).to_string()).collect();
        writeln!(
            text,
            "{{\"timestamp\": {}, \"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]}}",
            row / 8 * 3000,
            512 * blocks,
            50 + row % 400,
            ids.join(", ")
        )
        .expect("memory");
    }
    text
}

fn main() {
    let text = mooncake().into_bytes();
    let trace = read(Cursor::new(text.clone()), "mooncake", &ReadOptions::default()).expect("good lines");
    let canonical = write_canonical(&trace, Vec::new()).expect("memory");
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&text).expect("memory");
    let mut zstd = ZstdWriter::new(Vec::new());
    zstd.write_all(&text).expect("memory");
    println!("{:24}{:>10}{:>14}{:>16}", "", "MB", "ns/row", "MB/s, unpacked");
    for (name, bytes, unpacked) in [
        ("mooncake", text.clone(), text.len()),
        ("mooncake, gzip", gzip.finish().expect("memory"), text.len()),
        ("mooncake, zstd", zstd.finish().expect("memory"), text.len()),
        ("canonical", canonical.clone(), canonical.len()),
    ] {
        let best = (0..5)
            .map(|_| {
                let source = Cursor::new(bytes.clone());
                let start = Instant::now();
                let trace = read(source, name, &ReadOptions::default()).expect("good lines");
                assert_eq!(trace.requests.len(), ROWS as usize);
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        println!(
            "{name:24}{:>10.2}{:>14.0}{:>16.0}",
            bytes.len() as f64 / 1e6,
            best * 1e9 / f64::from(ROWS),
            unpacked as f64 / 1e6 / best
        );
    }
}
