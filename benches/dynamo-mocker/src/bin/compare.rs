//! Compares a run of dynamo-mocker with one of trimtab, request by request.
//!
//! Reads the per-request files that `dynamo-mocker-replay --requests-out` and `trimtab run --requests-out` write for the
//! same trace in file order, and says how many requests agree and why the others do not.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

/// A picosecond is the unit of all times; agreement is to a microsecond.
const PS_PER_MS: f64 = 1e9;
const PS_PER_S: f64 = 1e12;
const TOLERANCE_PS: u64 = 1_000_000;

/// One request as one of the two simulators saw it.
#[derive(Clone, Copy)]
struct Seen {
    arrival: u64,
    first_token: u64,
    finish: u64,
    instance: usize,
    prompt: u64,
    hit: u64,
    output: u64,
    /// How often it lost its KV blocks.
    preemptions: u64,
}

/// Why a request differs.
#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Agrees,
    /// It lost its KV blocks in at least one of the two.
    Preempted,
    /// It ran on an instance after such a request had started there.
    KnockOn,
    Unexplained,
}

struct Table {
    header: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Table {
    fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().map(cells);
        let header = lines.next().with_context(|| format!("{path} is empty"))?;
        let lines: Vec<_> = lines.collect();
        ensure!(lines.iter().all(|line| line.len() == header.len()), "{path}: a line has too few or too many cells");
        Ok(Self { header, lines })
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let at = self.header.iter().position(|h| h == name).with_context(|| format!("no column {name}"))?;
        let number = |line: &Vec<String>| line[at].parse().with_context(|| format!("{name}: `{}`", line[at]));
        self.lines.iter().map(number).collect()
    }

    /// The columns of one simulator, in the order of the fields of [`Seen`]; `unit` is a unit of its times in ps and
    /// `first` what it counts for a request that never lost its blocks.
    fn requests(&self, columns: [&str; 8], unit: f64, first: f64) -> Result<Vec<Seen>> {
        let mut lists = columns.map(|name| self.numbers(name)).into_iter();
        let mut next = || lists.next().expect("eight columns");
        let (arrival, token, finish, instance) = (next()?, next()?, next()?, next()?);
        let (prompt, hit, output, preemptions) = (next()?, next()?, next()?, next()?);
        let time = |value: f64| (value * unit).round() as u64;
        let seen = |i: usize| Seen {
            arrival: time(arrival[i]),
            first_token: time(token[i]),
            finish: time(finish[i]),
            instance: instance[i] as usize,
            prompt: prompt[i] as u64,
            hit: hit[i] as u64,
            output: output[i] as u64,
            preemptions: (preemptions[i] - first) as u64,
        };
        Ok((0..self.lines.len()).map(seen).collect())
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [peer, ours] = &args[..] else { bail!("usage: compare PEER.csv OURS.csv") };
    let peer = Table::read(peer)?.requests(
        [
            "arrival_ms",
            "first_token_ms",
            "finish_ms",
            "worker",
            "input_tokens",
            "cached_tokens",
            "output_tokens",
            "admissions",
        ],
        PS_PER_MS,
        1.0,
    )?;
    let ours = Table::read(ours)?.requests(
        [
            "arrival_s",
            "first_token_s",
            "finish_s",
            "instance",
            "prompt_tokens",
            "hit_tokens",
            "output_tokens",
            "preemptions",
        ],
        PS_PER_S,
        0.0,
    )?;
    ensure!(peer.len() == ours.len(), "{} requests in the first file, {} in the second", peer.len(), ours.len());
    let pairs: Vec<(Seen, Seen)> = peer.into_iter().zip(ours).collect();
    for (index, (a, b)) in pairs.iter().enumerate() {
        ensure!(
            (a.prompt, a.output, a.instance) == (b.prompt, b.output, b.instance),
            "request {index} has other lengths or another instance in the second file: not the same run"
        );
    }
    report(&pairs);
    Ok(())
}

/// Which of first token, finish and hit tokens differ.
fn differs((a, b): &(Seen, Seen)) -> [bool; 3] {
    let far = |x: u64, y: u64| x.abs_diff(y) > TOLERANCE_PS;
    [far(a.first_token, b.first_token), far(a.finish, b.finish), a.hit != b.hit]
}

fn lost((a, b): &(Seen, Seen)) -> bool {
    a.preemptions + b.preemptions > 0
}

fn verdicts(pairs: &[(Seen, Seen)]) -> Vec<Verdict> {
    let instances = pairs.iter().map(|(a, _)| a.instance + 1).max().unwrap_or(0);
    let mut first_loss = vec![u64::MAX; instances];
    for pair in pairs.iter().filter(|pair| lost(pair)) {
        let first = &mut first_loss[pair.0.instance];
        *first = (*first).min(pair.0.arrival);
    }
    let verdict = |pair: &(Seen, Seen)| match differs(pair) {
        [false, false, false] => Verdict::Agrees,
        _ if lost(pair) => Verdict::Preempted,
        _ if pair.0.finish.max(pair.1.finish) > first_loss[pair.0.instance] => Verdict::KnockOn,
        _ => Verdict::Unexplained,
    };
    pairs.iter().map(verdict).collect()
}

fn report(pairs: &[(Seen, Seen)]) {
    let verdicts = verdicts(pairs);
    let count = |wanted: Verdict| verdicts.iter().filter(|v| **v == wanted).count();
    let differing = |which: usize| pairs.iter().filter(|pair| differs(pair)[which]).count();
    println!("requests                        {}", pairs.len());
    println!("agree to 1 us and in hits       {}", count(Verdict::Agrees));
    println!("first token differs             {}", differing(0));
    println!("finish differs                  {}", differing(1));
    println!("hit tokens differ               {}", differing(2));
    println!("lost their KV in either run     {}", pairs.iter().filter(|pair| lost(pair)).count());
    println!("  of these differ               {}", count(Verdict::Preempted));
    println!("differ after one of these       {}", count(Verdict::KnockOn));
    println!("differ for another reason       {}", count(Verdict::Unexplained));
    let largest = |of: fn(&Seen) -> u64| pairs.iter().map(|(a, b)| of(a).abs_diff(of(b))).max().unwrap_or(0);
    println!("largest first-token difference  {} ms", largest(|s| s.first_token) as f64 / PS_PER_MS);
    println!("largest finish difference       {} ms", largest(|s| s.finish) as f64 / PS_PER_MS);
    println!("\n{:8}{:>8}{:>14}{:>14}{:>14}{:>14}", "ms", "", "mean", "p50", "p90", "p99");
    table("TTFT", pairs, |s| Some(s.first_token - s.arrival));
    table("TPOT", pairs, |s| (s.output > 1).then(|| (s.finish - s.first_token) / (s.output - 1)));
    table("E2E", pairs, |s| Some(s.finish - s.arrival));
    let reuse = |of: fn(&(Seen, Seen)) -> &Seen| {
        let sum = |what: fn(&Seen) -> u64| pairs.iter().map(|pair| what(of(pair)) as f64).sum::<f64>();
        sum(|s| s.hit) / sum(|s| s.prompt)
    };
    println!("share of prompt tokens hit: peer {:.6}, ours {:.6}", reuse(|pair| &pair.0), reuse(|pair| &pair.1));
    for (index, (a, b)) in pairs.iter().enumerate() {
        if verdicts[index] == Verdict::Unexplained {
            println!(
                "request {index}: first token {} / {} ps, finish {} / {} ps, hit {} / {}",
                a.first_token, b.first_token, a.finish, b.finish, a.hit, b.hit
            );
        }
    }
}

/// Mean and quantiles (nearest rank) of one quantity in both runs.
fn table(name: &str, pairs: &[(Seen, Seen)], of: fn(&Seen) -> Option<u64>) {
    let row = |who: &str, mut samples: Vec<u64>| {
        samples.sort_unstable();
        let mean = samples.iter().map(|&s| s as f64).sum::<f64>() / samples.len() as f64;
        let quantile = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
            samples.get(rank).map_or(f64::NAN, |&s| s as f64 / PS_PER_MS)
        };
        let (p50, p90, p99) = (quantile(50), quantile(90), quantile(99));
        println!("{name:8}{who:>8}{:>14.5}{p50:>14.5}{p90:>14.5}{p99:>14.5}", mean / PS_PER_MS);
    };
    row("peer", pairs.iter().filter_map(|(a, _)| of(a)).collect());
    row("ours", pairs.iter().filter_map(|(_, b)| of(b)).collect());
}
