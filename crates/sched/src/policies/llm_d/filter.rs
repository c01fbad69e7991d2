//! llm-d's filters: each narrows the endpoints down, and none leaves nothing.

use trimtab_core::InstanceId;

use super::params::{Filter, Unit};
use super::scene::Scene;
use crate::parts::Ties;

impl Filter {
    /// Takes out what does not pass.
    pub(super) fn apply(&self, scene: &Scene<'_>, ties: &mut Ties, among: &mut Vec<InstanceId>) {
        match *self {
            Self::PrefixCacheAffinity { threshold, exploration, max_ttft_penalty_ms } => {
                if among.len() > 1 && threshold > 0.0 && ties.unit() >= exploration {
                    prefer_cached(scene, threshold, max_ttft_penalty_ms, among);
                }
            }
            Self::SloHeadroomTier { exploration } => {
                let meets = |i: InstanceId| scene.headroom(i).iter().all(|&left| left >= 0.0);
                let explore = ties.unit() < exploration;
                keep(among, |i| meets(i) != explore);
            }
            Self::SessionAffinity => keep(among, |i| scene.bound == Some(i)),
            Self::Utilization { headroom } => keep(among, |i| !scene.overused(i, headroom)),
            Self::Concurrency { unit, headroom } => keep(among, |i| {
                let (load, capacity) = scene.concurrency(i, matches!(unit, Unit::Tokens));
                load <= capacity * (1.0 + headroom)
            }),
        }
    }
}

/// Keeps those that pass, or all if none does.
fn keep(among: &mut Vec<InstanceId>, passes: impl Fn(InstanceId) -> bool) {
    if among.iter().any(|&i| passes(i)) {
        among.retain(|&i| passes(i));
    }
}

/// Keeps those that have enough of the prompt, unless the best of the others would answer much sooner.
fn prefer_cached(scene: &Scene<'_>, threshold: f64, penalty_ms: f64, among: &mut Vec<InstanceId>) {
    let cached = |i: InstanceId| scene.ratio(i) >= threshold;
    let soonest = |wanted: bool| {
        let times = among.iter().filter(|&&i| cached(i) == wanted).map(|&i| scene.ttft_s(i));
        times.min_by(f64::total_cmp)
    };
    if penalty_ms > 0.0
        && let (Some(there), Some(elsewhere)) = (soonest(true), soonest(false))
        && (there - elsewhere) * 1e3 > penalty_ms
    {
        return;
    }
    keep(among, cached);
}
