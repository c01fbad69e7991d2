//! What a binary was built from, for the manifests of results.

use std::process::Command;

/// The first line that a command prints; `unknown` when it fails.
fn line(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned());
    text.unwrap_or_else(|| "unknown".to_owned())
}

fn main() {
    let rustc =
        std::env::var_os("RUSTC").map_or_else(|| "rustc".to_owned(), |path| path.to_string_lossy().into_owned());
    let target = std::env::var_os("TARGET").map_or_else(String::new, |target| target.to_string_lossy().into_owned());
    println!("cargo::rustc-env=TRIMTAB_COMMIT={}", line("git", &["describe", "--always", "--dirty", "--abbrev=40"]));
    println!("cargo::rustc-env=TRIMTAB_RUSTC={}", line(&rustc, &["--version"]));
    println!("cargo::rustc-env=TRIMTAB_TARGET={target}");
    // A program that may lie anywhere in memory is patched in thousands of places before it runs, which took a twentieth of
    // the time of a small run. The price is that it always lies in the same place, which makes an error in its memory,
    // were there one, easier to use. Where the C library is linked in, the argument does not fit what rustc adds.
    let features = std::env::var_os("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let linked_in = features.to_string_lossy().split(',').any(|feature| feature == "crt-static");
    if target == "x86_64-unknown-linux-gnu" && !linked_in {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    println!("cargo::rerun-if-changed={}", line("git", &["rev-parse", "--git-path", "logs/HEAD"]));
    println!("cargo::rerun-if-changed=src");
}
