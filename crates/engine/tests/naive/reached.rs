//! How often each feature was reached, so that a property test can assert that it tests what it claims to.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// One counter for each feature.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Reached {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Reached {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// All counters by name.
            pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    /// Decoding or re-prefilling requests that had to leave.
    preemptions,
    /// Partial prefills that had to leave.
    partial_preemptions,
    /// First admissions that hit all that a prompt can hit.
    full_hits,
    /// First admissions that hit a part of it.
    partial_hits,
    /// Hits that include the final partial block.
    tail_hits,
    /// Hits of a request that was preempted.
    readmission_hits,
    /// Hits of a block that a request of the same step computes.
    hits_within_step,
    /// Hits of a block of generated tokens.
    generated_hits,
    /// Private copies given up for a block that another request made resident.
    shared_later,
    /// Blocks of a later chunk found resident at planning.
    shared_at_planning,
    one_token_outputs,
    /// Arrivals at the time of the one before.
    simultaneous_arrivals,
    /// Admissions that read from the tier.
    read_at_admission,
    /// Admissions of a request that had read from the tier while it waited.
    read_ahead,
    /// Readings of a part of what the tier held.
    partial_reads,
    /// Readings in a cluster that changes or with clients that hang up.
    reads_amid_changes,
    /// Blocks in the memory of an instance that stopped or failed: those lost with it, and those that outlived it.
    memory_lost,
    memory_kept,
    /// Chunks that the token budget cut.
    budget_cuts,
    /// Admissions that stopped for lack of blocks.
    kv_exhausted,
    /// Admissions that the watermark alone stopped.
    watermark_stops,
    /// Admissions that the sequence limit stopped.
    sequence_stops,
    evictions,
    /// Evictions of a generated block without identity.
    anonymous_evictions,
    /// Admissions of a request that was not the first in the queue.
    overtakes,
    /// Prefill-only steps while a decode waited.
    stalled_decodes,
    /// Steps that hold both decodes and prefill chunks.
    mixed_steps,
    rejections,
    /// Instances that began to start.
    additions,
    /// Queued requests of an instance that left.
    drained_requests,
    /// Requests of an instance that failed.
    lost_requests,
    /// Failures at random.
    faults,
    /// Answers of an autoscaler that changed something.
    scalings,
    /// Looks of an autoscaler at a report that was out of date.
    stale_looks,
    slow_instances,
    /// Instances that the router could not reach for a while.
    cuts,
    /// Cached blocks that were lost with a cache alone.
    flushed_blocks,
    /// Requests that found no instance.
    stranded,
    hang_ups,
    failures,
    /// Step ends at the time of an arrival.
    arrivals_at_step_ends,
}
