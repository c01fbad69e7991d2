//! S3-FIFO: a small queue on probation, a main queue, and a memory of what failed probation.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;
use trimtab_sched::{params_doc, require, typed};

use super::parts::{ByRun, Ranked};
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "s3-fifo",
    summary: "a small queue on probation, a main queue with second chances, a memory of what left the first",
    citation: "S3-FIFO (SOSP 2023)",
    deviations: &["of each queue the first leaf goes; prefixes and pinned runs wait in their places"],
    clairvoyant: false,
    params: || params_doc::<Params>(&[("small", "share of the cache for the small queue; the paper's 0.1")]),
    build: |params, context| {
        let Params { small } = typed(params)?;
        require(small > 0.0 && small < 1.0, "small", "between 0 and 1")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count of blocks")]
        let small_blocks = (context.blocks as f64 * small) as u64;
        Ok(Order::leaves(S3Fifo {
            small_blocks,
            main_blocks: context.blocks - small_blocks,
            ..S3Fifo::default()
        }))
    },
};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    small: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { small: 0.1 }
    }
}

/// The most uses that are remembered.
const MOST_USES: u8 = 3;

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Whether it was inserted.
    known: bool,
    main: bool,
    uses: u8,
    blocks: u32,
    loose: bool,
    /// Absent when nobody can name it.
    key: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct S3Fifo {
    small_blocks: u64,
    main_blocks: u64,
    runs: ByRun<State>,
    small: Ranked<u64>,
    main: Ranked<u64>,
    /// Blocks in the small queue.
    in_small: u64,
    inserted: u64,
    /// What left the small queue: keys in order with their blocks, and how often each key is there.
    ghosts: VecDeque<(u64, u32)>,
    ghost_blocks: u64,
    ghost_keys: FxHashMap<u64, u32>,
}

impl S3Fifo {
    fn insert(&mut self, run: u32, main: bool) {
        self.inserted += 1;
        let State { loose, blocks, .. } = *self.runs.at(run);
        let (queue, other) = if main { (&mut self.main, &mut self.small) } else { (&mut self.small, &mut self.main) };
        other.offer(run, false);
        queue.set(run, self.inserted);
        queue.offer(run, loose);
        if !main {
            self.in_small += u64::from(blocks);
        }
        self.runs.at(run).main = main;
    }

    fn remember(&mut self, key: u64, blocks: u32) {
        self.ghosts.push_back((key, blocks));
        self.ghost_blocks += u64::from(blocks);
        *self.ghost_keys.entry(key).or_default() += 1;
        while self.ghost_blocks > self.main_blocks {
            self.ghost_blocks -= 1;
            let (key, blocks) = self.ghosts.front_mut().expect("they have blocks");
            *blocks -= 1;
            if *blocks > 0 {
                continue;
            }
            let key = *key;
            self.ghosts.pop_front();
            let count = self.ghost_keys.get_mut(&key).expect("it was counted");
            *count -= 1;
            if *count == 0 {
                self.ghost_keys.remove(&key);
            }
        }
    }
}

impl Eviction for S3Fifo {
    fn used(&mut self, it: &Use<'_>) {
        for run in it.runs.iter().rev() {
            let state = self.runs.at(run.slot);
            let grown = run.blocks - state.blocks;
            (state.blocks, state.key) = (run.blocks, run.node.map(|_| run.key));
            if state.known {
                state.uses = (state.uses + 1).min(MOST_USES);
                if !state.main {
                    self.in_small += u64::from(grown);
                }
            } else {
                state.known = true;
                let main = run.node.is_some() && self.ghost_keys.contains_key(&run.key);
                self.insert(run.slot, main);
            }
        }
    }

    fn offer(&mut self, run: u32, loose: u32) {
        let state = self.runs.at(run);
        state.loose = loose > 0;
        let queue = if state.main { &mut self.main } else { &mut self.small };
        queue.offer(run, loose > 0);
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        loop {
            let (small, main) = (self.small.first(), self.main.first());
            match (small, main) {
                (Some((_, run)), main) if self.in_small > self.small_blocks || main.is_none() => {
                    let State { uses, blocks, .. } = *self.runs.at(run);
                    if uses <= 1 {
                        let excess = self.in_small.saturating_sub(self.small_blocks);
                        let most = if main.is_some() { excess } else { u64::MAX };
                        return (run, u32::try_from(most).unwrap_or(u32::MAX));
                    }
                    self.in_small -= u64::from(blocks);
                    self.runs.at(run).uses = 0;
                    self.insert(run, true);
                }
                (_, Some((_, run))) => {
                    let uses = &mut self.runs.at(run).uses;
                    if *uses == 0 {
                        return (run, u32::MAX);
                    }
                    *uses -= 1;
                    self.insert(run, true);
                }
                (_, None) => unreachable!("something is on offer"),
            }
        }
    }

    fn lost(&mut self, run: u32, blocks: u32) {
        let state = self.runs.at(run);
        state.blocks -= blocks;
        if !state.main {
            self.in_small -= u64::from(blocks);
            if let Some(key) = state.key {
                self.remember(key, blocks);
            }
        }
    }

    fn gone(&mut self, run: u32) {
        self.small.offer(run, false);
        self.main.offer(run, false);
        *self.runs.at(run) = State::default();
    }
}
