//! The vocabulary of trimtab: integer time, dense ids, requests, the prefix forest, named random streams and exact
//! quantiles.
//!
//! Architecture invariant: this crate does no IO, reads no clock, draws no unseeded random number and knows no policy.

mod forest;
mod gaps;
mod ids;
mod nearest;
pub mod params;
mod quantile;
mod request;
mod rng;
mod time;

pub use forest::{ForestError, PrefixForest};
pub use gaps::Gaps;
pub use ids::{InstanceId, PrefixId, RequestId, SessionId, TenantId};
pub use nearest::nearest_name;
pub use quantile::{Summary, mean_ps, nearest_rank};
pub use request::{FixedWorkload, Prompt, Request, Workload};
pub use rng::{RngStreams, StreamRng, exponential, normal, uniform01};
pub use time::{ClockRanOut, PS_PER_MS, PS_PER_S, PS_PER_US, SimTime};
