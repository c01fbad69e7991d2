//! Asks trimtab's `dynamo-kv` and the published `dynamo-kv-router` the same questions and counts how often they agree.
//!
//! Requests with shared prefixes arrive, get their first token and end at random, on fleets of several sizes. The peer
//! keeps its own ledger (`ActiveSequencesMultiWorker`) and decides with its own selector (`DefaultWorkerSelector`);
//! trimtab's policy is told the same events through its hooks. Both see the same random cached prefixes. The request then
//! goes where the peer sends it: where the two differ, trimtab's policy is asked again with that worker alone, which moves
//! its booking. Exact ties are counted apart, since both draw among them.

mod ours;
mod peer;

use ours::Ours;
use peer::Peer;

/// A cheap generator of its own: what is asked depends on nothing else.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        trimtab_sched::parts::mix64(self.0) % n
    }
}

/// One setting of both routers.
struct Setting {
    name: &'static str,
    credit: f64,
    decay: f64,
    scale: f64,
    per_request: f64,
    track_prefill: bool,
}

const SETTINGS: [Setting; 6] = [
    Setting { name: "as shipped", credit: 1.0, decay: 0.0, scale: 1.0, per_request: 0.0, track_prefill: true },
    Setting { name: "credit 0.5", credit: 0.5, decay: 0.0, scale: 1.0, per_request: 0.0, track_prefill: true },
    Setting { name: "decay 1", credit: 1.0, decay: 1.0, scale: 1.0, per_request: 0.0, track_prefill: true },
    Setting { name: "scale 2.5", credit: 1.0, decay: 0.0, scale: 2.5, per_request: 0.0, track_prefill: true },
    Setting { name: "3 blocks a request", credit: 1.0, decay: 0.3, scale: 1.0, per_request: 3.0, track_prefill: true },
    Setting { name: "prefill untracked", credit: 1.0, decay: 0.0, scale: 1.0, per_request: 0.0, track_prefill: false },
];

/// A question: a prompt of whole blocks and a partial one, and the blocks of it that each worker has cached.
pub struct Question {
    pub id: u32,
    pub tokens: u32,
    /// Of all whole blocks.
    pub keys: Vec<u64>,
    /// In whole blocks.
    pub cached: Vec<u32>,
}

#[derive(Default)]
struct Tally {
    asked: u64,
    ties: u64,
    agreed: u64,
    cost_mismatches: u64,
}

const BLOCK: u32 = 16;

fn main() {
    let rounds: u32 = std::env::args().nth(1).map_or(4_000, |n| n.parse().expect("how many requests a setting"));
    println!("{:<22}{:>8}{:>10}{:>8}{:>12}{:>12}", "setting", "workers", "asked", "ties", "agreement", "other cost");
    let mut all = Tally::default();
    for setting in &SETTINGS {
        for workers in [2, 8, 64] {
            let tally = compare(setting, workers, rounds);
            let distinct = tally.asked - tally.ties;
            let share = 100.0 * tally.agreed as f64 / distinct.max(1) as f64;
            println!(
                "{:<22}{workers:>8}{:>10}{:>8}{share:>11.3}%{:>12}",
                setting.name, tally.asked, tally.ties, tally.cost_mismatches
            );
            all.asked += tally.asked;
            all.ties += tally.ties;
            all.agreed += tally.agreed;
        }
    }
    let distinct = all.asked - all.ties;
    let share = all.agreed as f64 / distinct as f64;
    println!("{} of {distinct} choices agree: {:.4} % ({} exact ties apart)", all.agreed, 100.0 * share, all.ties);
    assert!(distinct > u64::from(rounds), "nearly everything was a tie: nothing was compared");
    assert!(share >= 0.999, "below 99.9 %");
}

fn compare(setting: &Setting, workers: u32, rounds: u32) -> Tally {
    let mut random = Random(u64::from(workers) << 32 | setting.name.len() as u64);
    let peer = Peer::new(setting, workers);
    let mut ours = Ours::new(setting, workers);
    let mut tally = Tally::default();
    // Request, worker, whether its first token is out.
    let mut live: Vec<(u32, u32, bool)> = Vec::new();
    for id in 0..rounds {
        let question = ask(&mut random, id, workers);
        let costs = peer.costs(&question);
        let (theirs, mine) = (peer.choose(&question), ours.choose(&question));
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        tally.asked += 1;
        if costs.iter().filter(|&&cost| cost == least).count() > 1 {
            tally.ties += 1;
        } else if mine.worker == theirs {
            tally.agreed += 1;
        } else if tally.asked - tally.ties - tally.agreed < 4 {
            eprintln!("{}, {workers} workers, request {id}: {theirs} and {}", setting.name, mine.worker);
        }
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
        tally.cost_mismatches += u64::from(!costs.iter().zip(&mine.costs).all(close));
        peer.book(&question, theirs);
        ours.settle(&question, mine.worker, theirs);
        live.push((id, theirs, false));
        while live.len() as u64 > 4 * u64::from(workers) + random.below(8 * u64::from(workers)) {
            let at = usize::try_from(random.below(live.len() as u64)).expect("an index");
            let (request, worker, prefilled) = live[at];
            if !prefilled {
                peer.first_token(request);
                ours.first_token(request, worker);
                live[at].2 = true;
            }
            if prefilled || random.below(3) == 0 {
                live.swap_remove(at);
                peer.finish(request);
                ours.finish(request, worker);
            }
        }
    }
    tally
}

/// Prompts share heads in families; each worker has cached a random prefix, often the family's.
fn ask(random: &mut Random, id: u32, workers: u32) -> Question {
    let family = random.below(12);
    let head = 1 + family * 5 % 40;
    let whole = small(head + random.below(60));
    let own = u64::from(random.below(4) != 0) * (u64::from(id) + 1);
    let key = |depth: u64| if depth < head { family << 40 | depth } else { family << 40 | own << 12 | depth };
    let cached = (0..workers).map(|_| match random.below(4) {
        0 => 0,
        1 => small(random.below(u64::from(whole) + 1)),
        _ => small(head),
    });
    let cached = cached.collect();
    let tokens = whole * BLOCK + small(random.below(u64::from(BLOCK)));
    Question { id, tokens, keys: (0..u64::from(whole)).map(key).collect(), cached }
}

fn small(n: u64) -> u32 {
    u32::try_from(n).expect("lengths are small")
}
