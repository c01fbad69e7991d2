//! From a key to its d candidate instances.

use serde::{Deserialize, Serialize};
use trimtab_core::InstanceId;

use super::hash::{hash64, rendezvous};
use super::ring::Ring;

/// The most candidates that a key can have.
pub const MAX_CHOICES: usize = 4;

/// How a key finds its candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Hash to a ring and take the first instance clockwise: stable when instances join and leave.
    Ring,
    /// Hash modulo the number of instances: even, and every key moves when the number changes.
    ModN,
    /// The highest hash of key and instance: stable and even, and looks at every instance.
    Rendezvous,
}

/// Distinct instances, in the order of the hash functions that chose them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    list: [InstanceId; MAX_CHOICES],
    len: u8,
}

impl Candidates {
    const NONE: Self = Self { list: [InstanceId(0); MAX_CHOICES], len: 0 };

    /// The instances, in that order.
    pub fn as_slice(&self) -> &[InstanceId] {
        &self.list[..usize::from(self.len)]
    }

    fn push(&mut self, instance: InstanceId) {
        self.list[usize::from(self.len)] = instance;
        self.len += 1;
    }

    fn holds(&self, instance: InstanceId) -> bool {
        self.as_slice().contains(&instance)
    }
}

/// Maps keys to candidates with `choices` independent hash functions.
#[derive(Debug)]
pub struct Choices {
    placement: Placement,
    count: usize,
    virtual_nodes: u32,
    salt: u64,
    ring: Option<Ring>,
}

impl Choices {
    /// Between 1 and [`MAX_CHOICES`] candidates for each key. `virtual_nodes` matters to the ring alone; another `salt`
    /// makes another mapping.
    pub fn new(placement: Placement, choices: usize, virtual_nodes: u32, salt: u64) -> Self {
        assert!((1..=MAX_CHOICES).contains(&choices), "between one and {MAX_CHOICES} candidates");
        Self { placement, count: choices, virtual_nodes, salt, ring: None }
    }

    /// To be called when an instance joined or left.
    pub fn members_changed(&mut self) {
        self.ring = None;
    }

    /// The candidates of a key: as many as there are choices, or all members where there are fewer.
    pub fn of(&mut self, key: u64, members: &[InstanceId]) -> Candidates {
        let wanted = self.count.min(members.len());
        let mut found = Candidates::NONE;
        let (salt, virtual_nodes) = (self.salt, self.virtual_nodes);
        for choice in 0..wanted {
            let seed = hash64(salt, choice as u64 + 1);
            let hash = hash64(seed, key);
            found.push(match self.placement {
                Placement::Ring => self
                    .ring
                    .get_or_insert_with(|| Ring::new(members, virtual_nodes, salt))
                    .walk(hash)
                    .find(|&i| !found.holds(i))
                    .expect("the ring holds every member"),
                Placement::ModN => {
                    let first = usize::try_from(hash % members.len() as u64).expect("below a length");
                    let (before, from) = members.split_at(first);
                    let mut around = from.iter().chain(before).copied();
                    around.find(|&i| !found.holds(i)).expect("there are more members than candidates")
                }
                Placement::Rendezvous => {
                    rendezvous(seed, key, members, found.as_slice()).expect("there are more members than candidates")
                }
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(n: u32) -> Vec<InstanceId> {
        (0..n).map(InstanceId).collect()
    }

    const ALL: [Placement; 3] = [Placement::Ring, Placement::ModN, Placement::Rendezvous];

    #[test]
    fn candidates_are_fixed_and_distinct() {
        for placement in ALL {
            for (n, d) in [(1, 2), (2, 2), (3, 4), (8, 1), (8, 2), (8, 4)] {
                let all = members(n);
                let (mut a, mut b) = (Choices::new(placement, d, 8, 3), Choices::new(placement, d, 8, 3));
                for key in 0..100_000 {
                    let found = a.of(key, &all);
                    assert_eq!(found, b.of(key, &all), "{placement:?} {n} {d} {key}");
                    let mut sorted = found.as_slice().to_vec();
                    sorted.sort_unstable();
                    sorted.dedup();
                    assert_eq!(sorted.len(), d.min(n as usize), "{placement:?} {n} {d} {key}");
                }
            }
        }
    }

    /// The share of keys whose pair changes when a ninth instance joins, averaged over salts: 2/9 in expectation.
    #[test]
    fn one_more_instance_changes_two_ninths_of_the_pairs() {
        for (placement, virtual_nodes) in [(Placement::Ring, 1), (Placement::Ring, 64), (Placement::Rendezvous, 1)] {
            let (keys, salts) = (4_000, 40);
            let mut changed = 0;
            for salt in 0..salts {
                let mut before = Choices::new(placement, 2, virtual_nodes, salt);
                let mut after = Choices::new(placement, 2, virtual_nodes, salt);
                for key in 0..keys {
                    let (old, new) = (before.of(key, &members(8)), after.of(key, &members(9)));
                    changed += u64::from(old != new);
                    let collided = old.as_slice()[1] != before_without_collision(&before, key);
                    assert!(old == new || new.holds(InstanceId(8)) || collided, "{placement:?}");
                }
            }
            let share = changed as f64 / (keys * salts) as f64;
            assert!((share - 2.0 / 9.0).abs() < 0.03, "{placement:?} {virtual_nodes}: {share}");
        }
    }

    /// Where the second hash alone would put a key.
    fn before_without_collision(choices: &Choices, key: u64) -> InstanceId {
        let hash = hash64(hash64(choices.salt, 2), key);
        match &choices.ring {
            Some(ring) => ring.owner(hash).unwrap(),
            None => rendezvous(hash64(choices.salt, 2), key, &members(8), &[]).unwrap(),
        }
    }

    /// The busiest of eight instances is a candidate for this many times its fair share of the keys.
    #[test]
    fn few_points_make_a_skewed_ring() {
        let mut skews = [1, 64].map(|virtual_nodes| {
            let salts = 40;
            let mut sum = 0.0;
            for salt in 0..salts {
                let mut choices = Choices::new(Placement::Ring, 2, virtual_nodes, salt);
                let mut hits = [0_u32; 8];
                for key in 0..4_000 {
                    for candidate in choices.of(key, &members(8)).as_slice() {
                        hits[candidate.index()] += 1;
                    }
                }
                sum += f64::from(*hits.iter().max().unwrap()) / 1_000.0;
            }
            sum / f64::from(u32::try_from(salts).unwrap())
        });
        for (skew, expected) in skews.iter_mut().zip([2.3, 1.22]) {
            assert!((*skew - expected).abs() < 0.15, "{skew} {expected}");
        }
    }
}
