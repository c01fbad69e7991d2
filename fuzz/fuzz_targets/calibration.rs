//! Measured steps, measured requests and operator grids, by the first byte.
#![no_main]

mod scratch;

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use trimtab_experiment::calibrate::{Selection, calibrate, parse_rows, read_requests};
use trimtab_experiment::catalog::{Overrides, resolve};
use trimtab_experiment::table_profile;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, content)) = bytes.split_first() else { return };
    match choice % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(content) else { return };
            let path = Path::new("steps.csv");
            let Ok(rows) = parse_rows(path, text, &Selection::default()) else { return };
            let _ = table_profile::from_rows(path, &rows);
            if rows.len() <= 200 {
                let _ = calibrate(rows, None).map(|calibration| calibration.profiles().to_toml());
            }
        }
        1 => drop(read_requests(&scratch::file("requests.csv", content))),
        _ => {
            let mut files = content.split(|&byte| byte == 0);
            for name in ["mlp.csv", "attention.csv"] {
                scratch::file(name, files.next().unwrap_or_default());
            }
            let deployment = resolve("llama-3.1-8b", "h100", 1, Overrides::default()).expect("it is built in");
            let _ = table_profile::load(scratch::folder(), &deployment, &Selection::default());
        }
    }
});
