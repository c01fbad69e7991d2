//! What a change of the cluster does to the homes of keys: DualMap's pairs against single homes, by placement.

use trimtab_core::InstanceId;
use trimtab_sched::parts::{Choices, Placement};

/// Of keys with `choices` homes each: the share with other homes after the change, and the share all of whose homes are
/// new, so that nothing of theirs is cached. Means over salts.
fn moved(placement: Placement, choices: usize, before: u32, after: u32) -> (f64, f64) {
    let members = |n: u32| (0..n).map(InstanceId).collect::<Vec<_>>();
    let (before, after) = (members(before), members(after));
    let (keys, salts) = (4_000_u64, 20_u64);
    let (mut other, mut cold) = (0_u32, 0_u32);
    for salt in 0..salts {
        let make = || Choices::new(placement, choices, 64, salt);
        let (mut then, mut now) = (make(), make());
        for key in 0..keys {
            let (old, new) = (then.of(key, &before), now.of(key, &after));
            let kept = new.as_slice().iter().filter(|home| old.as_slice().contains(home)).count();
            other += u32::from(kept < choices);
            cold += u32::from(kept == 0);
        }
    }
    let all = (keys * salts) as f64;
    (f64::from(other) / all, f64::from(cold) / all)
}

/// In expectation, with stable placement: a key keeps a home with the probability that it stays the first one; a pair is
/// cold when both homes change.
#[test]
fn pairs_keep_a_warm_home_more_often_than_single_homes() {
    use Placement::{ModN, Rendezvous, Ring};
    // placement, homes, before, after, share with another home, share without a warm one
    for (placement, choices, before, after, other, cold) in [
        (Ring, 1, 4, 8, 0.50, 0.50),
        (Rendezvous, 1, 4, 8, 0.50, 0.50),
        (ModN, 1, 4, 8, 0.50, 0.50),
        (Ring, 2, 4, 8, 0.78, 0.22),
        (Rendezvous, 2, 4, 8, 0.78, 0.22),
        (ModN, 2, 4, 8, 0.75, 0.22),
        (Ring, 1, 8, 4, 0.50, 0.50),
        (Ring, 2, 8, 4, 0.78, 0.22),
        (Rendezvous, 2, 8, 4, 0.78, 0.22),
        (Ring, 1, 8, 9, 0.11, 0.11),
        (Rendezvous, 1, 8, 9, 0.11, 0.11),
        (ModN, 1, 8, 9, 0.89, 0.89),
        (Ring, 2, 8, 9, 0.22, 0.00),
        (Rendezvous, 2, 8, 9, 0.22, 0.00),
        (ModN, 2, 8, 9, 0.97, 0.57),
    ] {
        let (got_other, got_cold) = moved(placement, choices, before, after);
        let near = |got: f64, expected: f64| (got - expected).abs() < 0.05;
        assert!(
            near(got_other, other) && near(got_cold, cold),
            "{placement:?}, {choices} homes, {before} to {after}: {got_other:.3} of the keys have another home, {got_cold:.3} no \
             warm one"
        );
    }
}
