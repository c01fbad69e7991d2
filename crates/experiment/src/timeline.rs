//! A window of a run in the trace-event format that Perfetto and Chrome read.
//!
//! The router and each instance are processes. The first thread of an instance has its steps, the second and following
//! ones have a request each at a time: its stay on the instance with queue, prefill and decode inside. The router's
//! threads have requests from arrival until they are in the queue of an instance. A flow leads each request through all
//! of these. Counters show KV blocks, pending tokens and requests; what happens to the cluster is shown as instants.
//!
//! Times are rounded down to nanoseconds, the resolution of the format's readers, so that slices nest exactly; what would
//! have no length but is the end of an arrow has one nanosecond.

use std::cmp::Reverse;

use serde::Serialize;
use serde_json::{Map, Value, json};
use trimtab_core::{InstanceId, RequestId, SimTime};
use trimtab_engine::timeline::{Batch, Levels, RequestEvent, Stage, Timeline};
use trimtab_engine::{Happened, Outcome};

/// An event of the format. What a kind of event does not have is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceEvent {
    /// Kind: a slice (`X`), a flow (`s`, `t`, `f`), an instant (`i`), a counter (`C`) or a name (`M`).
    pub ph: &'static str,
    /// What is shown.
    pub name: String,
    /// The router is 0, instance i is i + 1.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// When, in microseconds.
    pub ts: f64,
    /// How long, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dur: Option<f64>,
    /// What kind of thing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub cat: &'static str,
    /// Which flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Of the end of a flow: it belongs to the slice around it. Of an instant: it is the process's.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub bp: &'static str,
    /// How far an instant is drawn.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub s: &'static str,
    /// Details.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
}

/// The thread of an instance with its steps, and of the router without slices.
const STEPS: u32 = 1;
/// The first thread with requests.
const LANES: u32 = 2;
const ROUTER: u32 = 0;

fn pid(instance: InstanceId) -> u32 {
    instance.0 + 1
}

/// Whole nanoseconds.
fn ns(time: SimTime) -> u64 {
    time.0 / 1000
}

fn args<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl TraceEvent {
    fn new(ph: &'static str, name: impl Into<String>, (pid, tid): (u32, u32), at_ns: u64) -> Self {
        Self {
            ph,
            name: name.into(),
            pid,
            tid,
            ts: at_ns as f64 / 1e3,
            dur: None,
            cat: "",
            id: None,
            bp: "",
            s: "",
            args: Map::new(),
        }
    }

    fn slice(name: impl Into<String>, track: (u32, u32), (from, to): (u64, u64), args: Map<String, Value>) -> Self {
        Self { dur: Some((to - from) as f64 / 1e3), args, ..Self::new("X", name, track, from) }
    }
}

/// All events of a timeline, names first, then by time; of one time, the longer slice first, and flows after slices.
pub fn trace_events(timeline: &Timeline, instances: u32) -> Vec<TraceEvent> {
    let mut events = Vec::new();
    let mut lanes = Lanes::new(instances as usize + 1);
    for stays in by_request(&timeline.requests) {
        request(&mut events, &mut lanes, &stays, timeline.to);
    }
    steps(&mut events, timeline);
    counters(&mut events, timeline);
    for event in &timeline.fleet {
        let instant = TraceEvent::new("i", happened(event.what), (pid(event.instance), STEPS), ns(event.at));
        events.push(TraceEvent { s: "p", args: args([("members", json!(event.members))]), ..instant });
    }
    events.sort_by(|a, b| {
        let rank = |event: &TraceEvent| (event.ph != "X", Reverse(event.dur.map_or(0, f64::to_bits)));
        a.ts.total_cmp(&b.ts).then_with(|| rank(a).cmp(&rank(b)))
    });
    let mut all = names(instances, &lanes);
    all.append(&mut events);
    all
}

/// The whole document, one event on a line.
pub fn document(events: &[TraceEvent], about: &Value) -> String {
    let line = |event: &TraceEvent| serde_json::to_string(event).expect("an event is plain data");
    let lines: Vec<String> = events.iter().map(line).collect();
    format!("{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

/// Which threads of each process have a request, and until when.
struct Lanes(Vec<Vec<u64>>);

impl Lanes {
    fn new(processes: usize) -> Self {
        Self(vec![Vec::new(); processes])
    }

    /// The first thread that is free by then.
    fn take(&mut self, pid: u32, from: u64, to: u64) -> u32 {
        let lanes = &mut self.0[pid as usize];
        let free = lanes.iter().position(|&until| until <= from).unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[free] = to;
        LANES + u32::try_from(free).expect("no more lanes than requests")
    }
}

/// Part of the life of a request: in one process, or on its way there.
#[derive(Debug)]
struct Stay {
    request: RequestId,
    /// On which instance; at the router when `None`.
    on: Option<InstanceId>,
    from: u64,
    /// Absent when it goes on beyond the window.
    to: Option<u64>,
    /// What it does there: name, from when on.
    parts: Vec<(&'static str, u64)>,
    args: Map<String, Value>,
}

/// The stays of each request, by the time of the first.
fn by_request(events: &[RequestEvent]) -> Vec<Vec<Stay>> {
    let mut sorted: Vec<&RequestEvent> = events.iter().collect();
    // What happens at one time stays in its order.
    sorted.sort_by_key(|event| event.request);
    sorted.chunk_by(|a, b| a.request == b.request).map(stays).collect()
}

/// From its events to its stays.
fn stays(events: &[&RequestEvent]) -> Vec<Stay> {
    let mut stays: Vec<Stay> = Vec::new();
    let mut sent = None;
    for event in events {
        let at = ns(event.at);
        let new = |on, part| Stay {
            request: event.request,
            on,
            from: at,
            to: None,
            parts: vec![(part, at)],
            args: args([("request", json!(event.request.0))]),
        };
        let end = |stays: &mut Vec<Stay>| {
            if let Some(stay) = stays.last_mut().filter(|stay| stay.to.is_none()) {
                stay.to = Some(at);
            }
        };
        let part = |stays: &mut Vec<Stay>, name| stays.last_mut().map(|stay| stay.parts.push((name, at)));
        match event.what {
            Stage::Arrived { prompt_tokens } => {
                let mut stay = new(None, "route");
                stay.args.insert("prompt_tokens".into(), json!(prompt_tokens));
                stays.push(stay);
            }
            Stage::Parked => drop(part(&mut stays, "parked")),
            Stage::Sent(to) => {
                sent = Some(to);
                part(&mut stays, "on its way");
            }
            Stage::Queued => {
                end(&mut stays);
                stays.push(new(sent, "queue"));
            }
            Stage::Admitted { hit_tokens } => {
                part(&mut stays, "prefill");
                if let Some(stay) = stays.last_mut() {
                    stay.args.entry("hit_tokens").or_insert(json!(hit_tokens));
                }
            }
            Stage::Prefilled => drop(part(&mut stays, "decode")),
            Stage::Preempted => drop(part(&mut stays, "preempted")),
            Stage::Withdrawn => {
                end(&mut stays);
                stays.push(new(None, "route"));
            }
            Stage::Ended(outcome) => {
                end(&mut stays);
                if let Some(stay) = stays.last_mut() {
                    stay.args.insert("outcome".into(), json!(ended(outcome)));
                }
            }
        }
    }
    stays
}

/// The slices of a request and the flow through them.
fn request(events: &mut Vec<TraceEvent>, lanes: &mut Lanes, stays: &[Stay], window_end: SimTime) {
    let mut stops: Vec<((u32, u32), u64)> = Vec::new();
    let id = stays.first().map_or(0, |stay| stay.request.0);
    let name = format!("request {id}");
    for stay in stays {
        let to = stay.to.unwrap_or(ns(window_end)).max(stay.from + 1);
        let process = stay.on.map_or(ROUTER, pid);
        let track = (process, lanes.take(process, stay.from, to));
        let mut args = stay.args.clone();
        if stay.to.is_none() {
            args.insert("goes_on".into(), json!(true));
        }
        events.push(TraceEvent { cat: "request", ..TraceEvent::slice(&name, track, (stay.from, to), args) });
        stops.push((track, stay.from));
        let ends = stay.parts.iter().skip(1).map(|part| part.1).chain([to]);
        for (&(part, from), until) in stay.parts.iter().zip(ends).filter(|((_, from), until)| until > from) {
            let slice = TraceEvent::slice(part, track, (from, until), Map::new());
            events.push(TraceEvent { cat: "stage", ..slice });
            stops.push((track, from));
        }
    }
    stops.dedup();
    if let [first, middle @ .., last] = &stops[..] {
        let mut flow = |ph, (track, at): ((u32, u32), u64)| {
            let bp = if ph == "f" { "e" } else { "" };
            events.push(TraceEvent { cat: "request", id: Some(id), bp, ..TraceEvent::new(ph, &name, track, at) });
        };
        flow("s", *first);
        for &stop in middle {
            flow("t", stop);
        }
        flow("f", *last);
    }
}

fn steps(events: &mut Vec<TraceEvent>, timeline: &Timeline) {
    for step in &timeline.steps {
        let Batch { prefill_requests, prefill_tokens, decode_seqs, decode_context } = step.batch;
        let name = match (prefill_tokens, decode_seqs) {
            (0, seqs) => format!("decode {seqs}"),
            (tokens, 0) => format!("prefill {tokens}"),
            (tokens, seqs) => format!("prefill {tokens} + decode {seqs}"),
        };
        let shape = args([
            ("prefill_requests", json!(prefill_requests)),
            ("prefill_tokens", json!(prefill_tokens)),
            ("decode_seqs", json!(decode_seqs)),
            ("decode_context", json!(decode_context)),
        ]);
        let (from, to) = (ns(step.start), ns(step.end).max(ns(step.start)));
        let slice = TraceEvent::slice(name, (pid(step.instance), STEPS), (from, to), shape);
        events.push(TraceEvent { cat: "step", ..slice });
    }
}

fn counters(events: &mut Vec<TraceEvent>, timeline: &Timeline) {
    for level in &timeline.levels {
        let Levels { used_blocks, cached_blocks, pending_tokens, running, waiting } = level.level;
        let all = [
            ("KV blocks", args([("used", json!(used_blocks)), ("cached", json!(cached_blocks))])),
            ("pending tokens", args([("tokens", json!(pending_tokens))])),
            ("requests", args([("running", json!(running)), ("waiting", json!(waiting))])),
        ];
        for (name, args) in all {
            let counter = TraceEvent::new("C", name, (pid(level.instance), 0), ns(level.at));
            events.push(TraceEvent { args, ..counter });
        }
    }
}

/// Names of processes and threads, and their order.
fn names(instances: u32, lanes: &Lanes) -> Vec<TraceEvent> {
    let mut all = Vec::new();
    let mut name = |track, what: &str, key: &str, value: Value| {
        all.push(TraceEvent { args: args([(key, value)]), ..TraceEvent::new("M", what, track, 0) });
    };
    for process in 0..=instances {
        let title = if process == ROUTER { "router".to_owned() } else { format!("instance {}", process - 1) };
        name((process, 0), "process_name", "name", json!(title));
        name((process, 0), "process_sort_index", "sort_index", json!(process));
        if process != ROUTER {
            name((process, STEPS), "thread_name", "name", json!("steps"));
            name((process, STEPS), "thread_sort_index", "sort_index", json!(STEPS));
        }
        for lane in (LANES..).take(lanes.0[process as usize].len()) {
            name((process, lane), "thread_name", "name", json!(format!("requests {}", lane - LANES + 1)));
            name((process, lane), "thread_sort_index", "sort_index", json!(lane));
        }
    }
    all
}

fn ended(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Completed => "completed",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
    }
}

fn happened(what: Happened) -> &'static str {
    match what {
        Happened::Starting => "starting",
        Happened::Joined => "joined",
        Happened::Draining => "draining",
        Happened::Stopped => "stopped",
        Happened::Failed => "failed",
        Happened::Paced => "slowed",
        Happened::Unpaced => "as fast as usual",
        Happened::Cut => "cut off",
        Happened::Frozen => "reports frozen",
        Happened::Healed => "reached again",
        Happened::Flushed => "cache lost",
    }
}
