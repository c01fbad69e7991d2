//! A results folder, its files divided by NUL bytes, as figures and comparisons read it.
#![no_main]

mod scratch;

use libfuzzer_sys::fuzz_target;
use trimtab_experiment::diff::diff;
use trimtab_report::{PictureFormat, Theme, page, plot};

const FILES: [&str; 5] = ["summary.csv", "capacity.csv", "comparisons.csv", "spec.toml", "manifest.json"];

fuzz_target!(|bytes: &[u8]| {
    let folder = scratch::folder();
    let mut parts = bytes.split(|&byte| byte == 0);
    for name in FILES {
        match parts.next() {
            Some(content) => drop(scratch::file(name, content)),
            None => drop(std::fs::remove_file(folder.join(name))),
        }
    }
    if let Ok(differences) = diff(folder, folder, 0.0) {
        assert_eq!(differences, [], "results equal themselves");
    }
    let theme = Theme::default();
    let out = folder.join("figures");
    let _ = plot(folder, None, &[PictureFormat::Svg], &theme, &out);
    let _ = std::fs::remove_dir_all(&out);
    let _ = page(folder, &theme);
});
