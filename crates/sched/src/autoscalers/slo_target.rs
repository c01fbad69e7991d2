//! As many instances as hold a target share of requests within the TTFT objective.

use serde::{Deserialize, Serialize};

use super::{Autoscaler, AutoscalerDef, CoolDown, FleetView};
use crate::{params_doc, require, typed};

/// The SLO-target autoscaler in the list.
pub(super) const DEF: AutoscalerDef = AutoscalerDef {
    name: "slo-target",
    summary: "more instances while fewer requests than the target come in time, fewer after a calm while with room to spare",
    params: || {
        params_doc::<Params>(&[
            ("target", "share of first tokens (and of what was turned away) that must be in time"),
            ("growth", "instances are multiplied by this, at least one more, while the target is missed"),
            ("idle", "fewer instances only while the mean share of KV blocks in use and of waiting instances is below this"),
            ("cooldown_up_s", "no addition sooner after the last change"),
            ("cooldown_down_s", "no removal sooner after the last change"),
        ])
    },
    foresees: false,
    build: |params, context| {
        let params: Params = typed(params)?;
        require((0.0..=1.0).contains(&params.target), "target", "a share from 0 to 1, of a spec with `slo.ttft_s`")?;
        require(context.slo_ttft.is_some(), "target", "of a spec with `slo.ttft_s`")?;
        require(params.growth >= 1.0, "growth", "at least 1")?;
        let cool = CoolDown::new(params.cooldown_up_s, params.cooldown_down_s)?;
        Ok(Box::new(SloTarget { params, cool }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    target: f64,
    growth: f64,
    idle: f64,
    cooldown_up_s: f64,
    cooldown_down_s: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { target: 0.9, growth: 1.25, idle: 0.3, cooldown_up_s: 15.0, cooldown_down_s: 60.0 }
    }
}

struct SloTarget {
    params: Params,
    cool: CoolDown,
}

impl Autoscaler for SloTarget {
    fn target(&mut self, fleet: &FleetView<'_>) -> u32 {
        let (view, n, recent) = (&fleet.cluster, fleet.current, fleet.recent);
        let members = view.members();
        let judged = recent.served + recent.turned_away;
        let missed = judged > 0 && (recent.in_time as f64) < self.params.target * judged as f64;
        // Nothing comes out at all.
        let stuck = judged == 0 && members.iter().any(|&i| view.snapshot(i).waiting > 0);
        let busy = |i| {
            let snapshot = view.snapshot(i);
            snapshot.kv_use().max(f64::from(u8::from(snapshot.waiting > 0)))
        };
        let use_share = members.iter().map(|&i| busy(i)).sum::<f64>() / members.len().max(1) as f64;
        let wish = if missed || stuck || members.is_empty() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive count")]
            let grown = libm::ceil(f64::from(n) * self.params.growth) as u32;
            grown.max(n + 1)
        } else if use_share < self.params.idle {
            n.saturating_sub(1)
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
    fn it_grows_while_the_target_is_missed_and_shrinks_when_there_is_room() {
        let params = json!({ "target": 0.9, "growth": 1.5, "cooldown_up_s": 10.0, "cooldown_down_s": 30.0 });
        let look = |at_s, in_time, used_blocks, wanted| {
            (Look { at_s, served: 10, in_time, used_blocks, ..Look::default() }, wanted)
        };
        let stuck = |at_s, waiting, wanted| (Look { at_s, waiting, used_blocks: 90, ..Look::default() }, wanted);
        check(
            "slo-target",
            &params,
            &[],
            &[
                // On target, and busy: nothing happens.
                look(0.0, 9, 50, 4),
                look(1.0, 8, 50, 6),
                look(10.0, 8, 50, 6),
                look(11.0, 8, 50, 8),
                // Nothing came out: either nothing came in, or the cluster is stuck, but at its bound.
                stuck(30.0, 0, 8),
                stuck(40.0, 1, 8),
                // On target and idle, but too soon; busy again; idle for long enough.
                look(40.9, 10, 10, 8),
                look(41.0, 10, 30, 8),
                look(42.0, 10, 10, 7),
                look(71.0, 10, 10, 7),
                look(72.0, 10, 10, 6),
                stuck(82.0, 1, 8),
            ],
        );
    }
}
