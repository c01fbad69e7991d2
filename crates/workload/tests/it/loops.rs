//! Closed loops, jitter and new arrival processes.

use serde_json::{Value, json};
use trimtab_core::{PS_PER_S, SimTime, Workload};
use trimtab_workload::{ArrivalSpec, GenOptions, Loop, ReadOptions, Trace, generator_by_name};

use crate::support::read_bytes;

const S: u64 = PS_PER_S;

/// Plays a workload on a server that answers each request after `service`; (arrival, session, turn) of each.
fn play(workload: &mut dyn Workload, service: u64, limit: usize) -> Vec<(u64, Option<u32>, u32)> {
    let mut running = std::collections::BTreeSet::new();
    let mut log = Vec::new();
    while log.len() < limit {
        let ending = running.first().copied();
        let arriving = workload.peek();
        match (arriving, ending) {
            (Some(at), end) if end.is_none_or(|(end, _)| at.0 < end) => {
                let request = workload.next().expect("announced");
                running.insert((request.arrival.0 + service, request.id));
                log.push((request.arrival.0, request.session.map(|s| s.0), request.turn));
            }
            (_, Some((end, id))) => {
                running.remove(&(end, id));
                workload.ended(id, SimTime(end));
            }
            (None | Some(_), None) => break,
        }
    }
    log
}

/// Two sessions, one with a recorded delay, and a single request.
fn recorded() -> Trace {
    let text = r#"{"session_id": "a", "timestamp": 0, "input_length": 5, "output_length": 1}
{"session_id": "b", "timestamp": 1000, "input_length": 5, "output_length": 1}
{"session_id": "a", "timestamp": 2000, "input_length": 5, "output_length": 1}
{"timestamp": 2500, "input_length": 5, "output_length": 1}
{"session_id": "b", "timestamp": 30000, "input_length": 5, "output_length": 1, "delay": 4000}
"#;
    read_bytes(text.as_bytes(), &ReadOptions::default()).expect("good")
}

#[test]
fn a_turn_waits_for_the_turn_before() {
    let ms = S / 1000;
    for (mode, service, expected) in [
        (Loop::Open, 10 * S, [0, 1000, 2000, 2500, 30_000]),
        // a's second turn waits for 10 s + 1 s; b's comes at its own time.
        (Loop::Sessions { think: SimTime(S) }, 10 * S, [0, 1000, 2500, 11_000, 30_000]),
        // b's second turn waits 4 s after 1 s + 40 s.
        (Loop::Sessions { think: SimTime(S) }, 40 * S, [0, 1000, 2500, 41_000, 45_000]),
        // One user: session a, then b, then the single request, a second apart (b's own delay is 4 s).
        (Loop::Users { count: 1, think: SimTime(S) }, 10 * S, [0, 11_000, 22_000, 36_000, 47_000]),
        // Two users: a and b at once.
        (Loop::Users { count: 2, think: SimTime(S) }, 10 * S, [0, 0, 11_000, 14_000, 22_000]),
    ] {
        let arrivals: Vec<u64> =
            play(&mut *recorded().into_loop(mode), service, 99).iter().map(|&(at, ..)| at / ms).collect();
        assert_eq!(arrivals, expected, "{mode:?} {service}");
    }
}

#[test]
fn generators_close_their_loops_too() {
    let def = generator_by_name("multi-turn").expect("a generator");
    for mode in [Loop::Sessions { think: SimTime(S) }, Loop::Users { count: 7, think: SimTime::ZERO }] {
        let options = GenOptions { requests: Some(2000), mode, ..GenOptions::default() };
        let params = json!({"think": {"constant": 3}, "gap": {"constant": 0.5}});
        let mut workload = def.generate(&params, &options).expect("sound");
        let log = play(&mut *workload, 10 * S, 5000);
        assert_eq!(log.len(), 2000);
        assert!(log.is_sorted_by_key(|&(at, ..)| at), "{mode:?}");
        let mut last = std::collections::BTreeMap::new();
        for &(at, session, turn) in &log {
            if let Some((before, turn_before)) = last.insert(session, (at, turn)) {
                assert_eq!((at - before, turn), (13 * S, turn_before + 1), "{mode:?}: 10 s of service, 3 s of thought");
            }
        }
        if let Loop::Users { count, .. } = mode {
            // At most so many within any 10 s.
            let crowd = log.windows(count as usize + 1).all(|w| w[count as usize].0 - w[0].0 >= 10 * S);
            assert!(crowd, "never more than {count} at once");
        }
    }
}

#[test]
fn jitter_spreads_ticks_and_keeps_their_bounds() {
    let text: Vec<String> = (0..300)
        .map(|n| format!("{{\"timestamp\": {}, \"input_length\": 5, \"output_length\": {}}}\n", n / 30 * 3000, n + 1))
        .collect();
    let plain = read_bytes(text.concat().as_bytes(), &ReadOptions::default()).expect("good");
    let mut trace = plain.clone();
    trace.jitter_ticks(1);
    assert!(trace.requests.is_sorted_by_key(|r| r.arrival) && trace.requests.windows(2).all(|w| w[0].id < w[1].id));
    let mut distinct: Vec<u64> = trace.requests.iter().map(|r| r.arrival.0).collect();
    distinct.dedup();
    assert!(distinct.len() > 290, "{}", distinct.len());
    for request in &trace.requests {
        // The output length tells which row it was.
        let before = plain.requests[request.output_tokens as usize - 1].arrival;
        assert!(request.arrival >= before && request.arrival.0 < before.0 + 3 * S);
    }
}

#[test]
fn retiming_keeps_sessions_together() {
    let mut trace = recorded();
    trace.retime(&ArrivalSpec::default(), 0.01, 4).expect("within 200 days");
    let turns = |session: u32| {
        let of = trace.requests.iter().filter(|r| r.session.is_some_and(|s| s.0 == session));
        of.map(|r| r.arrival.0).collect::<Vec<_>>()
    };
    assert_eq!((turns(0)[1] - turns(0)[0], turns(1)[1] - turns(1)[0]), (2 * S, 29 * S));
    assert!(trace.retime(&ArrivalSpec::default(), 1e-9, 4).is_err(), "refused beyond 200 days");
    let def = generator_by_name("no-sharing").expect("a generator");
    let rare = GenOptions { rate: Some(1e-9), requests: Some(10), ..GenOptions::default() };
    assert!(def.generate(&Value::Null, &rare).expect("sound").next().is_none(), "ends before the clock does");
}
