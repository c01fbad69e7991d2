//! A theme file, and a figure drawn with what it says.
#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use trimtab_report::{PictureFormat, Theme, plot};

const SUMMARY: &[u8] =
    b"label,seed,cell,status,rate_rps,requests,ttft_mean_s,ttft_p99_s,slo_attainment,hit_ratio_tokens,load_cv\n\
    round-robin,1,aa,ok,2.0,10,0.5,0.9,0.9,0.1,0.3\n\
    round-robin,1,bb,ok,4.0,10,0.7,1.9,0.8,0.1,0.4\n\
    dualmap,1,cc,ok,2.0,10,0.4,0.8,1.0,0.3,0.2\n\
    dualmap,1,dd,ok,4.0,10,0.6,1.2,0.9,0.3,0.2\n";

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(theme) = Theme::parse(text) else { return };
    scratch::file("summary.csv", SUMMARY);
    let out = scratch::folder().join("figures");
    let _ = plot(scratch::folder(), None, &[PictureFormat::Svg], &theme, &out);
    let _ = std::fs::remove_dir_all(out);
});
