//! Who is served how well: statistics by tenant and by priority class, slowdowns, and how evenly they are spread.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, SimTime, Summary};
use trimtab_engine::{InstanceConfig, Row};

use crate::metrics::Quantiles;
use crate::objectives::Objectives;

/// The statistics of the measured requests of one tenant or one priority class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartMetrics {
    /// The tenant's number, or the priority.
    pub of: i64,
    /// Measured requests.
    pub requests: u64,
    /// Time to first token.
    pub ttft_s: Quantiles,
    /// Mean time per output token after the first.
    pub tpot_s: Quantiles,
    /// Arrival to last token.
    pub e2e_s: Quantiles,
    /// Share whose first token came in time.
    pub slo_attainment: Option<f64>,
    /// Share within all objectives.
    pub joint_attainment: Option<f64>,
    /// Hit tokens over prompt tokens.
    pub hit_ratio: Option<f64>,
    /// Tokens generated for completed requests.
    pub output_tokens: u64,
    /// Times over what they would have been alone.
    pub slowdown: Quantiles,
}

/// What requests would take alone on an instance with an empty cache.
struct Alone<'a> {
    instance: &'a InstanceConfig,
    /// The decode steps of one sequence with a context of 0, 1, ...: when each ends, if all were done in turn. Filled as
    /// far as needed, and only by a cost that is not linear in the context: a walk for each request would cost more than
    /// the simulation.
    ends: Vec<u64>,
}

impl<'a> Alone<'a> {
    fn on(instance: &'a InstanceConfig) -> Self {
        Self { instance, ends: vec![0] }
    }

    /// Prefill in chunks of the token budget, then one decode step for each token after the first.
    fn time(&mut self, row: &Row) -> u128 {
        let instance = self.instance;
        let prefill = instance.cost.prefill_time(row.prompt_tokens, 0, instance.max_batched_tokens);
        let (from, steps) = (u64::from(row.prompt_tokens) + 1, u64::from(row.output_tokens.saturating_sub(1)));
        u128::from(prefill) + self.decode(from, steps)
    }

    /// `steps` decode steps, the first with a context of `from`.
    fn decode(&mut self, from: u64, steps: u64) -> u128 {
        let (mut total, mut done) = (0, 0);
        while done < steps {
            let line = self.instance.cost.line(1, from + done);
            if line.steps == 1 {
                return total + u128::from(self.end(from + steps) - self.end(from + done));
            }
            let piece = line.steps.min(steps - done);
            total += line.total(piece);
            done += piece;
        }
        total
    }

    fn end(&mut self, context: u64) -> u64 {
        let (at, filled) = (usize::try_from(context).expect("a context fits memory"), self.ends.len());
        if at >= filled {
            self.ends.resize(at + 1, 0);
            self.instance.cost.durations(1, filled as u64 - 1, &mut self.ends[filled..]);
            for next in filled..=at {
                self.ends[next] = self.ends[next].saturating_add(self.ends[next - 1]);
            }
        }
        self.ends[at]
    }
}

/// Slowdowns of all requests, in billionths of a thousandth, absent for those that did not complete: the time from end to
/// end, over what it would have been alone on the instance with an empty cache. Below 1 when the prefix was cached.
pub(crate) fn slowdowns(rows: &[Row], instances: &[InstanceConfig]) -> Vec<Option<u64>> {
    let mut alone: Vec<Alone<'_>> = Vec::new();
    let kinds: Vec<usize> = instances.iter().map(|instance| kind(&mut alone, instance)).collect();
    let slowdown = |row: &Row| {
        let kind = *kinds.get(row.instance.index()).or(kinds.first())?;
        let parts = u128::from(row.e2e()?.0) * u128::from(PS_PER_S) / alone[kind].time(row).max(1);
        Some(u64::try_from(parts).unwrap_or(u64::MAX))
    };
    rows.iter().map(slowdown).collect()
}

/// Instances with one cost and one budget share an entry.
fn kind<'a>(alone: &mut Vec<Alone<'a>>, instance: &'a InstanceConfig) -> usize {
    let same = |other: &Alone<'_>| {
        Arc::ptr_eq(&other.instance.cost, &instance.cost)
            && other.instance.max_batched_tokens == instance.max_batched_tokens
    };
    alone.iter().position(same).unwrap_or_else(|| {
        alone.push(Alone::on(instance));
        alone.len() - 1
    })
}

/// Mean and quantiles of slowdowns.
pub(crate) fn spread(slowdowns: impl Iterator<Item = Option<u64>>) -> Quantiles {
    // A second of picoseconds stands for a slowdown of 1.
    Summary::of(&mut slowdowns.flatten().collect::<Vec<u64>>()).into()
}

/// The statistics by some key, in its order; empty when all requests have the same.
pub(crate) fn parts(
    rows: &[Row],
    slowdowns: &[Option<u64>],
    objectives: &Objectives,
    key: impl Fn(&Row) -> i64,
) -> Vec<PartMetrics> {
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        members.entry(key(row)).or_default().push(index);
    }
    if members.len() < 2 {
        return Vec::new();
    }
    members.into_iter().map(|(of, members)| part(of, rows, &members, slowdowns, objectives)).collect()
}

fn part(of: i64, rows: &[Row], members: &[usize], slowdowns: &[Option<u64>], objectives: &Objectives) -> PartMetrics {
    let all = || members.iter().map(|&index| &rows[index]);
    let times = |get: fn(&Row) -> Option<SimTime>| -> Quantiles {
        Summary::of(&mut all().filter_map(get).map(|time| time.0).collect::<Vec<u64>>()).into()
    };
    let sum = |get: fn(&Row) -> u32| all().map(|row| u64::from(get(row))).sum::<u64>();
    let (hits, tokens) = (sum(|row| row.hit_tokens), sum(|row| row.prompt_tokens));
    PartMetrics {
        of,
        requests: members.len() as u64,
        ttft_s: times(Row::ttft),
        tpot_s: times(Row::tpot),
        e2e_s: times(Row::e2e),
        slo_attainment: objectives.ttft_attainment(all()),
        joint_attainment: objectives.joint_attainment(all()),
        hit_ratio: (tokens > 0).then(|| hits as f64 / tokens as f64),
        output_tokens: sum(|row| if row.e2e().is_some() { row.output_tokens } else { 0 }),
        slowdown: spread(members.iter().map(|&index| slowdowns[index])),
    }
}

/// Jain's index of fairness: 1 when all are equal, 1/n when one has everything.
pub fn jain(values: &[f64]) -> Option<f64> {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v));
    (squares > 0.0).then(|| sum * sum / (values.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use trimtab_core::{InstanceId, TenantId};
    use trimtab_engine::cost::{Linear, Polynomial, StepCost, StepShape};
    use trimtab_engine::{CacheConfig, EvictionConfig, Mixing, Order, Outcome};

    use super::*;
    use crate::scenario::{ClassSlo, Slo};

    /// 1 ms a step, 1 us a prompt token, 10 ns a token of context.
    fn instance() -> InstanceConfig {
        let cost = Linear { step: 1_000_000_000, per_prefill_token: 1_000_000, per_seq: 0, per_context: 10_000 };
        InstanceConfig {
            cost: Arc::new(cost),
            kv_blocks: 1000,
            block_tokens: 16,
            max_batched_tokens: 64,
            max_seqs: 4,
            mixing: Mixing::default(),
            order: Order::default(),
            watermark_blocks: 0,
            cache: CacheConfig::default(),
            eviction: EvictionConfig::default(),
        }
    }

    fn row(tenant: u16, priority: i16, ttft_ms: u64, e2e_ms: u64) -> Row {
        let at = |ms: u64| SimTime(ms * 1_000_000_000);
        Row {
            arrival: at(0),
            routed: at(0),
            admitted: at(0),
            first_token: at(ttft_ms),
            finish: at(e2e_ms),
            instance: InstanceId(0),
            prompt_tokens: 100,
            hit_tokens: 20,
            hit_blocks: 1,
            believed_tokens: 0,
            cached_tokens: 0,
            loaded_tokens: 0,
            recomputed_tokens: 0,
            output_tokens: 3,
            preemptions: 0,
            migrations: 0,
            retries: 0,
            lost: 0,
            hung_up: 0,
            tenant: TenantId(tenant),
            priority,
            outcome: Outcome::Completed,
        }
    }

    #[test]
    fn a_request_alone_by_hand() {
        // Chunks of 64 and 36 tokens: 2 steps and 100 us. Decodes over 101 and 102 tokens of context: 2 steps and 2030 ns.
        let expected = 4 * 1_000_000_000 + 100 * 1_000_000 + 203 * 10_000;
        assert_eq!(Alone::on(&instance()).time(&row(0, 0, 1, 2)), expected);
    }

    #[test]
    fn a_curved_cost_is_summed_step_by_step() {
        let cost = Polynomial { kv_tokens: 1000 };
        let curved = InstanceConfig { cost: Arc::new(cost), ..instance() };
        let mut alone = Alone::on(&curved);
        for (from, steps) in [(101, 2), (50, 0), (7, 900), (300, 40)] {
            let expected: u64 = (from..from + steps).map(|context| cost.step(&StepShape::decode(1, context))).sum();
            assert_eq!(alone.decode(from, steps), u128::from(expected), "{from} {steps}");
        }
    }

    #[test]
    fn parts_are_told_apart() {
        let rows = [row(0, 0, 10, 20), row(1, 0, 30, 60), row(1, 5, 30, 100)];
        let slow = slowdowns(&rows, &[instance()]);
        let class = ClassSlo { priority: 5, ttft_s: Some(0.05), ..ClassSlo::default() };
        let slo = Slo { ttft_s: Some(0.02), e2e_s: Some(0.08), class: vec![class], ..Slo::default() };
        let objectives = Objectives::of(&slo);
        let tenants = parts(&rows, &slow, &objectives, |row| i64::from(row.tenant.0));
        assert_eq!(tenants.iter().map(|t| (t.of, t.requests)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        assert_eq!((tenants[0].slo_attainment, tenants[0].joint_attainment), (Some(1.0), Some(1.0)));
        // The ordinary request is late; that of class 5 has more time to its first token, but not to its end.
        assert_eq!((tenants[1].slo_attainment, tenants[1].joint_attainment), (Some(0.5), Some(0.0)));
        assert_eq!(tenants[1].hit_ratio, Some(0.2));
        let ratio = tenants[1].slowdown.max.unwrap() / tenants[0].slowdown.max.unwrap();
        assert!((ratio - 5.0).abs() < 1e-9, "{ratio}");
        let classes = parts(&rows, &slow, &objectives, |row| i64::from(row.priority));
        assert_eq!(classes.iter().map(|c| c.of).collect::<Vec<_>>(), [0, 5]);
        assert!(parts(&rows[..1], &slow[..1], &objectives, |row| i64::from(row.priority)).is_empty());
    }

    #[test]
    fn jain_by_hand() {
        for (values, expected) in [
            (&[2.0, 2.0, 2.0][..], Some(1.0)),
            (&[1.0, 0.0, 0.0, 0.0], Some(0.25)),
            (&[1.0, 3.0], Some(0.8)),
            (&[], None),
        ] {
            assert_eq!(jain(values), expected, "{values:?}");
        }
    }
}
