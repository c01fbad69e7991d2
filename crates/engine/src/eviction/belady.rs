//! What is needed furthest in the future goes first: the bound for the others.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use trimtab_core::{PrefixId, SimTime};
use trimtab_sched::{NoParams, ParamError, no_params, typed};

use super::parts::{ByRun, Ranked};
use super::{Eviction, EvictionDef, Future, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "belady",
    summary: "what is read furthest in the future goes first; needs a workload that is known in advance",
    citation: "Belady (IBM Systems Journal 5(2), 1966)",
    deviations: &[
        "optimal for prompts of one block served in order by one instance; with longer prompts a heuristic, because a \
         prefix waits for what continues it and hits are worth more than one block",
        "the next reader is the next request of the whole workload that reads the node, wherever it will be sent",
    ],
    clairvoyant: true,
    params: no_params,
    build: |params, context| {
        let NoParams {} = typed(params)?;
        let future = context.future.clone().ok_or_else(|| {
            ParamError("needs to know all requests in advance, and this workload makes them as it goes".into())
        })?;
        Ok(Order::leaves(Belady {
            future,
            ranked: Ranked::default(),
            nodes: ByRun::default(),
            due: BTreeSet::new(),
            served: 0,
            uses: 0,
        }))
    },
};

#[derive(Clone, Debug)]
struct Belady {
    future: Arc<Future>,
    /// Keys are the next reader, the last first, and the time of the last use.
    ranked: Ranked<(Reverse<u32>, u64)>,
    nodes: ByRun<Option<PrefixId>>,
    /// Runs by next reader.
    due: BTreeSet<(u32, u32)>,
    /// The last request, by number, that has released a prompt here: the readers before it are past.
    served: u32,
    uses: u64,
}

impl Belady {
    fn rank(&mut self, run: u32, last: u64) {
        let (Reverse(old), _) = self.ranked.key(run);
        self.due.remove(&(old, run));
        let next = self.nodes.at(run).map_or(u32::MAX, |node| self.future.next(node, self.served));
        self.due.insert((next, run));
        self.ranked.set(run, (Reverse(next), last));
    }
}

impl Eviction for Belady {
    fn used(&mut self, it: &Use<'_>) {
        self.served = self.served.max(it.user.request.0);
        for run in it.runs.iter().rev() {
            self.uses += 1;
            *self.nodes.at(run.slot) = run.node;
            self.rank(run.slot, self.uses);
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        self.ranked.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        // Readers that went elsewhere, or overtook.
        while let Some((_, run)) = self.due.first().copied().filter(|&(next, _)| next <= self.served) {
            let (_, last) = self.ranked.key(run);
            self.rank(run, last);
        }
        self.ranked.victim()
    }

    fn gone(&mut self, run: u32) {
        let (Reverse(next), _) = self.ranked.key(run);
        self.due.remove(&(next, run));
    }
}
