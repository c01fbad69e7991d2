//! A timetable.

use serde::{Deserialize, Serialize};
use trimtab_core::SimTime;

use super::{Autoscaler, AutoscalerDef, FleetView};
use crate::{ParamError, params_doc, typed};

/// The scheduled autoscaler in the list.
pub(super) const DEF: AutoscalerDef = AutoscalerDef {
    name: "scheduled",
    summary: "as many instances as a timetable says",
    params: || params_doc::<Params>(&[("plan", "pairs of seconds and instances from then on, by time")]),
    foresees: false,
    build: |params, _| {
        let params: Params = typed(params)?;
        let plan = params.plan.iter().map(|&(seconds, n)| SimTime::from_secs_f64(seconds).map(|at| (at, n)));
        let plan: Option<Vec<_>> = plan.collect();
        let plan = plan.filter(|plan| plan.is_sorted_by_key(|&(at, _)| at));
        let plan = plan.ok_or_else(|| ParamError("parameter `plan` must be pairs of seconds and instances, by time".into()))?;
        Ok(Box::new(Scheduled { plan }))
    },
};

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    plan: Vec<(f64, u32)>,
}

struct Scheduled {
    plan: Vec<(SimTime, u32)>,
}

impl Autoscaler for Scheduled {
    fn target(&mut self, fleet: &FleetView<'_>) -> u32 {
        let now = fleet.cluster.now();
        let entry = self.plan.iter().rev().find(|&&(at, _)| at <= now);
        entry.map_or_else(|| fleet.current, |&(_, n)| n)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Look, check};

    #[test]
    fn it_follows_its_timetable() {
        let at = |at_s, wanted| (Look { at_s, waiting: 50, ..Look::default() }, wanted);
        let params = json!({ "plan": [[10.0, 7], [20.0, 3]] });
        check("scheduled", &params, &[], &[at(9.9, 4), at(10.0, 7), at(19.9, 7), at(20.0, 3), at(900.0, 3)]);
    }
}
