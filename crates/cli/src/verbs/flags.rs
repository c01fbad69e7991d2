//! The flags of `trimtab run` that stand for one value of a scenario each. A default is never said here: help shows that
//! of the scenario.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command};
use serde_json::Value;
use trimtab_experiment::overrides::Override;
use trimtab_experiment::scenario::Scenario;

use crate::workload_flags;

/// What is written after a flag.
enum Takes {
    /// A number or the like; how help names it.
    Value(&'static str),
    /// Text, even if it looks like a number.
    Text(&'static str),
    /// The `kind` of a table, or the whole table.
    Kind,
    /// Nothing: the flag sets this.
    Nothing(&'static str),
    /// A short form, and the value that it stands for.
    Short(&'static str, fn(&str) -> Result<String, String>),
}

use Takes::{Kind, Nothing, Short, Text, Value as Number};

/// Name, dotted path, what it takes, help.
const FLAGS: &[(&str, &str, Takes, &str)] = &[
    ("trace", "workload.trace", Text("FILE"), "Trace file to replay; the format is sniffed"),
    ("format", "workload.format", Text("NAME"), "Force the trace format (see `trimtab list formats`)"),
    ("workload", "workload.kind", Text("NAME"), "Generated workload (see `trimtab list workloads`)"),
    ("scheduler", "scheduler.kind", Text("NAME"), "Scheduler (see `trimtab list schedulers`)"),
    ("instances", "cluster.instances", Number("N"), "Instances"),
    ("rate", "workload.rate", Number("RPS"), "Rescale the arrival clock to this many requests per second"),
    ("speedup", "workload.speedup", Number("X"), "Divide arrival times by this"),
    (
        "arrivals",
        "workload.arrivals",
        Short("PROCESS", workload_flags::arrivals),
        "Arrival process instead of the recorded times: poisson, constant, gamma:CV, weibull:CV, or JSON such as \
         '{\"states\":{\"rates\":[0.2,1.8],\"stay_s\":60}}' (see docs/workloads.md)",
    ),
    (
        "jitter-s",
        "workload.jitter_s",
        Number("SECONDS"),
        "Move each arrival later by up to this, seeded: spreads the ticks of a coarse clock",
    ),
    (
        "jitter-ticks",
        "workload.jitter_ticks",
        Nothing("true"),
        "Spread arrivals that share a time up to the next time, seeded",
    ),
    ("keep-sessions", "workload.keep_sessions", Number("SHARE"), "Keep each session with this probability, seeded"),
    ("start", "workload.start_s", Number("SECONDS"), "Begin at this time of the trace, which becomes 0"),
    ("duration", "workload.duration_s", Number("SECONDS"), "The requests of this many seconds"),
    (
        "trace-block",
        "workload.trace_block",
        Number("N"),
        "Tokens of one block id of the trace, when they are not those of its format",
    ),
    (
        "zero-output",
        "workload.zero_output",
        Text("WHAT"),
        "Requests without output: drop, or one (token, which is what a prefill yields)",
    ),
    ("lenient", "workload.lenient", Nothing("true"), "Skip and count faulty rows, up to 1 % of them"),
    ("max-dropped", "workload.max_dropped", Number("SHARE"), "The share of rows that may be skipped, instead of 0.01"),
    ("strict-order", "workload.strict_order", Nothing("true"), "Refuse times that decrease, instead of sorting"),
    (
        "tenants",
        "workload.tenants",
        Short("N[:SKEW]", tenants),
        "So many tenants, the r-th with a rate in proportion to r^-SKEW",
    ),
    (
        "closed-loop",
        "workload.loop",
        Nothing("{ kind = \"sessions\" }"),
        "A turn of a session waits for the end of the turn before it",
    ),
    (
        "users",
        "workload.loop",
        Short("N", users),
        "So many users, one request at a time each, instead of arrival times",
    ),
    (
        "think-s",
        "workload.loop.think_s",
        Number("SECONDS"),
        "Seconds between an answer and the next request, where the workload does not say them",
    ),
    ("model", "cluster.model", Text("NAME"), "Model: catalogue name, TOML file or Hugging Face config.json"),
    ("hardware", "cluster.hardware", Text("NAME"), "Hardware: catalogue name or TOML file"),
    ("tp", "cluster.tp", Number("N"), "GPUs per instance (tensor parallel)"),
    ("weights", "cluster.weights", Text("TYPE"), "Storage type of the weights: bf16 or fp8"),
    ("kv-tokens", "cluster.kv_tokens", Number("N"), "KV cache per instance in tokens, instead of what fits"),
    ("block-tokens", "cluster.block_tokens", Number("N"), "Tokens of a KV block"),
    ("max-batched-tokens", "cluster.max_batched_tokens", Number("N"), "Token budget of a step"),
    ("max-seqs", "cluster.max_seqs", Number("N"), "Sequence limit of a step"),
    ("mixing", "cluster.mixing", Text("NAME"), "decode-first or prefill-first"),
    ("order", "cluster.order", Text("NAME"), "Admission order: fcfs, longest-prefix or preble"),
    ("watermark", "cluster.watermark", Number("SHARE"), "Share of KV blocks that admission leaves free"),
    ("eviction", "cluster.eviction", Text("NAME"), "Which cached block goes first"),
    ("no-prefix-cache", "cluster.cache.enabled", Nothing("false"), "Reuse nothing"),
    ("partial-tail", "cluster.cache.partial_tail", Nothing("true"), "Reuse the final partial block of a prompt too"),
    ("cache-visible", "cluster.cache.visible", Text("NAME"), "When a block can be hit: computed or scheduled"),
    ("generated", "cluster.cache.generated", Text("NAME"), "Generated blocks that nothing can name: free or keep"),
    (
        "cost",
        "cluster.cost",
        Kind,
        "Step cost: analytic, polynomial, or a table such as '{kind = \"analytic\", profile = \"fitted\"}'",
    ),
    ("slo-ttft", "slo.ttft_s", Number("SECONDS"), "TTFT objective"),
    ("slo-tpot", "slo.tpot_s", Number("SECONDS"), "TPOT objective"),
    ("slo-e2e", "slo.e2e_s", Number("SECONDS"), "End-to-end objective"),
    ("warmup-requests", "warmup_requests", Number("N"), "Leave the first N requests out of the statistics"),
    ("max-input-tokens", "workload.max_input_tokens", Number("N"), "Cut prompts to N tokens, keeping the head"),
    ("limit", "workload.limit", Number("N"), "The first N requests"),
    ("seed", "seed", Number("N"), "Seed of every random stream"),
];

/// Flags that exclude each other.
const EITHER: [(&str, &str); 3] = [("trace", "workload"), ("rate", "speedup"), ("closed-loop", "users")];

/// Flags without effect unless one of some others is given: flag, name of the others, the others.
const NEEDS: [(&str, &str, &[&str]); 2] =
    [("think-s", "a closed loop", &["closed-loop", "users"]), ("max-dropped", "leniency", &["lenient"])];

fn tenants(text: &str) -> Result<String, String> {
    let tenants = workload_flags::tenants(text)?;
    Ok(format!("{{ count = {}, skew = {:?} }}", tenants.count, tenants.skew))
}

fn users(text: &str) -> Result<String, String> {
    let count: u32 = text.parse().map_err(|_| format!("`{text}` is not a number of users"))?;
    Ok(format!("{{ kind = \"users\", count = {count} }}"))
}

/// What the flags say, in the order of the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(pub(crate) Vec<Override>);

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let one = |(name, path, takes, _): &(&str, &str, Takes, &str)| {
            let text = match takes {
                Nothing(sets) => matches.get_flag(name).then(|| (*sets).to_owned()),
                _ => matches.get_one::<String>(name).cloned(),
            }?;
            let table = matches!(takes, Kind) && text.trim_start().starts_with('{');
            let path = if matches!(takes, Kind) && !table { format!("{path}.kind") } else { (*path).to_owned() };
            let is_text = matches!(takes, Text(_) | Kind) && !table;
            let origin = if matches!(takes, Nothing(_)) { format!("--{name}") } else { format!("--{name} {text}") };
            Some(Override { origin, path, text, is_text })
        };
        self.0 = FLAGS.iter().filter_map(one).collect();
        Ok(())
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let defaults = serde_json::to_value(Scenario::default()).unwrap_or_default();
        let arg = |(name, path, takes, help): &(&'static str, &'static str, Takes, &'static str)| {
            let other = EITHER.iter().find_map(|(a, b)| (a == name).then_some(*b));
            let arg = Arg::new(*name).long(*name).conflicts_with_all(other).help_heading(heading(path));
            let arg = match NEEDS.iter().find(|(flag, ..)| flag == name) {
                Some((_, group, _)) => arg.requires(group),
                None => arg,
            };
            let arg = match takes {
                Number(name) | Text(name) => arg.value_name(*name),
                Short(name, parse) => arg.value_name(*name).value_parser(*parse),
                Kind => arg.value_name("KIND"),
                Nothing(_) => return arg.help(*help).action(ArgAction::SetTrue),
            };
            // What is short for a table has no default that could be typed in its place.
            let shown = if matches!(takes, Short(..)) { String::new() } else { shown(&defaults, path) };
            arg.help(format!("{help}{shown}"))
        };
        let groups = NEEDS.map(|(_, group, others)| ArgGroup::new(group).args(others).multiple(true));
        command.args(FLAGS.iter().map(arg)).groups(groups)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Under what help lists the flag for a path.
fn heading(path: &str) -> &'static str {
    match path.split_once('.').map_or(path, |(table, _)| table) {
        "workload" => "Workload",
        "cluster" => "Instances",
        "scheduler" => "Scheduler",
        _ => "Objectives and statistics",
    }
}

/// The default at a path, as help shows it.
fn shown(defaults: &Value, path: &str) -> String {
    let value = path.split('.').try_fold(defaults, |value, part| value.get(part)).unwrap_or(&Value::Null);
    match value.get("kind").unwrap_or(value) {
        Value::Null => String::new(),
        Value::String(text) => format!(" [default: {text}]"),
        other => format!(" [default: {other}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_stands_for_a_value_of_a_scenario() {
        for (name, path, takes, _) in FLAGS {
            let text = match takes {
                Nothing(sets) => sets,
                // A value of the wrong type is refused for its type, an unknown path as unknown.
                _ => "{}",
            };
            let one = Override { origin: String::new(), path: (*path).into(), text: text.to_string(), is_text: false };
            let error = trimtab_experiment::overrides::overridden(&Scenario::default(), &[one]).err();
            assert!(error.is_none_or(|error| !error.to_string().contains("unknown key")), "--{name}");
        }
        assert!(
            shown(&serde_json::to_value(Scenario::default()).unwrap_or_default(), "cluster.instances").contains('8')
        );
    }
}
