//! An autoscaler whose wish depends on everything that it is shown.

use trimtab_sched::autoscalers::{Autoscaler, FleetView};

/// What an autoscaler is shown, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// Instances that serve, reached or not, or start.
    pub(crate) current: u32,
    /// Requests since the last time: arrived, first tokens, those in time, rejected or failed.
    pub(crate) recent: [u64; 4],
    /// Waiting and running requests of each instance that can be chosen, as last reported.
    pub(crate) members: Vec<(u32, u32)>,
}

/// Any change of what is seen is likely to change this.
pub(crate) fn wish(look: &Look) -> u32 {
    let recent = look.recent.iter().zip([3, 5, 7, 11]).map(|(n, weight)| n * weight).sum::<u64>();
    let members = look.members.iter().zip([13, 17, 19, 23].into_iter().cycle());
    let members =
        members.map(|(&(waiting, running), weight)| u64::from(waiting) * weight + u64::from(running)).sum::<u64>();
    u32::try_from((u64::from(look.current) + recent + members) % 5).expect("less than 5")
}

pub(crate) struct Curious;

impl Autoscaler for Curious {
    fn target(&mut self, fleet: &FleetView<'_>) -> u32 {
        let recent = fleet.recent;
        let snapshot = |&instance| {
            let snapshot = fleet.cluster.snapshot(instance);
            (snapshot.waiting, snapshot.running)
        };
        wish(&Look {
            current: fleet.current,
            recent: [recent.arrived, recent.served, recent.in_time, recent.turned_away],
            members: fleet.cluster.members().iter().map(snapshot).collect(),
        })
    }
}
