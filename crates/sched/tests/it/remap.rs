//! What a change of the cluster does to the homes of keys: DualMap's pairs against single homes, by placement.

use trimtab_core::InstanceId;
use trimtab_sched::parts::{Choices, Placement};

/// Of keys with `choices` homes each: the share with other homes after the change, and the share all of whose homes are
/// new, so that nothing of theirs is cached. Means over salts.
fn moved(placement: Placement, choices: usize, before: &[InstanceId], after: &[InstanceId]) -> (f64, f64) {
    let (keys, salts) = (4_000_u64, 20_u64);
    let (mut other, mut cold) = (0_u32, 0_u32);
    for salt in 0..salts {
        let make = || Choices::new(placement, choices, 64, salt);
        let (mut then, mut now) = (make(), make());
        for key in 0..keys {
            let (old, new) = (then.of(key, before), now.of(key, after));
            let kept = new.as_slice().iter().filter(|home| old.as_slice().contains(home)).count();
            other += u32::from(kept < choices);
            cold += u32::from(kept == 0);
        }
    }
    let all = (keys * salts) as f64;
    (f64::from(other) / all, f64::from(cold) / all)
}

fn members(n: u32) -> Vec<InstanceId> {
    (0..n).map(InstanceId).collect()
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
        let (got_other, got_cold) = moved(placement, choices, &members(before), &members(after));
        let near = |got: f64, expected: f64| (got - expected).abs() < 0.05;
        assert!(
            near(got_other, other) && near(got_cold, cold),
            "{placement:?}, {choices} homes, {before} to {after}: {got_other:.3} of the keys have another home, {got_cold:.3} no \
             warm one"
        );
    }
}

/// A rolling restart takes one instance away after the other, and each comes back under its own id.
#[test]
fn while_one_instance_of_eight_is_away_its_keys_alone_move_unless_homes_are_counted_modulo() {
    use Placement::{ModN, Rendezvous, Ring};
    let all = members(8);
    // placement, homes, share with another home, share without a warm one
    for (placement, choices, other, cold) in [
        (Ring, 1, 0.125, 0.125),
        (Rendezvous, 1, 0.125, 0.125),
        (ModN, 1, 0.875, 0.875),
        (Ring, 2, 0.25, 0.00),
        (Rendezvous, 2, 0.25, 0.00),
        (ModN, 2, 0.96, 0.54),
    ] {
        let without = |away: u32| all.iter().copied().filter(|id| id.0 != away).collect::<Vec<_>>();
        let away: Vec<(f64, f64)> = (0..8).map(|away| moved(placement, choices, &all, &without(away))).collect();
        let mean = |share: fn(&(f64, f64)) -> f64| away.iter().map(share).sum::<f64>() / 8.0;
        let (got_other, got_cold) = (mean(|shares| shares.0), mean(|shares| shares.1));
        assert!(
            (got_other - other).abs() < 0.05 && (got_cold - cold).abs() < 0.05,
            "{placement:?}, {choices} homes: {got_other:.3} of the keys have another home, {got_cold:.3} no warm one"
        );
        let mut choices = Choices::new(placement, choices, 64, 1);
        let before: Vec<_> = (0..1000).map(|key| choices.of(key, &all)).collect();
        choices.members_changed();
        choices.of(0, &without(3));
        choices.members_changed();
        let after: Vec<_> = (0..1000).map(|key| choices.of(key, &all)).collect();
        assert_eq!(before, after, "{placement:?}: whoever comes back finds its keys");
    }
}
