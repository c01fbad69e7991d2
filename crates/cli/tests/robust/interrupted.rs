//! Experiments that are killed or stopped at random moments, and end with the bytes of one that was left alone.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::files::{assert_same, files};

/// How many interruptions, unless `TRIMTAB_INTERRUPTIONS` says it.
const POINTS: u32 = 40;

/// Twelve cells with all that a cell can leave behind.
pub(crate) const SWEEP: &str = r#"schema = 1
name = "sweep"
seeds = [1, 2]
output = { requests = true, decisions = true, load = true }

[cluster]
instances = 2
cost = { kind = "linear", step_us = 5000.0, per_prefill_token_us = 20.0 }
kv_tokens = 100_000

[workload]
kind = "conversation"
limit = 150

[slo]
ttft_s = 0.5

[search]
kind = "sweep"
rates_rps = [2.0, 6.0, 20.0]

[[scheduler]]
kind = "round-robin"

[[scheduler]]
kind = "cache-affinity"
"#;

/// A search, whose cells depend on the ones before.
fn capacity() -> String {
    SWEEP
        .replace(
            "kind = \"sweep\"\nrates_rps = [2.0, 6.0, 20.0]",
            "kind = \"capacity\"\nrate_rps = { low = 1.0, high = 40.0 }\ntolerance = 0.2",
        )
        .replace("output = { requests = true, decisions = true, load = true }\n", "")
}

/// Splitmix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn trimtab(folder: &Path, verb: &str, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.current_dir(folder).args([verb, "spec.toml", "--resume", "--jobs", "2", "--out", out, "-q"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// SIGKILL, one ctrl-c, or two of them.
fn interrupt(id: u32, how: u64) {
    let signals: &[&str] = match how {
        0 | 1 => &["-KILL"],
        2 => &["-INT"],
        _ => &["-INT", "-INT"],
    };
    for signal in signals {
        // It may have ended by itself.
        let _ = Command::new("kill").arg(signal).arg(id.to_string()).stderr(Stdio::null()).status();
    }
}

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Ends of a process that was stopped: by itself, by a signal, or as one that kept what it had.
fn is_an_end(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 130)) || matches!(status.signal(), Some(SIGINT | SIGKILL))
}

#[expect(clippy::disallowed_methods, reason = "how long an undisturbed run takes bounds the moments of the others")]
#[expect(clippy::print_stdout, reason = "a long run says how long it was")]
#[test]
fn interrupted_runs_end_with_the_bytes_of_an_undisturbed_one() {
    let points = std::env::var_os("TRIMTAB_INTERRUPTIONS");
    let points = points.map_or(POINTS, |n| n.to_string_lossy().parse().expect("a number of interruptions"));
    let mut draws = Draws(11);
    let (mut finished, mut cut) = (0, 0);
    for (verb, spec) in [("sweep", SWEEP.to_owned()), ("capacity", capacity())] {
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("spec.toml"), spec).expect("a spec");
        let start = Instant::now();
        assert!(trimtab(folder.path(), verb, "whole").status().expect("it starts").success());
        let micros = u64::try_from(start.elapsed().as_micros()).expect("not so long");
        let whole = files(&folder.path().join("whole"));
        let out = folder.path().join("cut");
        let check = || {
            let end = trimtab(folder.path(), verb, "cut").status().expect("it starts");
            assert!(end.success(), "{end}");
            assert_same(&whole, &files(&out));
            fs::remove_dir_all(&out).expect("it is there");
        };
        for _ in 0..points / 2 {
            let mut child = trimtab(folder.path(), verb, "cut").spawn().expect("it starts");
            std::thread::sleep(Duration::from_micros(draws.below(micros)));
            interrupt(child.id(), draws.below(4));
            let status = child.wait().expect("it ends");
            assert!(is_an_end(status), "{status}");
            cut += u32::from(!status.success());
            // Some results folders are interrupted once, some many times.
            if draws.below(3) == 0 {
                check();
                finished += 1;
            }
        }
        check();
    }
    println!("{cut} of {points} runs were cut, {finished} folders finished in between");
    assert!(cut * 2 > points, "only {cut} of {points} runs were cut short");
}
