//! Input made to harm: it is refused, or read as it says, in bounded memory and without a panic.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Address space of the program, in KiB. A sweep of real traces takes a tenth of it.
const MEMORY: u32 = 3 << 20;

fn bounded(folder: &Path, args: &[&str]) -> Output {
    let script = format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", &script, env!("CARGO_BIN_EXE_trimtab")]).args(args);
    command.output().expect("a shell")
}

/// How a command on a hostile file must end.
#[derive(Clone, Copy)]
enum Ends {
    /// With this in its message.
    Refused(&'static str),
    Well,
}

fn check(folder: &Path, args: &[&str], ends: Ends) {
    let done = bounded(folder, args);
    let said = String::from_utf8_lossy(&done.stderr);
    let head: String = said.chars().take(400).collect();
    assert!(said.len() < 4000, "{args:?} says too much: {head}");
    assert!(!said.contains("panicked") && !said.contains("allocation"), "{args:?}: {head}");
    match ends {
        Ends::Refused(part) => {
            assert!(matches!(done.status.code(), Some(2 | 3)), "{args:?}: {} {head}", done.status);
            assert!(said.contains(part), "{args:?}: {head}");
        }
        Ends::Well => assert!(done.status.success(), "{args:?}: {} {head}", done.status),
    }
}

fn row(time: &str, input: &str, output: &str, ids: &str) -> String {
    format!(
        "{{\"timestamp\": {time}, \"input_length\": {input}, \"output_length\": {output}, \"hash_ids\": [{ids}]}}\n"
    )
}

fn good() -> String {
    row("0", "1024", "5", "1, 2")
}

fn numbers(list: impl Iterator<Item = u32>) -> String {
    list.fold(String::new(), |mut text, n| {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{n}").expect("memory");
        text
    })
}

/// The statistics of a trace, and a run of it.
fn check_trace(folder: &Path, name: &str, content: &[u8], ends: Ends) {
    fs::write(folder.join(name), content).expect("room on the disk");
    check(folder, &["trace", "stats", name, "-q"], ends);
    check(folder, &["run", "--trace", name, "--instances", "2", "-q"], ends);
    fs::remove_file(folder.join(name)).expect("it is there");
}

#[test]
fn long_lines_and_deep_nesting() {
    let folder = TempDir::new().expect("a temporary folder");
    let hundred = 100_000_000;
    let long = |head: &str, byte: &str| [good().as_bytes(), head.as_bytes(), byte.repeat(hundred).as_bytes()].concat();
    let too_long = Ends::Refused("a line of at most 64 MiB");
    check_trace(folder.path(), "digits.jsonl", &long("{\"timestamp\": ", "1"), too_long);
    check_trace(folder.path(), "blanks.jsonl", &long("", " "), too_long);
    check_trace(
        folder.path(),
        "first.jsonl",
        &"x".repeat(1_000_000).into_bytes(),
        Ends::Refused("a known trace format"),
    );
    let nested = |open: &str| format!("{}{{\"x\": {}", good(), open.repeat(1_000_000));
    let too_deep = Ends::Refused("less than 64 levels of nesting");
    check_trace(folder.path(), "lists.jsonl", nested("[").as_bytes(), too_deep);
    check_trace(folder.path(), "objects.jsonl", nested("{\"x\":").as_bytes(), too_deep);
}

#[test]
fn counts_at_the_end_of_their_range() {
    let folder = TempDir::new().expect("a temporary folder");
    let most = Ends::Refused("at most 134217728 tokens");
    for count in ["1000000000", "4294967295", "4294967296", "18446744073709551616", "1e308"] {
        let refused = if count == "1e308" { Ends::Refused("is `1e308`") } else { most };
        let refused = if count.len() > 19 { Ends::Refused("is `18446744073709551616`") } else { refused };
        check_trace(folder.path(), "input.jsonl", (good() + &row("9", count, "5", "1, 2")).as_bytes(), refused);
        check_trace(folder.path(), "output.jsonl", (good() + &row("9", "1024", count, "1, 2")).as_bytes(), refused);
    }
    let largest = row("9", "134217728", "134217728", "1, 2");
    check_trace(folder.path(), "largest.jsonl", (good() + &largest).as_bytes(), Ends::Well);
    let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
    let line = |input: &str| format!("2023-11-16 18:15:46.6805900,{input},10\n");
    check_trace(folder.path(), "azure.csv", (azure.to_owned() + &line("1000000000")).as_bytes(), most);
    let many = azure.to_owned() + &line("134217728").repeat(100);
    fs::write(folder.path().join("many.csv"), many).expect("room");
    check(folder.path(), &["trace", "stats", "many.csv", "-q"], Ends::Refused("are too many to count"));
    check(folder.path(), &["run", "--trace", "many.csv", "--instances", "2", "-q"], Ends::Well);
}

#[test]
fn times_at_the_end_of_their_range() {
    let folder = TempDir::new().expect("a temporary folder");
    let days = Ends::Refused("200 days");
    for (time, ends) in [
        ("17280000000", Ends::Well),
        ("17279999999.999999999", Ends::Well),
        ("1e-300", Ends::Well),
        ("-0", Ends::Well),
        ("17280000000.001", days),
        ("18446744073709551615", days),
        ("1e25", days),
        ("1e308", Ends::Refused("a time that fits a clock")),
        ("1e-999999999999", Ends::Well),
        ("-1", Ends::Refused("is `-1`")),
        ("NaN", Ends::Refused("not JSON")),
        ("Infinity", Ends::Refused("not JSON")),
        ("-Infinity", Ends::Refused("not JSON")),
        ("null", Ends::Refused("is `null`")),
    ] {
        check_trace(folder.path(), "time.jsonl", (good() + &row(time, "1024", "5", "1, 2")).as_bytes(), ends);
    }
    // Far away as a whole, close to each other: the clock of the file has its own origin.
    let far = row("18446744073709551615", "1024", "5", "1, 2").repeat(2);
    check_trace(folder.path(), "far.jsonl", far.as_bytes(), Ends::Well);
    // The run ends beyond the clock although the arrivals do not.
    fs::write(folder.path().join("late.jsonl"), good() + &row("17280000000", "1024", "5000", "1, 2")).expect("room");
    let cost = r#"{"kind": "linear", "step_us": 3599000000.0}"#;
    let args = ["run", "--trace", "late.jsonl", "--instances", "1", "--cost", cost, "-q"];
    check(folder.path(), &args, Ends::Refused("the simulated clock ran past its range of 213 days"));
}

#[test]
fn block_ids_by_the_million() {
    let folder = TempDir::new().expect("a temporary folder");
    let count = 250_000_u32;
    let tokens = (count * 512).to_string();
    let rising = row("0", &tokens, "5", &numbers(0..count));
    check_trace(folder.path(), "rising.jsonl", rising.as_bytes(), Ends::Well);
    // Every id comes after another one than before: whoever looks for repetitions must not look at all pairs.
    let falling = row("1", &tokens, "5", &numbers((0..count).rev()));
    check_trace(folder.path(), "chains.jsonl", (rising + &falling).as_bytes(), Ends::Well);
    let largest = row("0", "1024", "5", "18446744073709551615, 9223372036854775808");
    check_trace(folder.path(), "largest.jsonl", largest.as_bytes(), Ends::Well);
    let endless = format!("{}{}", good(), row("1", "1024", "5", &"7,".repeat(10_000_000)));
    check_trace(folder.path(), "endless.jsonl", endless.as_bytes(), Ends::Refused("ids"));
}

/// `count` times the same megabyte, as gzip.
fn bomb(part: &str, count: usize) -> Vec<u8> {
    let megabyte = part.repeat(1_000_000 / part.len());
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..count {
        out.write_all(megabyte.as_bytes()).expect("memory");
    }
    out.finish().expect("memory")
}

#[test]
fn bombs() {
    let folder = TempDir::new().expect("a temporary folder");
    let zeros = bomb("\0", 200);
    assert!(zeros.len() < 4_000_000);
    check_trace(folder.path(), "zeros.gz", &zeros, Ends::Refused("a known trace format"));
    let tail = [gzip(good().as_bytes()), zeros.clone()].concat();
    check_trace(folder.path(), "tail.gz", &tail, Ends::Refused("a line of at most 64 MiB"));
    check_trace(folder.path(), "twice.gz", &gzip(&zeros), Ends::Refused("a known trace format"));
    let lines = [gzip(good().as_bytes()), bomb("\n", 100)].concat();
    check_trace(folder.path(), "lines.gz", &lines, Ends::Well);
    // Cut and bent in the middle.
    let whole = gzip(good().repeat(1000).as_bytes());
    check_trace(folder.path(), "cut.gz", &whole[..whole.len() / 2], Ends::Refused("cannot read"));
    // A zstd frame that says it needs a window of 2 TB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    check_trace(folder.path(), "window.zst", &window, Ends::Refused("cannot read"));
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(content).expect("memory");
    out.finish().expect("memory")
}
