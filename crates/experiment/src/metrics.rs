//! What a run is reduced to.

use serde::{Deserialize, Serialize};
use trimtab_core::{PS_PER_S, SimTime, Summary};
use trimtab_engine::{
    AdmissionRecord, BeliefSample, FleetRecord, Happened, InstanceTotals, Outcome, Row, RunResult, Stepping, WINDOW,
};

use crate::fairness::{self, PartMetrics};
use crate::objectives::Objectives;
use crate::recovery::{Recovery, Service, moving, recovery};
use crate::scenario::Scenario;

/// The statistics of one run. Times in seconds, shares from 0 to 1; absent where there is nothing to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// All requests, the warm-up included.
    pub requests: u64,
    /// Requests behind the statistics: those after the warm-up.
    pub measured: u64,
    /// All tokens came out (all requests).
    pub completed: u64,
    /// Turned away (all requests).
    pub rejected: u64,
    /// Lost with their instance, given up by their client, or never taken by any instance (all requests).
    pub failed: u64,
    /// From the first arrival to the last event.
    pub makespan_s: f64,
    /// Time to first token.
    pub ttft_s: Quantiles,
    /// Mean time per output token after the first, of requests with at least two.
    pub tpot_s: Quantiles,
    /// Arrival to last token.
    pub e2e_s: Quantiles,
    /// Arrival to first admission.
    pub queue_s: Quantiles,
    /// Times between consecutive tokens of a request, stalls included (all requests).
    pub itl_s: Quantiles,
    /// Share of measured requests whose first token came within the objective; rejected and failed ones missed it.
    pub slo_attainment: Option<f64>,
    /// The same for all objectives of the spec at once.
    pub joint_attainment: Option<f64>,
    /// Completed requests per second of makespan.
    pub throughput_rps: f64,
    /// Measured requests within all objectives per second from the first measured arrival to the last event.
    pub goodput_rps: Option<f64>,
    /// Generated tokens per second of makespan.
    pub output_tokens_per_s: f64,
    /// Reuse of cached prompts at first admission, by four definitions.
    pub hit_ratio: HitRatio,
    /// What the router believed cached where it sent requests, against what was.
    #[serde(default)]
    pub belief: Belief,
    /// Time mean of standard deviation over mean of pending prefill tokens across instances, while any are pending.
    pub load_cv: f64,
    /// Share of instance-time in 10 s windows that are busy for more than 80 %.
    pub hotspot_share: f64,
    /// How often a request lost its KV.
    pub preemptions: u64,
    /// Tokens processed again.
    pub recomputed_tokens: u64,
    /// Moves of queued requests.
    pub migrations: u64,
    /// Cached blocks evicted.
    pub evicted_blocks: u64,
    /// Engine iterations.
    pub iterations: u64,
    /// Time from end to end over what it would have been alone on an instance with an empty cache.
    pub slowdown: Quantiles,
    /// The largest of the tenants' mean slowdowns, when there are several tenants.
    pub tenant_slowdown_max: Option<f64>,
    /// Jain's index of the tenants' mean slowdowns: 1 when all are slowed down alike.
    pub jain_tenants: Option<f64>,
    /// One entry per priority class, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<PartMetrics>,
    /// One entry per tenant, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per_tenant: Vec<PartMetrics>,
    /// One entry per instance that ever could serve.
    pub per_instance: Vec<InstanceMetrics>,
    /// What the admission policies did, one entry each, when there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admission: Vec<AdmissionMetrics>,
    /// What the changes of the cluster came to, when it could change or clients could hang up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetMetrics>,
}

/// What an admission policy did. A request whose client asks again counts again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdmissionMetrics {
    /// Its name.
    pub kind: String,
    /// How often it was asked.
    pub asked: u64,
    /// How many it let in, at once or later.
    pub let_in: u64,
    /// How many it turned away when they asked.
    pub rejected: u64,
    /// How many it turned away after they had waited.
    pub expired: u64,
    /// How many lost patience while they waited.
    pub left: u64,
    /// How many had to wait, and how long on average.
    pub waited: u64,
    /// Mean time that these waited.
    pub waited_mean_s: Option<f64>,
    /// The most that waited at a time.
    pub most_waiting: u64,
}

impl From<&AdmissionRecord> for AdmissionMetrics {
    fn from(record: &AdmissionRecord) -> Self {
        let AdmissionRecord { name, asked, let_in, rejected, expired, left, waited, waited_ps, most } = *record;
        let mean = (waited > 0).then(|| waited_ps as f64 / waited as f64 / PS_PER_S as f64);
        let kind = name.to_owned();
        Self { kind, asked, let_in, rejected, expired, left, waited, waited_mean_s: mean, most_waiting: most }
    }
}

/// What the changes of a cluster came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetMetrics {
    /// Instance time paid for, from the beginning of each start.
    pub instance_hours: f64,
    /// Measured requests that did not meet all objectives.
    pub violations: Option<u64>,
    /// Times a request was sent anew, by the router or by its client (all requests).
    pub retries: u64,
    /// Times a request lost its instance.
    pub lost: u64,
    /// Times a client hung up.
    pub hung_up: u64,
    /// Of the failed requests, those whose client hung up and did not ask again.
    #[serde(default)]
    pub abandoned: u64,
    /// Times a client was turned away and asked again.
    #[serde(default)]
    pub turned_back: u64,
    /// Instances that joined, stopped and failed.
    pub joined: u64,
    /// Instances that stopped after they had finished their work.
    pub stopped: u64,
    /// Instances that failed.
    pub failed: u64,
    /// What the changes did to service, when any came while requests arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// By 30 s of arrival, beginning every 10 s from the first arrival on.
    #[serde(default)]
    pub moving: Vec<Service>,
    /// By 10 s of arrival, from the first arrival on.
    pub windows: Vec<FleetWindow>,
}

/// The requests that arrived in 10 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetWindow {
    /// Since the first arrival.
    pub from_s: f64,
    /// Instances that could be chosen at its end.
    pub members: u32,
    /// How many arrived.
    pub requests: u64,
    /// How they were served.
    #[serde(flatten)]
    pub service: Service,
}

/// Mean and nearest-rank quantiles in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many samples.
    pub n: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90 %.
    pub p90: Option<f64>,
    /// 95 %.
    pub p95: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
}

/// The share of prompts found cached, by four definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HitRatio {
    /// Hit tokens over prompt tokens.
    pub tokens: Option<f64>,
    /// Hit blocks over all blocks, partial ones included.
    pub blocks: Option<f64>,
    /// Hit blocks over full blocks.
    pub full_blocks: Option<f64>,
    /// Mean over requests of hit tokens over prompt tokens.
    pub per_request: Option<f64>,
    /// Of the first, what was in the cache itself; absent without a tier behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_tokens: Option<f64>,
    /// Of the first, what was read from the tier behind the cache; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_tokens: Option<f64>,
}

/// How far the router's beliefs about caches were from the truth, in shares of prompt tokens. Requests count that were
/// admitted; a prefix that is fetched from another instance is not part of the belief.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    /// Believed cached on the chosen instance at the decision.
    pub believed: Option<f64>,
    /// Of that, not cached there at the decision.
    pub too_high: Option<f64>,
    /// Cached there at the decision, and not believed.
    pub too_low: Option<f64>,
    /// Believed at the decision, and not found at admission.
    pub missed: Option<f64>,
    /// Found at admission, and not believed at the decision.
    pub surprises: Option<f64>,
    /// On all instances that could be chosen, at the decisions for one request in 16: believed and not cached. Absent when the
    /// router sees the caches themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent_anywhere: Option<f64>,
    /// Likewise: cached and not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_anywhere: Option<f64>,
}

/// The statistics of one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceMetrics {
    /// Requests that ended here.
    pub requests: u64,
    /// Share of the makespan with a step in progress.
    pub busy_share: f64,
    /// Hit tokens over prompt tokens.
    pub hit_ratio: Option<f64>,
    /// Of these, what was read from the tier behind the cache; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_ratio: Option<f64>,
    /// Time mean of requests in the batch.
    pub running: f64,
    /// Time mean of the share of KV blocks held by the batch.
    pub kv_use: f64,
    /// Time mean of prompt tokens still to be computed.
    pub pending_tokens: f64,
    /// Engine iterations.
    pub iterations: u64,
}

impl From<Summary> for Quantiles {
    fn from(s: Summary) -> Self {
        let some = |ps: f64| (s.n > 0).then_some(ps / PS_PER_S as f64);
        Self {
            n: s.n,
            mean: some(s.mean),
            p50: some(s.p50 as f64),
            p90: some(s.p90 as f64),
            p95: some(s.p95 as f64),
            p99: some(s.p99 as f64),
            max: some(s.max as f64),
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// How many rows at the start belong to the warm-up.
pub fn warmup(scenario: &Scenario, rows: &[Row]) -> usize {
    let start = rows.first().map_or(SimTime::ZERO, |row| row.arrival);
    let span = scenario.warmup_s.and_then(SimTime::from_secs_f64).unwrap_or(SimTime::ZERO);
    let by_time = rows.partition_point(|row| row.arrival - start < span);
    rows.len().min(scenario.warmup_requests as usize).max(by_time)
}

/// Reduces a run to its statistics.
pub fn metrics(scenario: &Scenario, result: &RunResult) -> Metrics {
    let measured = &result.rows[warmup(scenario, &result.rows)..];
    let of = |f: fn(&Row) -> Option<SimTime>| -> Quantiles {
        let mut samples: Vec<u64> = measured.iter().filter_map(f).map(|t| t.0).collect();
        Summary::of(&mut samples).into()
    };
    let count = |outcome| result.rows.iter().filter(|row| row.outcome == outcome).count() as u64;
    let since = |rows: &[Row]| rows.first().map_or(SimTime::ZERO, |first| result.makespan - first.arrival);
    let (makespan, measured_span) = (since(&result.rows), since(measured));
    let rate = |n: u64, span: SimTime| if span > SimTime::ZERO { n as f64 / span.as_secs_f64() } else { 0.0 };
    let per_second = |n: u64| rate(n, makespan);
    let objectives = Objectives::of(&scenario.slo);
    // What ran can be built again.
    let instances = scenario.cluster_config(Stepping::Macro, false).map(|c| c.instances).unwrap_or_default();
    let slowdowns = fairness::slowdowns(measured, &instances);
    let per_tenant = fairness::parts(measured, &slowdowns, &objectives, |row| row.tenant.0.into());
    // A tenant that got nothing has no slowdown; evenness over the others would hide it.
    let of_tenants: Option<Vec<f64>> = per_tenant.iter().map(|tenant| tenant.slowdown.mean).collect();
    let of_tenants = of_tenants.unwrap_or_default();
    let tiered = scenario.cluster.host.or(scenario.cluster.pool).is_some();
    Metrics {
        requests: result.rows.len() as u64,
        measured: measured.len() as u64,
        completed: count(Outcome::Completed),
        rejected: count(Outcome::Rejected),
        failed: count(Outcome::Failed),
        makespan_s: makespan.as_secs_f64(),
        ttft_s: of(Row::ttft),
        tpot_s: of(Row::tpot),
        e2e_s: of(Row::e2e),
        queue_s: of(Row::queued),
        itl_s: result.gaps.summary().into(),
        slo_attainment: objectives.ttft_attainment(measured.iter()),
        joint_attainment: objectives.joint_attainment(measured.iter()),
        throughput_rps: per_second(count(Outcome::Completed)),
        goodput_rps: objectives.good(measured).map(|n| rate(n, measured_span)),
        output_tokens_per_s: per_second(
            result.rows.iter().filter(|r| r.outcome == Outcome::Completed).map(|r| u64::from(r.output_tokens)).sum(),
        ),
        hit_ratio: hit_ratio(measured, &result.instances, tiered),
        belief: belief(measured, result.beliefs),
        load_cv: result.load_cv,
        hotspot_share: hotspot_share(result, makespan),
        preemptions: result.rows.iter().map(|r| u64::from(r.preemptions)).sum(),
        recomputed_tokens: result.rows.iter().map(|r| r.recomputed_tokens).sum(),
        migrations: result.rows.iter().map(|r| u64::from(r.migrations)).sum(),
        evicted_blocks: result.instances.iter().map(|i| i.evicted_blocks).sum(),
        iterations: result.instances.iter().map(|i| i.iterations).sum(),
        slowdown: fairness::spread(slowdowns.iter().copied()),
        tenant_slowdown_max: of_tenants.iter().copied().max_by(f64::total_cmp),
        jain_tenants: fairness::jain(&of_tenants),
        per_class: fairness::parts(measured, &slowdowns, &objectives, |row| row.priority.into()),
        per_tenant,
        per_instance: (0..result.instances.len())
            .map(|i| instance(&result.instances[i], lifetime(result, i, makespan), tiered))
            .collect(),
        admission: result.admission.iter().flatten().map(AdmissionMetrics::from).collect(),
        fleet: result.fleet.as_ref().map(|record| fleet(scenario, result, record, measured, &objectives)),
    }
}

/// How long an instance was paid for.
fn lifetime(result: &RunResult, instance: usize, makespan: SimTime) -> SimTime {
    let Some(record) = &result.fleet else { return makespan };
    let start = result.makespan - makespan;
    let own = record.spans.iter().filter(|(id, ..)| id.index() == instance);
    SimTime(own.map(|&(_, from, to)| to.min(result.makespan).saturating_since(from.max(start)).0).sum())
}

fn fleet(
    scenario: &Scenario,
    result: &RunResult,
    record: &FleetRecord,
    measured: &[Row],
    objectives: &Objectives,
) -> FleetMetrics {
    let happened = |what| record.events.iter().filter(|event| event.what == what).count() as u64;
    let paid = (0..result.instances.len()).map(|i| lifetime(result, i, since_first(result)).as_secs_f64()).sum::<f64>();
    let moving = moving(&result.rows, objectives);
    FleetMetrics {
        instance_hours: paid / 3600.0,
        violations: objectives.good(measured).map(|met| measured.len() as u64 - met),
        retries: result.rows.iter().map(|row| u64::from(row.retries)).sum(),
        lost: result.rows.iter().map(|row| u64::from(row.lost)).sum(),
        hung_up: result.rows.iter().map(|row| u64::from(row.hung_up)).sum(),
        abandoned: record.abandoned,
        turned_back: record.turned_back,
        joined: happened(Happened::Joined),
        stopped: happened(Happened::Stopped),
        failed: happened(Happened::Failed),
        recovery: recovery(&result.rows, record, objectives, &moving),
        moving,
        windows: windows(scenario, result, record, objectives),
    }
}

fn since_first(result: &RunResult) -> SimTime {
    result.rows.first().map_or(SimTime::ZERO, |first| result.makespan - first.arrival)
}

fn windows(scenario: &Scenario, result: &RunResult, record: &FleetRecord, objectives: &Objectives) -> Vec<FleetWindow> {
    let start = result.makespan - since_first(result);
    let number = |row: &Row| (row.arrival - start).0 / WINDOW.0;
    let window = |rows: &[Row]| {
        let at = number(&rows[0]);
        let end = start + SimTime((at + 1) * WINDOW.0);
        let before = record.events.iter().take_while(|event| event.at <= end).last();
        FleetWindow {
            from_s: SimTime(at * WINDOW.0).as_secs_f64(),
            members: before.map_or_else(|| scenario.cluster.instances_at_start(), |event| event.members),
            requests: rows.len() as u64,
            service: Service::of(rows, objectives),
        }
    };
    result.rows.chunk_by(|a, b| number(a) == number(b)).map(window).collect()
}

fn hit_ratio(rows: &[Row], instances: &[InstanceTotals], tiered: bool) -> HitRatio {
    let mut loaded = 0;
    let (mut tokens, mut hit_tokens, mut blocks, mut full, mut hit_blocks, mut hit_full) = (0, 0, 0, 0, 0, 0);
    let (mut shares, mut n) = (0.0, 0u64);
    for row in rows.iter().filter(|row| row.admitted != SimTime::MAX) {
        let block = instances[row.instance.index()].block_tokens;
        let whole = row.prompt_tokens / block;
        tokens += u64::from(row.prompt_tokens);
        hit_tokens += u64::from(row.hit_tokens);
        loaded += u64::from(row.loaded_tokens);
        blocks += u64::from(row.prompt_tokens.div_ceil(block));
        full += u64::from(whole);
        hit_blocks += u64::from(row.hit_blocks);
        hit_full += u64::from(row.hit_blocks.min(whole));
        shares += f64::from(row.hit_tokens) / f64::from(row.prompt_tokens);
        n += 1;
    }
    HitRatio {
        device_tokens: tiered.then(|| ratio(hit_tokens - loaded, tokens)).flatten(),
        loaded_tokens: tiered.then(|| ratio(loaded, tokens)).flatten(),
        tokens: ratio(hit_tokens, tokens),
        blocks: ratio(hit_blocks, blocks),
        full_blocks: ratio(hit_full, full),
        per_request: (n > 0).then(|| shares / n as f64),
    }
}

fn belief(rows: &[Row], sample: Option<BeliefSample>) -> Belief {
    let admitted = || rows.iter().filter(|row| row.admitted != SimTime::MAX);
    let tokens: u64 = admitted().map(|row| u64::from(row.prompt_tokens)).sum();
    let share = |f: fn(&Row) -> u32| ratio(admitted().map(|row| u64::from(f(row))).sum(), tokens);
    let of_sample =
        |part: fn(&BeliefSample) -> u64| sample.and_then(|sample| ratio(part(&sample), sample.prompt_tokens));
    Belief {
        believed: share(|row| row.believed_tokens),
        too_high: share(|row| row.believed_tokens.saturating_sub(row.cached_tokens)),
        too_low: share(|row| row.cached_tokens.saturating_sub(row.believed_tokens)),
        missed: share(|row| row.believed_tokens.saturating_sub(row.hit_tokens - row.loaded_tokens)),
        surprises: share(|row| (row.hit_tokens - row.loaded_tokens).saturating_sub(row.believed_tokens)),
        absent_anywhere: of_sample(|sample| sample.absent),
        unknown_anywhere: of_sample(|sample| sample.unknown),
    }
}

/// A window is a hotspot above this share of busy time.
const HOTSPOT_BUSY: f64 = 0.8;

/// Windows are cut at the first arrival and at the last event.
fn hotspot_share(result: &RunResult, makespan: SimTime) -> f64 {
    let (start, end) = (result.makespan.0 - makespan.0, result.makespan.0);
    let (mut hot, mut all) = (0u128, 0u128);
    for (index, instance) in result.instances.iter().enumerate() {
        all += u128::from(lifetime(result, index, makespan).0);
        for (window, &busy) in (instance.first_busy_window as u64..).zip(&instance.busy_windows) {
            let width = end.min((window + 1) * WINDOW.0) - start.max(window * WINDOW.0);
            if busy as f64 > HOTSPOT_BUSY * width as f64 {
                hot += u128::from(width);
            }
        }
    }
    if all == 0 { 0.0 } else { hot as f64 / all as f64 }
}

fn instance(totals: &InstanceTotals, makespan: SimTime, tiered: bool) -> InstanceMetrics {
    let mean = |integral: u128| if makespan.0 == 0 { 0.0 } else { integral as f64 / makespan.0 as f64 };
    InstanceMetrics {
        requests: totals.requests,
        busy_share: mean(u128::from(totals.integrals.busy)),
        hit_ratio: ratio(totals.hit_tokens, totals.prompt_tokens),
        loaded_ratio: tiered.then(|| ratio(totals.loaded_tokens, totals.prompt_tokens)).flatten(),
        running: mean(totals.integrals.running),
        kv_use: mean(totals.integrals.used_blocks) / totals.total_blocks as f64,
        pending_tokens: mean(totals.integrals.pending_tokens),
        iterations: totals.iterations,
    }
}
