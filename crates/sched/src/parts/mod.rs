//! Building blocks that several schedulers share: hashes, a consistent-hash ring, candidate choice, prefix keys that
//! follow traffic, measures of load; for routers that keep their own picture of the caches, three approximate prefix
//! indexes ([`RadixTree`], [`BlockLru`], [`BlockTtl`]); and a queue of parked requests.

mod active_blocks;
mod block_lru;
mod block_ttl;
mod choices;
mod hash;
mod holders;
mod hotness;
mod load;
mod periodic;
mod radix;
mod recency;
mod ring;
mod saturation;
mod send_rates;
mod text;
mod ties;
mod waiting;

pub use active_blocks::ActiveBlocks;
pub use block_lru::BlockLru;
pub use block_ttl::BlockTtl;
pub use choices::{Candidates, Choices, MAX_CHOICES, Placement};
pub use hash::{hash64, mix64, rendezvous};
pub use hotness::{HotnessTree, Key, KeyRule};
pub use load::{LOADS, Load};
pub use periodic::Periodic;
pub use radix::{RadixTree, UnionMatch};
pub use ring::Ring;
pub use saturation::{Detector, Limits, shed_probability, token_load};
pub use send_rates::SendRates;
pub use text::{Text, characters};
pub use ties::Ties;
pub use waiting::{Order, Waiting};
