//! The router's own account of what it sent: prefill tokens, blocks and requests in flight, by worker.

use rustc_hash::FxHashMap;
use trimtab_core::{InstanceId, RequestId};

use crate::parts::ActiveBlocks;

/// Booked at selection, so that the next decision sees it.
#[derive(Default)]
pub(super) struct Ledger {
    live: FxHashMap<RequestId, Booking>,
    /// Tokens not cached, of prompts without a first token.
    prefill_tokens: Vec<u64>,
    requests: Vec<u32>,
    blocks: ActiveBlocks,
}

/// What a worker has in flight.
pub(super) struct Load {
    pub(super) prefill_tokens: u64,
    pub(super) requests: u32,
    pub(super) distinct_blocks: u64,
}

struct Booking {
    worker: InstanceId,
    /// Still to be prefilled, as charged.
    tokens: u64,
    keys: Vec<u64>,
}

impl Ledger {
    /// Makes room for workers up to this one.
    pub(super) fn cover(&mut self, highest: InstanceId) {
        if self.requests.len() <= highest.index() {
            self.requests.resize(highest.index() + 1, 0);
            self.prefill_tokens.resize(highest.index() + 1, 0);
            self.blocks.cover(highest);
        }
    }

    /// A request goes to a worker. If it was on another one before, it left that.
    pub(super) fn book(&mut self, request: RequestId, worker: InstanceId, tokens: u64, keys: Vec<u64>) {
        self.free(request);
        self.cover(worker);
        self.prefill_tokens[worker.index()] += tokens;
        self.requests[worker.index()] += 1;
        self.blocks.acquire(worker, &keys);
        self.live.insert(request, Booking { worker, tokens, keys });
    }

    /// Its prefill is done.
    pub(super) fn prefilled(&mut self, request: RequestId) {
        if let Some(booking) = self.live.get_mut(&request) {
            self.prefill_tokens[booking.worker.index()] -= std::mem::take(&mut booking.tokens);
        }
    }

    /// It has ended, or is to be placed anew.
    pub(super) fn free(&mut self, request: RequestId) {
        if let Some(booking) = self.live.remove(&request) {
            self.prefill_tokens[booking.worker.index()] -= booking.tokens;
            self.requests[booking.worker.index()] -= 1;
            self.blocks.release(booking.worker, &booking.keys);
        }
    }

    pub(super) fn prefill_tokens(&self, worker: InstanceId) -> u64 {
        self.prefill_tokens[worker.index()]
    }

    /// What each worker has in flight, in their order.
    pub(super) fn loads(&self) -> impl Iterator<Item = Load> {
        let tokens_and_requests = self.prefill_tokens.iter().zip(&self.requests);
        tokens_and_requests.zip(self.blocks.distinct()).map(|((&prefill_tokens, &requests), &distinct_blocks)| Load {
            prefill_tokens,
            requests,
            distinct_blocks,
        })
    }

    /// How many of these leading blocks live requests of each worker hold already.
    pub(super) fn shared_blocks(&mut self, keys: &[u64], out: &mut Vec<u32>) {
        self.blocks.matched(keys, self.requests.len(), out);
    }
}
