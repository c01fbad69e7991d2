//! The first byte chooses a format and options, the rest is the file; what is read must be sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trimtab_workload::{ReadOptions, Stats, StatsOptions, ZeroOutput, formats, read, write_canonical};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let def = formats()[usize::from(choice) % formats().len()];
    let options = ReadOptions {
        format: Some(def.name.to_owned()),
        lenient: choice & 0x80 != 0,
        max_dropped: 1.0,
        max_input_tokens: (choice & 0x40 != 0).then_some(100_000),
        zero_output: if choice & 0x20 != 0 { ZeroOutput::One } else { ZeroOutput::Drop },
        ..ReadOptions::default()
    };
    let Ok(trace) = read(std::io::Cursor::new(text.to_vec()), "fuzz", &options) else { return };
    let tokens: u64 = trace.requests.iter().map(|r| u64::from(r.prompt.tokens)).sum();
    if tokens < 10_000_000 {
        let _ = Stats::of_trace(&trace, &StatsOptions::default());
    }
    let written = write_canonical(&trace, Vec::new()).expect("memory");
    let again = read(std::io::Cursor::new(written), "again", &ReadOptions::default()).expect("what we wrote is sound");
    assert_eq!(again.requests, trace.requests);
});
