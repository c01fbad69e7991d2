//! Adds instances above a threshold and removes them below another one.

use serde::{Deserialize, Serialize};

use super::{Autoscaler, AutoscalerDef, CoolDown, FleetView};
use crate::{params_doc, require, typed};

/// The reactive autoscaler in the list.
pub(super) const DEF: AutoscalerDef = AutoscalerDef {
    name: "reactive",
    summary: "more instances above a threshold of queue, KV use or predicted lateness, fewer below another one",
    params: || {
        params_doc::<Params>(&[
            (
                "metric",
                "`queue`: waiting requests of an instance; `kv`: share of KV blocks in use; `late`: share of instances whose \
                 queue alone is predicted to take longer than the TTFT objective. Means over instances",
            ),
            ("above", "more instances when the metric is above this"),
            ("below", "fewer instances when it is below this; the gap between the two is the hysteresis"),
            ("step", "how many instances at once"),
            ("cooldown_up_s", "no addition sooner after the last change"),
            ("cooldown_down_s", "no removal sooner after the last change"),
        ])
    },
    foresees: false,
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.above > params.below, "above", "more than `below`")?;
        require(params.step >= 1, "step", "at least 1")?;
        require(params.metric != Metric::Late || context.slo_ttft.is_some(), "metric", "`queue` or `kv` without an objective")?;
        let cool = CoolDown::new(params.cooldown_up_s, params.cooldown_down_s)?;
        Ok(Box::new(Reactive { params, cool, slo_ps: context.slo_ttft.map_or(0, |slo| slo.0) }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    metric: Metric,
    above: f64,
    below: f64,
    step: u32,
    cooldown_up_s: f64,
    cooldown_down_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { metric: Metric::Queue, above: 4.0, below: 0.5, step: 1, cooldown_up_s: 15.0, cooldown_down_s: 60.0 }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Metric {
    Queue,
    Kv,
    Late,
}

struct Reactive {
    params: Params,
    cool: CoolDown,
    slo_ps: u64,
}

impl Autoscaler for Reactive {
    fn target(&mut self, fleet: &FleetView<'_>) -> u32 {
        let (view, n) = (&fleet.cluster, fleet.current);
        let of = |i| match self.params.metric {
            Metric::Queue => f64::from(view.snapshot(i).waiting),
            Metric::Kv => view.snapshot(i).kv_use(),
            Metric::Late => f64::from(u8::from(view.queue_ps(i) > self.slo_ps)),
        };
        let members = view.members();
        if members.is_empty() {
            return self.cool.limit(fleet, n.max(1));
        }
        let mean = members.iter().map(|&i| of(i)).sum::<f64>() / members.len() as f64;
        let wish = if mean > self.params.above {
            n + self.params.step
        } else if mean < self.params.below {
            n.saturating_sub(self.params.step)
        } else {
            n
        };
        self.cool.limit(fleet, wish)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Look, check};

    #[test]
    fn it_adds_above_removes_below_and_waits_between_changes() {
        let queue = |at_s, waiting, wanted| (Look { at_s, waiting, ..Look::default() }, wanted);
        let params = json!({ "above": 4.0, "below": 1.0, "step": 3, "cooldown_up_s": 10.0, "cooldown_down_s": 30.0 });
        check(
            "reactive",
            &params,
            &[],
            &[
                // Between the thresholds, and at them, nothing happens.
                queue(0.0, 2, 4),
                queue(1.0, 4, 4),
                queue(2.0, 1, 4),
                queue(3.0, 5, 7),
                // Too soon, then not, as far as the bounds; a wish beyond them is no change.
                queue(12.0, 9, 7),
                queue(13.0, 9, 8),
                queue(40.0, 9, 8),
                // A removal waits for longer, and stops at the bound.
                queue(42.0, 0, 8),
                queue(43.0, 0, 5),
                queue(73.0, 0, 2),
                queue(99.0, 0, 2),
                // An addition does not wait for as long as a removal.
                queue(100.0, 9, 5),
            ],
        );
    }

    #[test]
    fn the_metric_is_what_it_says() {
        let kv = |at_s, used_blocks, wanted| (Look { at_s, used_blocks, waiting: 50, ..Look::default() }, wanted);
        let params = json!({ "metric": "kv", "above": 0.8, "below": 0.3, "cooldown_up_s": 0.0, "cooldown_down_s": 0.0 });
        check("reactive", &params, &[], &[kv(0.0, 81, 5), kv(1.0, 80, 5), kv(2.0, 30, 5), kv(3.0, 29, 4)]);
        let late = |at_s, queue_s, wanted| (Look { at_s, queue_s, ..Look::default() }, wanted);
        let params = json!({ "metric": "late", "above": 0.5, "below": 0.1, "cooldown_up_s": 0.0, "cooldown_down_s": 0.0 });
        check("reactive", &params, &[], &[late(0.0, 1.5, 5), late(1.0, 1.0, 4)]);
    }
}
