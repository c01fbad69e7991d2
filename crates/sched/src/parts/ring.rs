//! A consistent-hash ring.

use trimtab_core::InstanceId;

use super::hash::hash64;

/// Instances at fixed pseudo-random points of a circle of 2^64 positions. A key belongs to the first instance clockwise
/// of its hash, so that one that joins or leaves moves only the keys of the arcs next to its points.
#[derive(Clone, Debug)]
pub struct Ring {
    points: Vec<u64>,
    owners: Vec<InstanceId>,
    /// For each value of a position's top bits, the first point at or after it: a lookup then reads two or three words
    /// whatever the number of instances.
    first: Vec<u32>,
    shift: u32,
}

impl Ring {
    /// A ring with `virtual_nodes` points for each member. Few points make arcs of very different lengths.
    pub fn new(members: &[InstanceId], virtual_nodes: u32, salt: u64) -> Self {
        let mut ring: Vec<(u64, InstanceId)> = members
            .iter()
            .flat_map(|&id| (0..virtual_nodes).map(move |v| (hash64(salt, u64::from(id.0) << 32 | u64::from(v)), id)))
            .collect();
        ring.sort_unstable();
        let bits = ring.len().next_power_of_two().trailing_zeros().max(1);
        let shift = u64::BITS - bits;
        let mut first = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for bucket in 0..1_u64 << bits {
            while at < ring.len() && ring[at].0 < bucket << shift {
                at += 1;
            }
            first.push(u32::try_from(at).expect("fewer than 2^32 points"));
        }
        let (points, owners) = ring.into_iter().unzip();
        Self { points, owners, first, shift }
    }

    /// The owners clockwise from a hash, once around. An instance appears once for each of its points.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = InstanceId> + '_ {
        let start = self.start(hash);
        self.owners[start..].iter().chain(&self.owners[..start]).copied()
    }

    /// The owner of a hash; `None` on an empty ring.
    pub fn owner(&self, hash: u64) -> Option<InstanceId> {
        self.walk(hash).next()
    }

    fn start(&self, hash: u64) -> usize {
        if self.points.is_empty() {
            return 0;
        }
        let mut at = self.first[usize::try_from(hash >> self.shift).expect("the table has an entry for each")] as usize;
        while at < self.points.len() && self.points[at] < hash {
            at += 1;
        }
        if at == self.points.len() { 0 } else { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(n: u32) -> Vec<InstanceId> {
        (0..n).map(InstanceId).collect()
    }

    #[test]
    fn lookup_equals_a_scan() {
        for (n, virtual_nodes) in [(1, 1), (2, 1), (8, 1), (8, 64), (100, 3)] {
            let ring = Ring::new(&members(n), virtual_nodes, 5);
            for key in 0..2000 {
                let hash = hash64(9, key);
                let slow = ring.points.iter().position(|&p| p >= hash).unwrap_or(0);
                assert_eq!(ring.owner(hash), Some(ring.owners[slow]), "{n} {virtual_nodes} {key}");
                assert_eq!(ring.walk(hash).count(), (n * virtual_nodes) as usize);
            }
        }
        assert_eq!(Ring::new(&[], 64, 0).owner(1), None);
    }

    #[test]
    fn points_at_the_edges() {
        let ring = Ring::new(&members(3), 2, 0);
        assert_eq!(ring.owner(0), Some(ring.owners[0]));
        assert_eq!(ring.owner(u64::MAX), Some(ring.owners[0]), "past the last point the circle closes");
        for (at, &point) in ring.points.iter().enumerate() {
            assert_eq!(ring.owner(point), Some(ring.owners[at]), "a point owns its own position");
        }
    }

    #[test]
    fn a_joining_member_takes_its_share() {
        let (eight, nine) = (Ring::new(&members(8), 64, 3), Ring::new(&members(9), 64, 3));
        let moved = (0..20_000).filter(|&key| {
            let hash = hash64(1, key);
            let (before, after) = (eight.owner(hash), nine.owner(hash));
            assert!(before == after || after == Some(InstanceId(8)));
            before != after
        });
        let share = moved.count() as f64 / 20_000.0;
        assert!((share - 1.0 / 9.0).abs() < 0.03, "{share}");
    }
}
