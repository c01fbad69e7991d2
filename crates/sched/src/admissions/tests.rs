use serde_json::{Value, json};
use trimtab_core::{InstanceId, PS_PER_S, PrefixForest, Prompt, Request, RequestId, RngStreams, SimTime, TenantId};

use super::*;
use crate::{BuildContext, Counters, Probe, Queued, Signals, Snapshot};

/// What an admission policy is shown: two instances that are alike.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    waiting: u32,
    /// Of 100.
    used_blocks: u64,
    in_flight: u32,
    queue_s: f64,
    /// The age of reports.
    age_s: f64,
    now_s: f64,
    gone: bool,
}

fn time(seconds: f64) -> SimTime {
    SimTime::from_secs_f64(seconds).unwrap()
}

impl Probe for Look {
    fn snapshot(&self, _: InstanceId) -> Snapshot {
        let at = time(self.now_s - self.age_s);
        Snapshot { at, waiting: self.waiting, used_blocks: self.used_blocks, total_blocks: 100, ..Snapshot::default() }
    }
    fn hit_tokens(&self, _: RequestId, _: InstanceId) -> u32 {
        0
    }
    fn all_hit_tokens(&self, _: RequestId, out: &mut Vec<u32>) {
        *out = vec![0, 500];
    }
    fn prefill_ps(&self, _: InstanceId, new: u32, _: u32) -> u64 {
        u64::from(new) * PS_PER_S / 1000
    }
    fn queue_ps(&self, _: InstanceId) -> u64 {
        time(self.queue_s).0
    }
    fn queued(&self, _: InstanceId, _: &mut Vec<Queued>) {}
}

/// What happens, and what is expected.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// At this time a request of a tenant and a priority with so many prompt tokens asks.
    Ask(f64, Look, u16, i16, u32, Verdict),
    /// At this time these are let in, and these turned away.
    Next(f64, Look, &'static [u32], &'static [u32]),
    /// It wants to be asked again at this time.
    Wake(Option<f64>),
    /// The client of a request hangs up.
    Gone(u32),
}

fn check(name: &str, params: &Value, steps: &[Step]) {
    let def = admission_by_name(name).unwrap();
    let context =
        BuildContext { instances: Vec::new(), streams: RngStreams::new(1), slo_ttft: SimTime::from_secs_f64(2.0) };
    let mut admission = (def.build)(params, &context).unwrap();
    let mut asked = 0;
    let forest = PrefixForest::new();
    for (number, &step) in steps.iter().enumerate() {
        let mut with = |now_s: f64, look: Look, act: &mut dyn FnMut(&mut dyn Admission, &ClusterView<'_>)| {
            let counters = Counters {
                in_flight: vec![look.in_flight; 2],
                in_flight_tokens: vec![u64::from(look.in_flight) * 1000; 2],
                ..Counters::default()
            };
            let members: &[InstanceId] = if look.gone { &[] } else { &[InstanceId(0), InstanceId(1)] };
            let look = Look { now_s, ..look };
            act(&mut *admission, &ClusterView::new(time(now_s), members, def.signals, &counters, &look));
        };
        match step {
            Step::Ask(now_s, look, tenant, priority, tokens, verdict) => with(now_s, look, &mut |admission, view| {
                let mut request = Request::new(asked, time(now_s), Prompt { leaf: None, tokens }, 1);
                (request.tenant, request.priority) = (TenantId(tenant), priority);
                asked += 1;
                let got = admission.ask(&Arrival::new(&request, &[], &forest), view);
                assert_eq!(got, verdict, "{name} {params} step {number}: {step:?}");
            }),
            Step::Next(now_s, look, let_in, turned_away) => with(now_s, look, &mut |admission, view| {
                let (mut got_in, mut got_away) = (Vec::new(), Vec::new());
                while let Some((request, yes)) = admission.next(view) {
                    if yes { got_in.push(request.0) } else { got_away.push(request.0) }
                }
                assert_eq!((&got_in[..], &got_away[..]), (let_in, turned_away), "{name} {params} step {number}");
            }),
            Step::Wake(at) => assert_eq!(admission.wake(), at.map(time), "{name} {params} step {number}"),
            Step::Gone(request) => admission.gone(RequestId(request)),
        }
    }
}

use Step::{Ask, Gone, Next, Wake};
use Verdict::{Admit, Reject, Wait};

/// A calm cluster.
const CALM: Look = Look { waiting: 0, used_blocks: 0, in_flight: 0, queue_s: 0.0, age_s: 0.0, now_s: 0.0, gone: false };
const FULL: Look = Look { waiting: 5, ..CALM };

#[test]
fn a_bucket_lets_its_rate_and_its_burst_through() {
    let ask = |at, verdict| Ask(at, CALM, 0, 0, 100, verdict);
    check(
        "token-bucket",
        &json!({ "rate": 2.0, "burst": 3.0 }),
        &[
            // The burst, then one each half second; what is not used is kept up to the burst.
            ask(0.0, Admit),
            ask(0.0, Admit),
            ask(0.0, Admit),
            ask(0.0, Reject),
            ask(0.499, Reject),
            ask(0.5, Admit),
            ask(0.5, Reject),
            ask(9.0, Admit),
            ask(9.0, Admit),
            ask(9.0, Admit),
            ask(9.0, Reject),
        ],
    );
}

#[test]
fn a_bucket_of_tokens_goes_into_debt_for_the_large_and_no_further() {
    let ask = |at, tenant, tokens, verdict| Ask(at, CALM, tenant, 0, tokens, verdict);
    check(
        "token-bucket",
        &json!({ "rate": 100.0, "burst": 1000.0, "unit": "tokens", "per": "tenant" }),
        &[
            ask(0.0, 1, 3000, Admit),
            ask(0.0, 1, 10, Reject),
            // Another tenant has a bucket of its own.
            ask(0.0, 2, 1000, Admit),
            // 2,000 of debt and 10 more take 20.1 s.
            ask(20.0, 1, 10, Reject),
            ask(20.1, 1, 10, Admit),
        ],
    );
}

/// Costs and spans beyond what the clock holds: the bucket never fills again, nobody is turned away for waiting.
#[test]
fn what_outlasts_the_clock_never_comes() {
    let ask = |at, verdict| Ask(at, CALM, 0, 0, 2000, verdict);
    check(
        "token-bucket",
        &json!({ "rate": 1e-4, "burst": 1.0, "unit": "tokens", "over": "wait", "ttl_s": 18_000_000.0 }),
        &[ask(1e6, Admit), ask(1e6, Wait), Wake(None), Next(1.1e6, CALM, &[], &[])],
    );
    let patient = json!({ "ttl_s": 18_000_000.0 });
    check("flow-control", &patient, &[Ask(1e6, FULL, 1, 0, 1, Wait), Wake(None), Next(1.1e6, FULL, &[], &[])]);
}

#[test]
fn a_bucket_keeps_its_queue() {
    let ask = |at, verdict| Ask(at, CALM, 0, 0, 100, verdict);
    let params = json!({ "rate": 1.0, "burst": 1.0, "over": "wait", "max_waiting": 3, "ttl_s": 2.5 });
    check(
        "token-bucket",
        &params,
        &[
            ask(0.0, Admit),
            Wake(None),
            ask(0.0, Wait),
            ask(0.0, Wait),
            ask(0.0, Wait),
            ask(0.0, Reject),
            Wake(Some(1.0)),
            Next(0.9, CALM, &[], &[]),
            Next(1.0, CALM, &[1], &[]),
            // Room for one more. The second in the queue loses its client, the third gives up before its turn.
            ask(1.0, Wait),
            Gone(2),
            Wake(Some(2.0)),
            Next(2.0, CALM, &[3], &[]),
            Wake(Some(3.0)),
            ask(2.2, Wait),
            Next(4.0, CALM, &[5], &[]),
            Next(4.7, CALM, &[], &[6]),
            Wake(None),
        ],
    );
}

#[test]
fn flow_control_holds_back_while_the_pool_is_saturated() {
    let ask = |look, tenant, priority, verdict| Ask(1.0, look, tenant, priority, 100, verdict);
    check(
        "flow-control",
        &json!({}),
        &[
            ask(CALM, 1, 0, Admit),
            // The mean over instances of the larger part: 5 waiting, 80 % of the KV, or old news.
            ask(Look { waiting: 4, ..CALM }, 1, 0, Admit),
            ask(Look { used_blocks: 79, ..CALM }, 1, 0, Admit),
            ask(FULL, 1, 0, Wait),
            ask(Look { used_blocks: 80, ..CALM }, 1, 0, Wait),
            ask(Look { age_s: 0.3, ..CALM }, 2, 0, Wait),
            ask(Look { gone: true, ..CALM }, 2, 5, Wait),
            // Nobody overtakes those of the same priority, even when there is room again; a higher one does.
            ask(CALM, 3, 0, Wait),
            ask(CALM, 3, 6, Admit),
            Next(1.0, FULL, &[], &[]),
            // Higher priorities first, then tenants in turn.
            Next(1.0, CALM, &[6, 3, 5, 7, 4], &[]),
        ],
    );
    check(
        "flow-control",
        &json!({ "fairness": "global-strict", "max_waiting": 3, "max_waiting_tokens": 350, "ttl_s": 4.0 }),
        &[
            ask(FULL, 1, 0, Wait),
            ask(FULL, 1, 0, Wait),
            Ask(2.0, FULL, 2, 0, 200, Reject),
            Ask(2.0, FULL, 2, 0, 100, Wait),
            Ask(2.0, FULL, 2, 0, 100, Reject),
            // Limits count for each priority.
            Ask(2.0, FULL, 2, 1, 100, Wait),
            Gone(1),
            Wake(Some(5.0)),
            Next(5.0, FULL, &[], &[0]),
            Wake(Some(6.0)),
            Next(5.5, CALM, &[5, 3], &[]),
            Wake(None),
        ],
    );
    check(
        "flow-control",
        &json!({ "detector": "concurrency-requests", "requests": 10.0 }),
        &[ask(Look { in_flight: 9, ..FULL }, 1, 0, Admit), ask(Look { in_flight: 10, ..CALM }, 1, 0, Wait)],
    );
    check(
        "flow-control",
        &json!({ "detector": "concurrency-tokens", "tokens": 10_000.0 }),
        &[ask(Look { in_flight: 3, ..FULL }, 1, 0, Admit), ask(Look { in_flight: 4, ..CALM }, 1, 0, Wait)],
    );
}

#[test]
fn a_long_queue_is_kept_in_order() {
    // Every second one hangs up. To look through all that wait for each is ten thousand million steps.
    const MANY: u32 = 100_000;
    let mut steps: Vec<Step> = (0..MANY).map(|_| Ask(0.0, FULL, 1, 0, 1, Wait)).collect();
    steps.extend((0..MANY).filter(|id| id % 2 == 1).map(Gone));
    let left: Vec<u32> = (0..MANY).step_by(2).collect();
    steps.extend([Wake(Some(5.0)), Next(1.0, CALM, left.leak(), &[]), Wake(None)]);
    check("flow-control", &json!({ "ttl_s": 5.0 }), &steps);
}

#[test]
fn shedding_spares_the_urgent() {
    let ask = |look, priority, verdict| Ask(1.0, look, 0, priority, 100, verdict);
    check(
        "shedding",
        &json!({}),
        // From saturation 0.32 on the probability is 1, and at 0 it is 0.
        &[
            ask(Look { waiting: 2, ..CALM }, -1, Reject),
            ask(Look { waiting: 2, ..CALM }, 0, Admit),
            ask(CALM, -1, Admit),
        ],
    );
    check(
        "shedding",
        &json!({ "rule": "saturated", "below": 2 }),
        &[ask(Look { waiting: 4, ..CALM }, 1, Admit), ask(FULL, 1, Reject), ask(FULL, 2, Admit)],
    );
}

/// A prompt of 1,000 tokens takes a second; half of it is cached on the second instance.
#[test]
fn early_rejection_goes_by_the_best_instance() {
    let ask = |queue_s, priority, verdict| Ask(1.0, Look { queue_s, ..CALM }, 0, priority, 1000, verdict);
    check("early-rejection", &json!({}), &[ask(1.5, 0, Admit), ask(1.51, 0, Reject)]);
    check("early-rejection", &json!({ "threshold": 0.5 }), &[ask(0.5, 0, Admit), ask(0.51, 0, Reject)]);
    check("early-rejection", &json!({ "ttft_slo_s": 9.0 }), &[ask(8.5, 0, Admit), ask(8.51, 0, Reject)]);
    check("early-rejection", &json!({ "max_priority": 0 }), &[ask(5.0, 0, Reject), ask(5.0, 1, Admit)]);
    check("early-rejection", &json!({}), &[Ask(1.0, Look { gone: true, ..CALM }, 0, 0, 10, Admit)]);
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let context = BuildContext { instances: Vec::new(), streams: RngStreams::new(1), slo_ttft: None };
    for (name, params) in [
        ("token-bucket", json!({ "rate": 0.0 })),
        ("token-bucket", json!({ "burst": 0.5 })),
        ("token-bucket", json!({ "ttl_s": -1.0 })),
        ("token-bucket", json!({ "rate": 1.0, "burst": 1e9, "unit": "tokens" })),
        ("flow-control", json!({ "limit": 0.0 })),
        ("flow-control", json!({ "detector": "thermometer" })),
        ("shedding", json!({ "stale_ms": -1.0 })),
        ("early-rejection", json!({ "threshold": 0.0 })),
    ] {
        let def = admission_by_name(name).unwrap();
        assert!((def.build)(&params, &context).is_err(), "{name} {params}");
        assert!((def.build)(&Value::Null, &context).is_ok(), "{name} by default");
        assert!(def.signals.within(Signals { oracle: false, ..Signals::ALL }), "{name} sees what a router can");
    }
}
