//! Any bytes, format and compression told from the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trimtab_workload::{ReadOptions, read};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(std::io::Cursor::new(bytes.to_vec()), "fuzz", &ReadOptions::default());
});
