//! The per-request record of a run as a table.

use trimtab_core::SimTime;

use crate::table::{Column, Table};

/// One request of a run. A time that never came, an instance never reached and a tenant or class that the workload does
/// not name are missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the columns are documented in `requests_table`")]
pub struct RequestRow {
    pub request: u64,
    pub arrival: SimTime,
    pub routed: Option<SimTime>,
    pub admitted: Option<SimTime>,
    pub first_token: Option<SimTime>,
    pub finish: Option<SimTime>,
    pub tpot: Option<SimTime>,
    pub instance: Option<u32>,
    pub prompt_tokens: u64,
    pub hit_tokens: u64,
    pub loaded_tokens: u64,
    pub hit_blocks: u64,
    pub believed_tokens: Option<u64>,
    pub cached_tokens: Option<u64>,
    pub recomputed_tokens: u64,
    pub output_tokens: u64,
    pub preemptions: u64,
    pub migrations: u64,
    pub retries: u64,
    pub lost: u64,
    pub hung_up: u64,
    pub outcome: &'static str,
}

/// The table of a run's requests, in the order given.
///
/// | column | unit | meaning |
/// |---|---|---|
/// | `request` | | its number in the workload, from 0 |
/// | `arrival_s` `routed_s` `admitted_s` `first_token_s` `finish_s` | s | when it reached the router, was last sent to an instance, first entered a batch, gave its first token, ended |
/// | `queue_s` `ttft_s` `e2e_s` | s | from arrival to admission, first token, end (of completed requests) |
/// | `tpot_s` | s | mean time per output token after the first |
/// | `instance` | | the instance that served it, from 0 |
/// | `prompt_tokens` `output_tokens` | tokens | its lengths |
/// | `hit_tokens` `hit_blocks` | tokens, blocks | found cached at its first admission |
/// | `loaded_tokens` | tokens | of the hit ones, read from the memory behind the cache; the others were in the cache itself |
/// | `believed_tokens` `cached_tokens` | tokens | believed cached where it was sent, and cached there at that time; of the last time before its first admission |
/// | `recomputed_tokens` | tokens | processed again because of preemptions |
/// | `preemptions` `migrations` | | how often it lost its KV, was moved before it started |
/// | `retries` `lost` `hung_up` | | how often it was sent anew, by the router or by its client; lost its instance; was given up by its client |
/// | `outcome` | | `completed`, `rejected` or `failed` |
///
/// Seconds are the exact picoseconds divided by 1e12 and rounded once; below 2.5 hours of simulated time no two
/// different times look alike.
pub fn requests_table(rows: &[RequestRow]) -> Table {
    let since = |row: &RequestRow, time: Option<SimTime>| time.map(|time| time.saturating_since(row.arrival));
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).expect("equal lengths, distinct names, finite times");
    add("request", counts(rows, |row| row.request));
    add("arrival_s", times(rows, |row| Some(row.arrival)));
    add("routed_s", times(rows, |row| row.routed));
    add("admitted_s", times(rows, |row| row.admitted));
    add("first_token_s", times(rows, |row| row.first_token));
    add("finish_s", times(rows, |row| row.finish));
    add("queue_s", times(rows, |row| since(row, row.admitted)));
    add("ttft_s", times(rows, |row| since(row, row.first_token)));
    add("e2e_s", times(rows, |row| since(row, row.finish.filter(|_| row.outcome == "completed"))));
    add("tpot_s", times(rows, |row| row.tpot));
    add("instance", Column::Count(rows.iter().map(|row| row.instance.map(u64::from)).collect()));
    add("prompt_tokens", counts(rows, |row| row.prompt_tokens));
    add("output_tokens", counts(rows, |row| row.output_tokens));
    add("hit_tokens", counts(rows, |row| row.hit_tokens));
    add("loaded_tokens", counts(rows, |row| row.loaded_tokens));
    add("hit_blocks", counts(rows, |row| row.hit_blocks));
    add("believed_tokens", Column::Count(rows.iter().map(|row| row.believed_tokens).collect()));
    add("cached_tokens", Column::Count(rows.iter().map(|row| row.cached_tokens).collect()));
    add("recomputed_tokens", counts(rows, |row| row.recomputed_tokens));
    add("preemptions", counts(rows, |row| row.preemptions));
    add("migrations", counts(rows, |row| row.migrations));
    add("retries", counts(rows, |row| row.retries));
    add("lost", counts(rows, |row| row.lost));
    add("hung_up", counts(rows, |row| row.hung_up));
    add("outcome", Column::text(rows.iter().map(|row| row.outcome)));
    table
}

fn counts(rows: &[RequestRow], value: impl Fn(&RequestRow) -> u64) -> Column {
    Column::count(rows.iter().map(value))
}

fn times(rows: &[RequestRow], value: impl Fn(&RequestRow) -> Option<SimTime>) -> Column {
    Column::Real(rows.iter().map(|row| value(row).map(SimTime::as_secs_f64)).collect())
}
