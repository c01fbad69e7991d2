//! Mooncake's `LengthAware`: LFU that looks at where in a prompt a block is.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;
use trimtab_sched::{params_doc, typed};

use super::parts::Ranked;
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "length-aware",
    summary: "least often used first, then by the place in the prompt",
    citation: "Mooncake (arXiv 2407.00079, table 1)",
    deviations: &[
        "the source says in one sentence what it does; its code was not released",
        "a prefix waits for what continues it, so that places are compared among leaves only",
    ],
    clairvoyant: false,
    params: || params_doc::<Params>(&[("first_out", "of equally often used leaves, `late` or `early` ones in their prompts")]),
    build: |params, _| typed(params).map(|Params { first_out }| Order::leaves(LengthAware { first_out, ..LengthAware::default() })),
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    #[default]
    Late,
    Early,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    first_out: Place,
}

/// Keys are uses, the place, and the time of the last use.
#[derive(Clone, Debug, Default)]
struct LengthAware {
    first_out: Place,
    ranked: Ranked<(u64, u32, u64)>,
    uses: u64,
}

impl Eviction for LengthAware {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            self.uses += 1;
            let (count, ..) = self.ranked.key(run.slot);
            let place = if self.first_out == Place::Late { u32::MAX - run.first } else { run.first };
            self.ranked.set(run.slot, (count + 1, place, self.uses));
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        self.ranked.set(run, Default::default());
    }
}
