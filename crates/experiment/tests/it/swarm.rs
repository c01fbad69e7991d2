//! Random scenarios with anything that can go wrong: every invariant holds, and every feature is reached.

use trimtab_experiment::swarm::{Features, run};
use trimtab_sched::Registry;

#[test]
fn a_thousand_random_clusters_lose_nothing() {
    let registry = Registry::default();
    let mut reached = Features::default();
    for seed in 0..1000 {
        match run(seed, &registry) {
            Ok(features) => reached.add(&features),
            Err(why) => panic!("trimtab fuzz --seed {seed} --cases 1\n{why}"),
        }
    }
    for (feature, count) in reached.counts() {
        assert!(count >= 20, "{feature} was reached {count} times only");
    }
}
