//! Any leaf.

use rand::RngExt;
use trimtab_core::{SimTime, StreamRng};
use trimtab_sched::{NoParams, no_params, typed};

use super::parts::Pool;
use super::{Eviction, EvictionDef, Order, Use};

pub(super) const DEF: EvictionDef = EvictionDef {
    name: "random-leaf",
    summary: "the last block of a leaf drawn uniformly, one draw a block",
    citation: "the memoryless baseline of randomised caching",
    deviations: &[],
    clairvoyant: false,
    params: no_params,
    build: |params, context| {
        let NoParams {} = typed(params)?;
        Ok(Order::leaves(RandomLeaf { pool: Pool::default(), rng: context.rng.clone() }))
    },
};

#[derive(Clone, Debug)]
struct RandomLeaf {
    pool: Pool,
    rng: StreamRng,
}

impl Eviction for RandomLeaf {
    fn used(&mut self, _: &Use<'_>) {}

    fn offer(&mut self, run: u32, loose: u32) {
        if loose > 0 {
            self.pool.insert(run);
        } else {
            self.pool.remove(run);
        }
    }

    fn victim(&mut self, _: SimTime) -> (u32, u32) {
        let list = self.pool.list();
        (list[self.rng.random_range(0..list.len())], 1)
    }

    fn gone(&mut self, _: u32) {}
}
