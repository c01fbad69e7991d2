//! Preble's worth of a node: what recent hits on it saved.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;
use trimtab_sched::{ParamError, params_doc, typed};

use super::parts::{ByRun, Ranked};
use super::{CacheContext, Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "preble",
    summary: "lowest hits of the last minutes times recompute time first, then least recently released",
    citation: "Preble (arXiv 2407.00023): the eviction term of E2, used to evict",
    deviations: &[
        "Preble ranks instances by it and evicts by LRU; here it is what evicts",
        "the recompute time is that of a block at the node's place",
    ],
    clairvoyant: false,
    params: || {
        params_doc::<Params>(&[
            ("window_s", "seconds that count; Preble's 180"),
            ("weight", "`hit` as in the paper, or `miss` as in the released code"),
        ])
    },
    build: |params, context| {
        let Params { window_s, weight } = typed(params)?;
        let window = SimTime::from_secs_f64(window_s)
            .filter(|&window| window > SimTime::ZERO)
            .ok_or_else(|| ParamError("parameter `window_s` must be a positive number of seconds".into()))?;
        Ok(Order::leaves(Preble {
            context: context.clone(),
            window,
            weight,
            ranked: Ranked::default(),
            runs: ByRun::default(),
            recent: VecDeque::new(),
            uses: 0,
        }))
    },
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Weight {
    #[default]
    Hit,
    Miss,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    window_s: f64,
    weight: Weight,
}

impl Default for Params {
    fn default() -> Self {
        Self { window_s: 180.0, weight: Weight::Hit }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The number of its insertion, 0 before it; tells runs of one number apart.
    birth: u64,
    /// What counts in the window.
    count: u64,
    ps: u64,
    last: u64,
}

#[derive(Clone)]
struct Preble {
    context: CacheContext,
    window: SimTime,
    weight: Weight,
    /// By worth and time of the last use.
    ranked: Ranked<(u64, u64)>,
    runs: ByRun<State>,
    /// What counts: when, which run, and which birth of it.
    recent: VecDeque<(SimTime, u32, u64)>,
    uses: u64,
}

impl std::fmt::Debug for Preble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preble").field("ranked", &self.ranked).finish_non_exhaustive()
    }
}

impl Preble {
    fn rank(&mut self, run: u32) {
        let State { count, ps, last, .. } = *self.runs.at(run);
        self.ranked.set(run, (count.saturating_mul(ps), last));
    }

    /// Forgets what is older than the window.
    fn forget(&mut self, now: SimTime) {
        while let Some(&(at, run, birth)) = self.recent.front() {
            if at + self.window >= now {
                break;
            }
            self.recent.pop_front();
            if self.runs.at(run).birth == birth {
                self.runs.at(run).count -= 1;
                self.rank(run);
            }
        }
    }
}

impl Eviction for Preble {
    fn used(&mut self, it: &Use<'_>) {
        self.forget(it.now);
        for run in it.runs.iter().rev() {
            self.uses += 1;
            let ps = self.context.recompute_ps(run.first);
            let state = self.runs.at(run.slot);
            let missed = state.birth == 0;
            if missed {
                state.birth = self.uses;
            }
            (state.ps, state.last) = (ps, self.uses);
            if missed == (self.weight == Weight::Miss) {
                state.count += 1;
                self.recent.push_back((it.now, run.slot, state.birth));
            }
            self.rank(run.slot);
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, now: SimTime) -> (u32, u32) {
        self.forget(now);
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        *self.runs.at(run) = State::default();
    }
}
