//! What a run leaves behind request by request and decision by decision, as tables.

use std::path::Path;

use trimtab_core::SimTime;
use trimtab_engine::{Decided, DecisionRow, InstanceTotals, Integrals, Outcome, Row, RunResult, WINDOW};
use trimtab_table::{Column, RequestRow, Table, TableError, requests_table};

/// How a request ended, by name.
fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Completed => "completed",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
    }
}

/// One row per request, in arrival order; the columns are those of [`requests_table`].
pub fn requests(result: &RunResult) -> Table {
    let some = |time: SimTime| (time != SimTime::MAX).then_some(time);
    let row = |(request, row): (u64, &Row)| RequestRow {
        request,
        arrival: row.arrival,
        routed: some(row.routed),
        admitted: some(row.admitted),
        first_token: some(row.first_token),
        finish: some(row.finish),
        tpot: row.tpot(),
        instance: some(row.routed).map(|_| row.instance.0),
        prompt_tokens: row.prompt_tokens.into(),
        hit_tokens: row.hit_tokens.into(),
        loaded_tokens: row.loaded_tokens.into(),
        hit_blocks: row.hit_blocks.into(),
        believed_tokens: some(row.routed).map(|_| row.believed_tokens.into()),
        cached_tokens: some(row.routed).map(|_| row.cached_tokens.into()),
        recomputed_tokens: row.recomputed_tokens,
        output_tokens: row.output_tokens.into(),
        preemptions: row.preemptions.into(),
        migrations: row.migrations.into(),
        retries: row.retries.into(),
        lost: row.lost.into(),
        hung_up: row.hung_up.into(),
        outcome: outcome(row.outcome),
    };
    requests_table(&(0..).zip(&result.rows).map(row).collect::<Vec<_>>())
}

/// One row per decision, in their order.
///
/// | column | unit | meaning |
/// |---|---|---|
/// | `at_s` | s | when it fell |
/// | `request` | | of which request |
/// | `decided` `instance` | | `route`, `migrate`, `park` or `reject`, and where to |
/// | `reason` | | the rule that decided, in the scheduler's words |
/// | `candidates` | | instances weighed with the scheduler's own scores: `0=1.5 3=2.0` |
/// | `predicted_ttft_s` `predicted_hit_tokens` | s, tokens | what the router expected of the choice |
/// | `actual_ttft_s` `actual_hit_tokens` | s, tokens | what came of the request in the end |
/// | `best_instance` `best_ttft_s` `chosen_ttft_s` `regret_s` | s | the instance with the first token soonest, were nothing else to arrive, by trying all; only when asked for |
pub fn decisions(log: &[DecisionRow]) -> Table {
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).expect("equal lengths, distinct names, finite times");
    let times = |get: fn(&DecisionRow) -> Option<SimTime>| {
        Column::Real(log.iter().map(|row| get(row).map(SimTime::as_secs_f64)).collect())
    };
    let counts = |get: fn(&DecisionRow) -> Option<u64>| Column::Count(log.iter().map(get).collect());
    let decided = |row: &DecisionRow| match row.decided {
        Decided::Route(_) => "route",
        Decided::Migrate(_) => "migrate",
        Decided::Park => "park",
        Decided::Reject => "reject",
    };
    let scores = |row: &DecisionRow| {
        let one = |(instance, score): &(trimtab_core::InstanceId, f64)| format!("{}={score:?}", instance.0);
        let all: Vec<String> = row.candidates.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(" "))
    };
    add("at_s", times(|row| Some(row.at)));
    add("request", counts(|row| Some(row.request.0.into())));
    add("decided", Column::text(log.iter().map(decided)));
    add("instance", counts(|row| row.decided.instance().map(|to| to.0.into())));
    add("reason", Column::Text(log.iter().map(|row| row.reason.map(str::to_owned)).collect()));
    add("candidates", Column::Text(log.iter().map(scores).collect()));
    add("predicted_ttft_s", times(|row| row.predicted_ttft));
    add("predicted_hit_tokens", counts(|row| row.decided.instance().map(|_| row.predicted_hit.into())));
    add("actual_ttft_s", times(|row| row.actual_ttft));
    add("actual_hit_tokens", counts(|row| row.actual_ttft.map(|_| row.actual_hit.into())));
    add("best_instance", counts(|row| row.regret.map(|regret| regret.best.0.into())));
    add("best_ttft_s", times(|row| row.regret.map(|regret| regret.best_ttft)));
    add("chosen_ttft_s", times(|row| row.regret.map(|regret| regret.chosen_ttft)));
    add("regret_s", times(|row| row.regret.map(|r| r.chosen_ttft.saturating_since(r.best_ttft))));
    table
}

/// One row per instance and 10 s of simulated time; empty when no series was kept.
///
/// | column | unit | meaning |
/// |---|---|---|
/// | `from_s` | s | when the window begins |
/// | `instance` | | which |
/// | `busy` | | share of the window with a step in progress |
/// | `running` `waiting` | | requests in the batch and in the queue, time means |
/// | `pending_tokens` | tokens | prompt tokens still to be computed, time mean |
/// | `kv_use` | | share of the KV blocks held by the batch, time mean |
/// | `moved` | | requests that left the queue for another instance |
/// | `serving` | | share of the window in which the instance was paid for: not before it starts, not after it is gone |
pub fn load(result: &RunResult) -> Table {
    let windows = |totals: &InstanceTotals| totals.windows.as_ref().map_or(0, Vec::len);
    let count = result.instances.iter().map(windows).max().unwrap_or(0);
    let mut all: Vec<(u64, usize, Integrals)> = Vec::with_capacity(count * result.instances.len());
    for window in 0..count {
        let of = |totals: &InstanceTotals| totals.windows.as_ref().and_then(|all| all.get(window)).copied();
        let instances = result.instances.iter().enumerate();
        all.extend(instances.map(|(index, totals)| (window as u64, index, of(totals).unwrap_or_default())));
    }
    let mut table = Table::new();
    let mut add = |name: &str, column| table.push(name, column).expect("equal lengths, distinct names, finite means");
    let mean = |of: &dyn Fn(&Integrals, usize) -> f64| {
        let one = |&(window, index, ref sums): &(u64, usize, Integrals)| {
            // The last window ends with the run.
            let span = (result.makespan.0 - window * WINDOW.0).clamp(1, WINDOW.0);
            of(sums, index) / span as f64
        };
        Column::real(all.iter().map(one))
    };
    add("from_s", Column::real(all.iter().map(|row| SimTime(row.0 * WINDOW.0).as_secs_f64())));
    add("instance", Column::count(all.iter().map(|row| row.1 as u64)));
    add("busy", mean(&|sums, _| sums.busy as f64));
    add("running", mean(&|sums, _| sums.running as f64));
    add("waiting", mean(&|sums, _| sums.waiting as f64));
    add("pending_tokens", mean(&|sums, _| sums.pending_tokens as f64));
    add("kv_use", mean(&|sums, index| sums.used_blocks as f64 / result.instances[index].total_blocks as f64));
    add("moved", Column::count(all.iter().map(|row| row.2.moved)));
    let serving = |&(window, index, _): &(u64, usize, Integrals)| {
        let begin = SimTime(window * WINDOW.0);
        let end = SimTime((begin + WINDOW).0.min(result.makespan.0)).max(begin + SimTime(1));
        let Some(fleet) = &result.fleet else { return 1.0 };
        let own = fleet.spans.iter().filter(|(id, ..)| id.index() == index);
        let paid: u64 = own.map(|&(_, from, to)| to.min(end).saturating_since(from.max(begin)).0).sum();
        paid as f64 / (end - begin).0 as f64
    };
    add("serving", Column::real(all.iter().map(serving)));
    table
}

/// Writes the requests of a run as CSV or Parquet, by the name of the file.
pub fn write_requests(path: &Path, result: &RunResult) -> Result<(), TableError> {
    requests(result).write(path)
}

/// Writes the decisions of a run likewise; an empty table when none were kept.
pub fn write_decisions(path: &Path, result: &RunResult) -> Result<(), TableError> {
    decisions(result.decisions.as_deref().unwrap_or_default()).write(path)
}
