//! Building blocks that several schedulers share: hashes, a consistent-hash ring, candidate choice, prefix keys that
//! follow traffic, measures of load.

mod choices;
mod hash;
mod hotness;
mod load;
mod ring;

pub use choices::{Candidates, Choices, MAX_CHOICES, Placement};
pub use hash::{hash64, mix64, rendezvous};
pub use hotness::{HotnessTree, Key, KeyRule};
pub use load::{LOADS, Load};
pub use ring::Ring;
