//! The `[workload]` of a scenario: what is refused, and what each key does to the requests.

use std::fmt::Write as _;

use trimtab_experiment::scenario::{Scenario, Workload};
use trimtab_experiment::workload::{check, count, load, workload};

/// A trace of 90 single requests in ticks of 3 s, ten each, and its folder.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = (0..90u32).fold(String::new(), |mut text, i| {
        let time = i / 10 * 3000;
        writeln!(text, r#"{{"timestamp": {time}, "input_length": 600, "output_length": {}}}"#, i + 1).expect("memory");
        text
    });
    let untimed = "num_prefill_tokens,num_decode_tokens\n5,6\n7,8\n";
    let faulty = rows.clone() + "{\"timestamp\": 1, \"input_length\": -5, \"output_length\": 1}\n";
    for (name, text) in [("trace.jsonl", rows.as_str()), ("untimed.csv", untimed), ("faulty.jsonl", &faulty)] {
        std::fs::write(folder.path().join(name), text).expect("room on the disk");
    }
    folder
}

/// A scenario with this workload, its trace taken from the folder.
fn scenario(folder: &tempfile::TempDir, toml: &str) -> Scenario {
    let mut workload: Workload = toml::from_str(toml).unwrap_or_else(|e| panic!("{toml}: {e}"));
    workload.trace = workload.trace.map(|name| folder.path().join(name));
    Scenario { workload, seed: 3, ..Scenario::default() }
}

#[test]
fn contradictions_are_refused_before_anything_is_read() {
    for (toml, words) in [
        ("", "no workload"),
        ("trace = 'x'\nkind = 'zipf'", "workload.kind: a trace or a generator"),
        ("kind = 'zipf'", "workload.limit: a generator has no end"),
        ("kind = 'zipf'\nlimit = 0", "workload.limit"),
        ("kind = 'zipff'\nlimit = 5", "did you mean `zipf`?"),
        ("kind = 'zipf'\nlimit = 5\nlenient = true", "workload.lenient: is for traces"),
        ("kind = 'zipf'\nlimit = 5\nstart_s = 1.0", "workload.start_s: is for traces"),
        ("kind = 'zipf'\nlimit = 5\n[arrivals]\nprocess = 'poisson'", "workload.arrivals: is for traces"),
        ("kind = 'zipf'\nlimit = 5\nzero_output = 'one'", "workload.zero_output"),
        ("kind = 'zipf'\nduration_s = 0.0", "workload.duration_s"),
        ("kind = 'zipf'\nlimit = 5\ntenants = { count = 0 }", "tenants"),
        ("kind = 'zipf'\nlimit = 5\nparams = { exponennt = 1.0 }", "did you mean `exponent`?"),
        ("trace = 'x'\ntenants = { count = 3 }", "workload.tenants: is for generators"),
        ("trace = 'x'\nparams = { rate = 1.0 }", "workload.params: is for generators"),
        ("trace = 'x'\nstart_s = -1.0", "workload.start_s: `-1` is not"),
        ("trace = 'x'\nduration_s = nan", "workload.duration_s"),
        ("trace = 'x'\ntrace_block = 0", "workload.trace_block"),
        ("trace = 'x'\nmax_dropped = 0.5", "needs `lenient`"),
        ("trace = 'x'\nlenient = true\nmax_dropped = 2.0", "workload.max_dropped: `2` is not a share"),
        ("trace = 'x'\n[arrivals]\nprocess = 'gamma'", "workload.arrivals: `cv` goes with `gamma`"),
        ("trace = 'x'\njitter_ticks = true\n[arrivals]\ncv = 0.0", "workload.arrivals: replaces the times"),
        ("trace = 'x'\nloop = { kind = 'users', count = 0 }", "workload.loop.count"),
        ("trace = 'x'\nloop = { kind = 'sessions', think_s = -1.0 }", "workload.loop.think_s"),
        ("trace = 'x'\nrate = 2.0\nloop = { kind = 'users', count = 3 }", "workload.rate: a fixed number of users"),
    ] {
        let workload: Workload = toml::from_str(toml).unwrap_or_else(|e| panic!("{toml}: {e}"));
        let error = check(&workload, false).expect_err(toml).to_string();
        assert!(error.contains(words), "{toml}: {error}");
    }
    let users: Workload = toml::from_str("trace = 'x'\nloop = { kind = 'users', count = 3 }").expect("sound");
    assert!(check(&users, true).expect_err("nothing to search").to_string().contains("workload.loop"));
}

/// The arrivals in milliseconds.
fn arrivals(folder: &tempfile::TempDir, toml: &str) -> Vec<u64> {
    let mut requests = workload(&scenario(folder, toml)).unwrap_or_else(|e| panic!("{toml}: {e}"));
    std::iter::from_fn(|| requests.next()).map(|r| r.arrival.0 / 1_000_000_000).collect()
}

#[test]
fn every_key_moves_arrivals_as_it_says() {
    let folder = folder();
    let plain = arrivals(&folder, "trace = 'trace.jsonl'");
    assert_eq!((plain.len(), plain[89]), (90, 24_000));
    let window = arrivals(&folder, "trace = 'trace.jsonl'\nstart_s = 4.0\nduration_s = 7.0");
    assert_eq!((window.len(), window[0], window[19]), (20, 2000, 5000));
    let ticks = arrivals(&folder, "trace = 'trace.jsonl'\njitter_ticks = true");
    let same_tick = plain.iter().zip(&ticks).all(|(before, after)| before / 3000 == after / 3000);
    assert!(same_tick && ticks.windows(2).filter(|w| w[0] == w[1]).count() < 9, "{ticks:?}");
    let even = arrivals(&folder, "trace = 'trace.jsonl'\nrate = 4.0\n[arrivals]\nprocess = 'constant'");
    assert!(even.windows(2).all(|w| w[1] - w[0] == 250), "{even:?}");
    // At its own rate, 90 requests in 24 s.
    let own = arrivals(&folder, "trace = 'trace.jsonl'\n[arrivals]\nprocess = 'constant'");
    assert!(own.windows(2).all(|w| (266..=267).contains(&(w[1] - w[0]))), "{own:?}");
    let made = arrivals(&folder, "kind = 'zipf'\nrate = 10.0\nduration_s = 20.0");
    assert!((150..250).contains(&made.len()) && made.iter().all(|&ms| ms < 20_000), "{}", made.len());
    assert_eq!(count(&scenario(&folder, "kind = 'zipf'\nlimit = 7").workload).expect("sound"), 7);
    let untimed = load(&scenario(&folder, "trace = 'untimed.csv'\n[arrivals]\nprocess = 'poisson'"));
    assert!(untimed.expect_err("no rate").to_string().contains("workload.rate: the trace has no rate"));
    let poisson = arrivals(&folder, "trace = 'untimed.csv'\nrate = 1.0\n[arrivals]\nprocess = 'poisson'");
    assert!(poisson[1] > poisson[0] && poisson[0] > 0, "{poisson:?}");
}

#[test]
fn faults_are_skipped_on_demand() {
    let folder = folder();
    let read = |more: &str| load(&scenario(&folder, &format!("trace = 'faulty.jsonl'\n{more}")));
    assert!(read("").expect_err("strict").to_string().contains("line 91"));
    // One of 91 rows is more than a hundredth.
    assert!(read("lenient = true").expect_err("above 1 %").to_string().contains("1 of 91 rows"));
    assert_eq!(read("lenient = true\nmax_dropped = 0.02").expect("accepted").requests.len(), 90);
}

#[test]
fn tenants_have_unequal_rates() {
    let folder = folder();
    let scenario = scenario(&folder, "kind = 'no-sharing'\nlimit = 4000\ntenants = { count = 3, skew = 1.0 }");
    let mut requests = workload(&scenario).expect("sound");
    let mut counts = [0u32; 3];
    while let Some(request) = requests.next() {
        counts[usize::from(request.tenant.0)] += 1;
    }
    // 1 : 1/2 : 1/3.
    for (count, share) in counts.iter().zip([6.0 / 11.0, 3.0 / 11.0, 2.0 / 11.0]) {
        assert!((f64::from(*count) / 4000.0 - share).abs() < 0.03, "{counts:?}");
    }
}
