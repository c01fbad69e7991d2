//! Fixed hashes: stored results depend on them, so they never change.

use trimtab_core::InstanceId;

/// The output function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64 bits in which every input
/// bit moves half of the output bits.
pub const fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// One of a family of independent hashes: `seed` chooses which.
pub const fn hash64(seed: u64, x: u64) -> u64 {
    mix64(mix64(seed) ^ x)
}

/// Rendezvous hashing (Thaler and Ravishankar, 1998): the member whose hash with the key is highest, among those not in
/// `except`. A member that joins or leaves moves only the keys that it wins or held.
pub fn rendezvous(seed: u64, key: u64, members: &[InstanceId], except: &[InstanceId]) -> Option<InstanceId> {
    let own = hash64(seed, key);
    members.iter().copied().filter(|i| !except.contains(i)).max_by_key(|i| hash64(own, u64::from(i.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_fixed() {
        // The first outputs of SplitMix64 from seed 0, as published with it.
        let step = |k: u64| mix64(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(k));
        assert_eq!([step(0), step(1), step(2)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!([hash64(0, 0), hash64(1, 0), hash64(0, 1)], GOLDEN);
    }

    // Golden: a change here changes every stored result.
    const GOLDEN: [u64; 3] = [12_035_550_249_420_947_055, 6_791_897_765_849_424_158, 627_405_149_472_732_430];

    #[test]
    fn rendezvous_moves_only_what_it_must() {
        let members: Vec<InstanceId> = (0..9).map(InstanceId).collect();
        let mut moved = 0;
        for key in 0..10_000 {
            let before = rendezvous(7, key, &members[..8], &[]).unwrap();
            let after = rendezvous(7, key, &members, &[]).unwrap();
            assert!(after == before || after == InstanceId(8));
            moved += u32::from(after != before);
            assert_ne!(rendezvous(7, key, &members, &[after]), Some(after));
        }
        assert!((1000..1220).contains(&moved), "one key in nine moves: {moved}");
        assert_eq!(rendezvous(7, 1, &members[..1], &members[..1]), None);
    }
}
