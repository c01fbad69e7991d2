//! Knows every arrival in advance: a bound on what scaling can do with starts that take time.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use super::{Autoscaler, AutoscalerDef, FleetView};
use crate::{ParamError, params_doc, require, typed};

/// The oracle in the list.
pub(super) const DEF: AutoscalerDef = AutoscalerDef {
    name: "oracle",
    summary: "as many instances as the prompts of the near future will need, known in advance: a bound",
    params: || {
        params_doc::<Params>(&[
            ("horizon_s", "how far it looks, beyond the time that a start takes"),
            ("load", "prompt tokens of the future that an instance is given, as a share of its prefill speed"),
        ])
    },
    foresees: true,
    build: |params, context| {
        let params: Params = typed(params)?;
        require(params.load > 0.0, "load", "positive")?;
        let horizon = SimTime::from_secs_f64(params.horizon_s).filter(|&span| span > SimTime::ZERO);
        let horizon = horizon.ok_or_else(|| ParamError("parameter `horizon_s` must be a positive span of time".into()))?;
        let future = context.future.clone();
        let future = future.ok_or_else(|| ParamError("the oracle needs a workload whose arrivals are known in advance".into()))?;
        let speed = context.prefill_tokens_per_s as f64 * params.load;
        Ok(Box::new(Oracle { horizon, startup: context.startup, speed, future }))
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    horizon_s: f64,
    load: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { horizon_s: 20.0, load: 0.9 }
    }
}

struct Oracle {
    horizon: SimTime,
    startup: SimTime,
    /// Prompt tokens a second of one instance.
    speed: f64,
    /// Arrivals with their prompt tokens, by time.
    future: Vec<(SimTime, u32)>,
}

impl Autoscaler for Oracle {
    fn target(&mut self, fleet: &FleetView<'_>) -> u32 {
        let from = fleet.cluster.now();
        let to = from + self.startup + self.horizon;
        let first = self.future.partition_point(|&(at, _)| at < from);
        let last = self.future.partition_point(|&(at, _)| at < to);
        let tokens: u64 = self.future[first..last].iter().map(|&(_, tokens)| u64::from(tokens)).sum();
        let seconds = (to - from).as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of instances; saturates")]
        let needed = libm::ceil(tokens as f64 / (self.speed * seconds)) as u32;
        needed.max(1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Look, check};

    #[test]
    fn it_has_what_the_prompts_to_come_need_in_time_for_them() {
        // Five prompts of a second of prefill each arrive at 10 s. Starts take 2 s, and it looks 3 s further.
        let at = |at_s, wanted| (Look { at_s, ..Look::default() }, wanted);
        let looks = |few, many| [at(0.0, 1), at(5.0, 1), at(5.1, few), at(10.0, many), at(10.1, 1)];
        check("oracle", &json!({ "horizon_s": 3.0, "load": 1.0 }), &[10.0; 5], &looks(1, 1));
        check("oracle", &json!({ "horizon_s": 3.0, "load": 0.5 }), &[10.0; 5], &looks(2, 2));
        check("oracle", &json!({ "horizon_s": 3.0, "load": 0.4 }), &[10.0; 5], &looks(3, 3));
    }
}
