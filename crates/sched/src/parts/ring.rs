//! A consistent-hash ring.

use trimtab_core::InstanceId;

use super::hash::hash64;

/// Instances at fixed pseudo-random points of a circle of 2^32 positions. A key belongs to the first instance clockwise
/// of its hash, so that one that joins or leaves moves only the keys of the arcs next to its points.
///
/// Laid out so that a lookup touches two cache lines whatever the number of instances.
#[derive(Clone, Debug)]
pub struct Ring {
    points: Vec<(u32, InstanceId)>,
    /// For each value of a position's top bits, the first point at or after it; about four points share a value.
    first: Vec<u32>,
    shift: u32,
}

impl Ring {
    /// A ring with `virtual_nodes` points for each member. Few points make arcs of very different lengths.
    pub fn new(members: &[InstanceId], virtual_nodes: u32, salt: u64) -> Self {
        let point = |id: InstanceId, v: u32| (position(hash64(salt, u64::from(id.0) << 32 | u64::from(v))), id);
        let mut points: Vec<_> = members.iter().flat_map(|&id| (0..virtual_nodes).map(move |v| point(id, v))).collect();
        points.sort_unstable();
        let bits = (points.len() / 4).next_power_of_two().trailing_zeros().clamp(1, 31);
        let shift = u32::BITS - bits;
        let start = |bucket: u32| points.partition_point(|&(at, _)| at < bucket << shift);
        let first =
            (0..1 << bits).map(|bucket| u32::try_from(start(bucket)).expect("fewer than 2^32 points")).collect();
        Self { points, first, shift }
    }

    /// The owners clockwise from a hash, once around. An instance appears once for each of its points.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = InstanceId> + '_ {
        let (before, from) = self.points.split_at(self.start(position(hash)));
        from.iter().chain(before).map(|&(_, owner)| owner)
    }

    /// The owner of a hash; `None` on an empty ring.
    pub fn owner(&self, hash: u64) -> Option<InstanceId> {
        self.walk(hash).next()
    }

    fn start(&self, position: u32) -> usize {
        let from = self.first[(position >> self.shift) as usize] as usize;
        let passed = self.points[from..].iter().take_while(|&&(at, _)| at < position).count();
        if from + passed == self.points.len() { 0 } else { from + passed }
    }
}

/// Where a hash lies on the circle.
fn position(hash: u64) -> u32 {
    (hash >> 32) as u32
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
                let slow = ring.points.iter().position(|&(at, _)| at >= position(hash)).unwrap_or(0);
                assert_eq!(ring.owner(hash), Some(ring.points[slow].1), "{n} {virtual_nodes} {key}");
                assert_eq!(ring.walk(hash).count(), (n * virtual_nodes) as usize);
            }
        }
        assert_eq!(Ring::new(&[], 64, 0).owner(1), None);
    }

    #[test]
    fn points_at_the_edges() {
        let ring = Ring::new(&members(3), 2, 0);
        assert_eq!(ring.owner(0), Some(ring.points[0].1));
        assert_eq!(ring.owner(u64::MAX), Some(ring.points[0].1), "past the last point the circle closes");
        for &(at, owner) in &ring.points {
            assert_eq!(ring.owner(u64::from(at) << 32), Some(owner), "a point owns its own position");
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
