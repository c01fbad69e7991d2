//! AIBrix `vtc-basic`: users by their recent tokens on instances by their number.
//!
//! Named after the Virtual Token Counter, and not it: a user's recent tokens are mapped linearly onto the list of
//! instances, so light users go to the first and heavy ones to the last. It isolates and does not throttle.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use trimtab_core::SimTime;

use crate::parts::Ties;
use crate::{
    Actions, Arrival, ClusterView, Decision, ParamError, Scheduler, SchedulerDef, Signals, params_doc, require, typed,
};

/// AIBrix `vtc-basic` in the registry.
pub(super) const DEF: SchedulerDef = SchedulerDef {
    name: "aibrix-vtc-basic",
    summary: "the instance whose place in the list matches the user's recent tokens, less its load",
    citation: "AIBrix, pkg/plugins/gateway/algorithms/vtc at e3e10f9 (2026-08-22); the code, which differs from its README",
    deviations: &["prompt tokens are those of the simulation; the product divides characters by 4"],
    signals: Signals::NONE,
    hooks: false,
    params: || {
        params_doc::<Params>(&[
            ("user", "who counts as a user: `tenant`, or `session` (requests without one go anywhere)"),
            ("window_s", "how long tokens count; the product: 5 minutes"),
            ("input_weight", "of a prompt token; the product: 1"),
            ("output_weight", "of a generated token, of which 1.5 per prompt token are expected; the product: 2"),
            ("fairness_weight", "of the distance to the user's place in the list; the product: 1"),
            ("load_weight", "of the requests in flight over `max_load`; the product: 1"),
            ("max_load", "requests in flight that count as full; the product: 100"),
            ("noise", "up to how much is added at random; the product: 0.1"),
            ("min_bucket", "tokens per place in the list, at least; the product: 1000"),
        ])
    },
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.max_load > 0.0, "max_load", "positive")?;
        require(params.min_bucket > 0.0, "min_bucket", "positive")?;
        let window = SimTime::from_secs_f64(params.window_s)
            .ok_or_else(|| ParamError("parameter `window_s` must be a span of time".into()))?;
        let ties = Ties::new(&context.streams);
        Ok(Box::new(VtcBasic { params, window, ties, recent: VecDeque::new(), tokens: FxHashMap::default() }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    user: User,
    window_s: f64,
    input_weight: f64,
    output_weight: f64,
    fairness_weight: f64,
    load_weight: f64,
    max_load: f64,
    noise: f64,
    min_bucket: f64,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum User {
    Tenant,
    Session,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            user: User::Tenant,
            window_s: 300.0,
            input_weight: 1.0,
            output_weight: 2.0,
            fairness_weight: 1.0,
            load_weight: 1.0,
            max_load: 100.0,
            noise: 0.1,
            min_bucket: 1000.0,
        }
    }
}

struct VtcBasic {
    params: Params,
    window: SimTime,
    ties: Ties,
    /// Prompt and expected output tokens of the requests in the window, by user.
    recent: VecDeque<(SimTime, u32, [u64; 2])>,
    tokens: FxHashMap<u32, [u64; 2]>,
}

impl VtcBasic {
    fn expire(&mut self, now: SimTime) {
        while let Some(&(at, user, [input, output])) = self.recent.front() {
            if now.saturating_since(at) < self.window {
                break;
            }
            self.recent.pop_front();
            let sum = self.tokens.get_mut(&user).expect("every user in the window has a sum");
            *sum = [sum[0] - input, sum[1] - output];
            if *sum == [0, 0] {
                self.tokens.remove(&user);
            }
        }
    }

    fn weigh(&self, [input, output]: [u64; 2]) -> f64 {
        self.params.input_weight * input as f64 + self.params.output_weight * output as f64
    }

    /// Tokens that stand for one place in the list.
    fn bucket(&self) -> f64 {
        let all = self.tokens.values().map(|&sum| self.weigh(sum));
        let (least, most) = all.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
        let (least, most) = if self.tokens.is_empty() { (1000.0, 8000.0) } else { (least, most) };
        self.params.min_bucket.max(f64::midpoint(least, most))
    }
}

impl Scheduler for VtcBasic {
    fn route(&mut self, arrival: &Arrival<'_>, view: &ClusterView<'_>, actions: &mut Actions) -> Decision {
        let members = view.members();
        let user = match self.params.user {
            User::Tenant => Some(u32::from(arrival.tenant.0)),
            User::Session => arrival.session.map(|session| session.0),
        };
        let Some(user) = user else {
            actions.reason("no user");
            return Decision::Route(self.ties.any(members).expect("there is a member"));
        };
        self.expire(view.now());
        let own = self.weigh(self.tokens.get(&user).copied().unwrap_or_default());
        let place = (own / self.bucket()).min((members.len() - 1) as f64);
        let (mut best, mut least) = (members[0], f64::INFINITY);
        for (at, &i) in members.iter().enumerate() {
            let fairness = libm::fabs(at as f64 - place);
            let load = (f64::from(view.counters().in_flight[i.index()]) / self.params.max_load).min(1.0);
            let noise = self.params.noise * self.ties.unit();
            let score = self.params.fairness_weight * fairness + self.params.load_weight * load + noise;
            actions.score(i, score);
            if score < least {
                (best, least) = (i, score);
            }
        }
        let input = u64::from(arrival.prompt.tokens.max(1));
        let added = [input, (3 * input).div_ceil(2)];
        self.recent.push_back((view.now(), user, added));
        let sum = self.tokens.entry(user).or_default();
        *sum = [sum[0] + added[0], sum[1] + added[1]];
        Decision::Route(best)
    }
}
