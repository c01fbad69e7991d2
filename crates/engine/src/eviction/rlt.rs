//! RLT, randomised leaf token eviction: marking with phases, and a uniform draw among unmarked leaves.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use trimtab_core::{SimTime, StreamRng};
use trimtab_sched::{params_doc, typed};

use super::parts::{ByRun, Pool};
use super::{Eviction, EvictionDef, Order, Run, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "rlt",
    summary: "the last block of an unmarked leaf drawn uniformly; what is used is marked until the next phase",
    citation: "KVRouting (arXiv 2601.18999): randomized leaf token eviction, `--enable-lrt` of its SGLang",
    deviations: &[
        "a block is drawn where the source draws a token",
        "marks are on forest nodes: the source's radix nodes split as prompts come to differ, these are split from the start",
    ],
    clairvoyant: false,
    params: || {
        params_doc::<Params>(&[(
            "form",
            "`as-coded`: marks are counted by node, what is evicted still counts, and a need that marks do not leave room \
             for begins a phase; `as-paper`: a phase begins when more than the cache would be marked",
        )])
    },
    build: |params, context| {
        let Params { form } = typed(params)?;
        Ok(Order::leaves(Rlt {
            form,
            capacity: context.blocks,
            rng: context.rng.clone(),
            phase: 1,
            marked: 0,
            runs: ByRun::default(),
            unmarked: Pool::default(),
            unmarked_loose: 0,
            spared: Pool::default(),
        }))
    },
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    #[default]
    AsCoded,
    AsPaper,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    form: Form,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The phase in which it was last marked; 0: never.
    phase: u64,
    /// How many blocks that counted for.
    blocks: u32,
    loose: u32,
}

#[derive(Clone, Debug)]
struct Rlt {
    form: Form,
    capacity: u64,
    rng: StreamRng,
    phase: u64,
    /// Blocks marked in this phase.
    marked: u64,
    runs: ByRun<State>,
    /// Leaves on offer without a mark, and how many blocks of them can leave.
    unmarked: Pool,
    unmarked_loose: u64,
    /// Leaves on offer with one.
    spared: Pool,
}

impl Rlt {
    fn is_marked(&mut self, run: u32) -> bool {
        self.runs.at(run).phase == self.phase
    }

    fn mark(&mut self, run: &Run) {
        if self.is_marked(run.slot) {
            return;
        }
        self.marked += u64::from(run.blocks);
        let loose = self.runs.at(run.slot).loose;
        *self.runs.at(run.slot) = State { phase: self.phase, blocks: run.blocks, loose };
        if loose > 0 {
            self.unmarked.remove(run.slot);
            self.unmarked_loose -= u64::from(loose);
            self.spared.insert(run.slot);
        }
    }

    fn begin_phase(&mut self) {
        self.phase += 1;
        self.marked = 0;
        while let Some(&run) = self.spared.list().last() {
            self.spared.remove(run);
            self.unmarked.insert(run);
            self.unmarked_loose += u64::from(self.runs.at(run).loose);
        }
    }
}

impl Eviction for Rlt {
    fn used(&mut self, it: &Use<'_>) {
        for (index, run) in it.runs.iter().enumerate() {
            if self.is_marked(run.slot) {
                continue;
            }
            match self.form {
                Form::AsCoded if self.marked >= self.capacity => {
                    self.begin_phase();
                    it.runs[..=index].iter().for_each(|run| self.mark(run));
                }
                Form::AsPaper if self.marked + u64::from(run.blocks) > self.capacity => {
                    self.begin_phase();
                    self.mark(run);
                }
                _ => self.mark(run),
            }
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        let before = std::mem::replace(&mut self.runs.at(run).loose, loose);
        let marked = self.is_marked(run);
        if !marked {
            self.unmarked_loose = self.unmarked_loose + u64::from(loose) - u64::from(before);
        }
        let pool = if marked { &mut self.spared } else { &mut self.unmarked };
        if loose > 0 { pool.insert(run) } else { pool.remove(run) }
    }

    fn begin(&mut self, blocks: u64) {
        let coded = self.form == Form::AsCoded;
        if coded && (blocks + self.marked >= self.capacity || self.unmarked_loose < blocks) {
            self.begin_phase();
        }
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        if self.unmarked.list().is_empty() {
            self.begin_phase();
        }
        let list = self.unmarked.list();
        (list[self.rng.random_range(0..list.len())], 1)
    }

    fn gone(&mut self, run: u32) {
        let State { phase, blocks, .. } = std::mem::take(self.runs.at(run));
        if self.form == Form::AsPaper && phase == self.phase {
            self.marked -= u64::from(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trimtab_core::{RequestId, RngStreams};

    use crate::cost::Linear;
    use crate::eviction::{CacheContext, User};

    fn policy(params: &Value, blocks: u64) -> Box<dyn Eviction> {
        let context = CacheContext {
            blocks,
            block_tokens: 1,
            rng: RngStreams::new(11).stream("eviction/instance-0"),
            cost: std::sync::Arc::new(Linear::default()),
            max_batched_tokens: 1,
            future: None,
        };
        match (DEF.build)(params, &context).expect("the parameters are right") {
            Order::Leaves(policy) => policy,
            Order::Released => unreachable!("RLT chooses among leaves"),
        }
    }

    fn insert(policy: &mut dyn Eviction, slot: u32, blocks: u32) {
        let run = Run { slot, node: None, key: u64::from(slot), first: 0, blocks };
        policy.used(&Use { now: SimTime::ZERO, user: User { request: RequestId(slot), session: None }, runs: &[run] });
        policy.offer(slot, blocks);
    }

    #[test]
    fn what_is_marked_stays_for_the_phase() {
        for form in ["as-coded", "as-paper"] {
            let mut policy = policy(&json!({ "form": form }), 100);
            for slot in 0..10 {
                insert(&mut *policy, slot, 10);
            }
            // The cache is full of marks, so that the next use begins a phase, and marks itself.
            insert(&mut *policy, 10, 10);
            for round in 0..3 {
                // Used again: marked in this phase.
                insert(&mut *policy, round, 10);
            }
            for _ in 0..40 {
                policy.begin(1);
                let (run, most) = policy.victim(SimTime::ZERO);
                assert_eq!(most, 1, "one block a draw");
                assert!((3..10).contains(&run), "{form}: run {run} is marked");
            }
        }
    }

    /// Uniform over leaves, whatever their lengths: chi-square with 9 degrees of freedom, 99.9 % quantile 27.9.
    #[test]
    fn leaves_are_drawn_uniformly() {
        let draws = 20_000;
        for form in ["as-coded", "as-paper"] {
            let mut policy = policy(&json!({ "form": form }), 1_000_000);
            for slot in 0..10 {
                insert(&mut *policy, slot, 1 + slot * 7);
            }
            let mut counts = [0_i32; 10];
            for _ in 0..draws {
                counts[policy.victim(SimTime::ZERO).0 as usize] += 1;
            }
            let expected = f64::from(draws) / 10.0;
            let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
            assert!(chi_square < 27.9, "{form}: {counts:?}");
        }
    }
}
