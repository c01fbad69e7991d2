//! llm-d's scorers: each rates the endpoints that are left from 0 to 1.

use trimtab_core::InstanceId;

use super::params::{Scorer, Strategy};
use super::scene::Scene;

/// Which endpoints were sent cold requests, the most recent last.
#[derive(Debug, Default)]
pub(super) struct ColdOrder(Vec<InstanceId>);

impl ColdOrder {
    /// A request that nobody had anything of was sent there.
    pub(super) fn record(&mut self, to: InstanceId, size: usize) {
        self.forget(to);
        self.0.push(to);
        let excess = self.0.len().saturating_sub(size.max(1));
        self.0.drain(..excess);
    }

    pub(super) fn forget(&mut self, endpoint: InstanceId) {
        self.0.retain(|&i| i != endpoint);
    }

    /// From 1 for the one whose turn it is to 0: first those never used, then the least recently used.
    fn scores(&self, among: &[InstanceId]) -> Vec<f64> {
        let turn = |i: &InstanceId| self.0.iter().position(|used| used == i).map_or(0, |at| at + 1);
        let mut order: Vec<usize> = (0..among.len()).collect();
        order.sort_by_key(|&at| turn(&among[at]));
        let mut scores = vec![1.0; among.len()];
        for (rank, at) in order.into_iter().enumerate() {
            if among.len() > 1 {
                scores[at] = 1.0 - rank as f64 / (among.len() - 1) as f64;
            }
        }
        scores
    }
}

impl Scorer {
    /// The scores of the endpoints, in their order.
    pub(super) fn scores(&self, scene: &Scene<'_>, cold: &ColdOrder, among: &[InstanceId]) -> Vec<f64> {
        let each = |score: &dyn Fn(InstanceId) -> f64| among.iter().map(|&i| score(i).clamp(0.0, 1.0)).collect();
        let report = |i| scene.view.snapshot(i);
        match *self {
            Self::PrefixCache { .. } | Self::PrecisePrefixCache { .. } => each(&|i| scene.ratio(i)),
            Self::Queue { .. } => fewest(among.iter().map(|&i| report(i).waiting)),
            Self::KvCacheUtilization { .. } => each(&|i| 1.0 - report(i).kv_use()),
            Self::RunningRequestsSize { .. } => fewest(among.iter().map(|&i| report(i).running)),
            Self::LoadAware { threshold, .. } => each(&|i| match report(i).waiting {
                0 => 0.5,
                waiting => 0.5 * (1.0 - f64::from(waiting).min(threshold) / threshold),
            }),
            Self::ActiveRequest { idle_threshold, max_busy_score, .. } => {
                let most = f64::from(among.iter().map(|&i| scene.in_flight(i)).max().unwrap_or(0));
                each(&|i| match scene.in_flight(i) {
                    few if few <= idle_threshold => 1.0,
                    many => (most - f64::from(many)) / most * max_busy_score,
                })
            }
            Self::TokenLoad { threshold, .. } => each(&|i| 1.0 - (scene.token_load(i) / threshold).min(1.0)),
            Self::SessionAffinity { .. } => each(&|i| f64::from(u8::from(scene.bound == Some(i)))),
            Self::NoHitLru { .. } if among.iter().any(|i| scene.matched[i.index()] > 0) => vec![0.5; among.len()],
            Self::NoHitLru { .. } => cold.scores(among),
            Self::Latency { strategy, ttft_weight, tpot_weight, .. } => {
                let headrooms: Vec<[f64; 2]> = among.iter().map(|&i| scene.headroom(i)).collect();
                let idle: Vec<bool> = among.iter().map(|&i| scene.in_flight(i) == 0).collect();
                by_headroom(&headrooms, &idle, strategy, [ttft_weight, tpot_weight])
            }
        }
    }
}

/// From 1 for the fewest to 0 for the most, whatever they are; 1 for all when equal.
fn fewest(counts: impl Iterator<Item = u32> + Clone) -> Vec<f64> {
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.clone().max().unwrap_or(0));
    counts.map(|n| if least == most { 1.0 } else { f64::from(most - n) / f64::from(most - least) }).collect()
}

/// The lowest score of an endpoint that is considered; the others get 0.
const CONSIDERED: f64 = 0.01;

/// Scores by what is left of the objectives: among the endpoints that meet both, or else the idle ones, or else those
/// that miss the least important one.
fn by_headroom(headrooms: &[[f64; 2]], idle: &[bool], strategy: Strategy, weights: [f64; 2]) -> Vec<f64> {
    let meets = |h: &[f64; 2]| h[0] >= 0.0 && h[1] >= 0.0;
    let positive = headrooms.iter().any(meets);
    let any_idle = idle.iter().any(|&idle| idle);
    let tier = |at: usize| {
        let h = headrooms[at];
        match (positive, any_idle) {
            (true, _) => u8::from(!meets(&h)),
            (false, true) => u8::from(!idle[at]),
            (false, false) => u8::from(h[0] < 0.0) * 2 + u8::from(h[1] < 0.0),
        }
    };
    let best = (0..headrooms.len()).map(tier).min().unwrap_or(0);
    let considered: Vec<usize> = (0..headrooms.len()).filter(|&at| tier(at) == best).collect();
    let range = |d: usize| {
        let values = || considered.iter().map(|&at| headrooms[at][d]);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ranges = [range(0), range(1)];
    // A dimension in which all are equal says nothing; the other one then counts alone.
    let flat = ranges.map(|(low, high)| high <= low);
    let weights = match flat {
        [true, _] => [0.0, 1.0],
        [_, true] => [1.0, 0.0],
        _ => weights,
    };
    let mut scores = vec![0.0; headrooms.len()];
    for at in considered {
        let share = |d: usize| {
            let (low, high) = ranges[d];
            if flat[d] { 0.0 } else { weights[d] * (headrooms[at][d] - low) / (high - low) }
        };
        let left = share(0) + share(1);
        // Packing tightly: the least headroom that is enough. Where nothing is enough, the smallest deficit.
        let score = if positive && strategy == Strategy::Least { 1.0 - left } else { left };
        scores[at] = CONSIDERED + (1.0 - CONSIDERED) * score.clamp(0.0, 1.0);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden vector: used c, then a; b and d never.
    #[test]
    fn cold_requests_take_turns() {
        let [a, b, c, d] = [0, 1, 2, 3].map(InstanceId);
        let mut order = ColdOrder::default();
        order.record(c, 1024);
        order.record(a, 1024);
        for (among, expected) in [
            (vec![a, b, c, d], vec![0.0, 1.0, 1.0 / 3.0, 2.0 / 3.0]),
            (vec![a], vec![1.0]),
            (vec![a, c], vec![0.0, 1.0]),
        ] {
            for (score, expected) in order.scores(&among).into_iter().zip(expected) {
                assert!((score - expected).abs() < 1e-12, "{among:?}");
            }
        }
        order.record(c, 1);
        assert_eq!(order.scores(&[a, c]), [1.0, 0.0], "the list is as long as it may be");
    }

    #[test]
    fn fewest_is_free_of_scale() {
        for (counts, expected) in [
            (vec![0, 4], vec![1.0, 0.0]),
            (vec![0, 400], vec![1.0, 0.0]),
            (vec![7, 7], vec![1.0, 1.0]),
            (vec![2, 3, 6], vec![1.0, 0.75, 0.0]),
        ] {
            assert_eq!(fewest(counts.into_iter()), expected);
        }
    }

    /// The order of the endpoints, best first, of those that are considered.
    fn ranked(headrooms: &[[f64; 2]], idle: &[bool], strategy: Strategy) -> Vec<usize> {
        let scores = by_headroom(headrooms, idle, strategy, [0.8, 0.2]);
        let mut order: Vec<usize> = (0..scores.len()).filter(|&at| scores[at] > 0.0).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order
    }

    #[test]
    fn headroom_tiers() {
        let busy = [false; 4];
        for (headrooms, idle, strategy, expected) in [
            // Two meet both objectives: the tighter one, or the roomier.
            ([[3.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [9.0, -1.0]], busy, Strategy::Least, vec![2, 0]),
            ([[3.0, 1.0], [-1.0, 1.0], [1.0, 1.0], [9.0, -1.0]], busy, Strategy::Most, vec![0, 2]),
            // None does: those that miss only the time per token, the smallest deficit first.
            ([[3.0, -2.0], [-1.0, 1.0], [3.0, -1.0], [-9.0, -1.0]], busy, Strategy::Least, vec![2, 0]),
            // Then those that miss only the first token.
            ([[-3.0, 2.0], [-1.0, 2.0], [-1.0, -9.0], [-9.0, -1.0]], busy, Strategy::Least, vec![1, 0]),
            // An idle one comes before all that miss something.
            ([[3.0, -2.0], [-1.0, -1.0], [3.0, -1.0], [-9.0, -1.0]], [false, true, false, false], Strategy::Least, vec![1]),
            // No objectives: the lowest predicted latency, of which the first token counts for four fifths.
            ([[-5.0, -1.0], [-1.0, -5.0], [-9.0, -1.0], [-3.0, -1.0]], busy, Strategy::Least, vec![1, 3, 0, 2]),
        ] {
            assert_eq!(ranked(&headrooms, &idle, strategy), expected, "{headrooms:?} {strategy:?}");
        }
    }
}
