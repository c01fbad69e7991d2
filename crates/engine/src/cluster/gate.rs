//! The gate before the router: admission policies, one behind the other.
//!
//! It stands before the replicas, sees the load of all of them, and the prefix signal as the first one has it.

use trimtab_core::{RequestId, SimTime};
use trimtab_sched::admissions::{Admission, Verdict};
use trimtab_sched::{Arrival, ClusterView, Signals};

use super::Simulation;
use crate::admission::{AdmissionConfig, AdmissionRecord};
use crate::record::Outcome;

/// One admission policy.
struct Stage {
    /// Absent while it is asked.
    admission: Option<Box<dyn Admission>>,
    signals: Signals,
    record: AdmissionRecord,
    /// Requests that wait here.
    waiting: u64,
}

/// All admission policies.
pub(super) struct Gate {
    stages: Vec<Stage>,
    /// Whether something happened for which those that wait have waited.
    stirred: bool,
}

impl Gate {
    pub(super) fn new(configs: &[AdmissionConfig]) -> Self {
        let stage = |config: &AdmissionConfig| Stage {
            admission: Some((config.make)()),
            signals: config.signals,
            record: AdmissionRecord { name: config.name, ..AdmissionRecord::default() },
            waiting: 0,
        };
        Self { stages: configs.iter().map(stage).collect(), stirred: false }
    }

    /// Those that wait are to be looked at before this instant is over.
    pub(super) fn stir(&mut self) {
        self.stirred = true;
    }

    pub(super) fn is_waited_at(&self) -> bool {
        self.stages.iter().any(|stage| stage.waiting > 0)
    }

    /// When a policy wants to be asked, if nothing happens before.
    pub(super) fn wake(&self) -> Option<SimTime> {
        let waited_at = self.stages.iter().filter(|stage| stage.waiting > 0);
        waited_at.filter_map(|stage| stage.admission.as_ref()?.wake()).min()
    }

    pub(super) fn records(&self) -> Option<Vec<AdmissionRecord>> {
        (!self.stages.is_empty()).then(|| self.stages.iter().map(|stage| stage.record).collect())
    }
}

impl Simulation<'_> {
    /// A request asks the policies from one on, and comes to the router when all let it in.
    pub(super) fn knock(&mut self, slot: u32, first: usize) {
        for number in first..self.gate.stages.len() {
            let verdict = self.ask_stage(number, slot);
            let stage = &mut self.gate.stages[number];
            stage.record.asked += 1;
            match verdict {
                Verdict::Admit => stage.record.let_in += 1,
                Verdict::Wait => {
                    stage.waiting += 1;
                    stage.record.waited += 1;
                    stage.record.most = stage.record.most.max(stage.waiting);
                    self.seqs[slot].gate = Some((number, self.now));
                    return;
                }
                Verdict::Reject => {
                    stage.record.rejected += 1;
                    self.turn_away(slot);
                    return;
                }
            }
        }
        self.seqs[slot].let_in = true;
        self.come_in(slot);
    }

    fn ask_stage(&mut self, number: usize, slot: u32) -> Verdict {
        let request = self.seqs[slot].request;
        self.show(number, request.id, |admission, view, simulation| {
            let arrival = Arrival::new(&request, simulation.seqs[slot].path.nodes(), simulation.workload.forest());
            admission.ask(&arrival, view)
        })
    }

    /// Shows the cluster to a policy.
    fn show<R>(
        &mut self,
        number: usize,
        because: RequestId,
        question: impl FnOnce(&mut dyn Admission, &ClusterView<'_>, &Self) -> R,
    ) -> R {
        let stage = &mut self.gate.stages[number];
        let (mut admission, signals) =
            (stage.admission.take().expect("it is asked one thing at a time"), stage.signals);
        let looks = self.looks(because, None);
        let view = ClusterView::new(self.now, &self.fleet.members, signals, &self.counters, &looks);
        let answer = question(&mut *admission, &view, self);
        self.gate.stages[number].admission = Some(admission);
        answer
    }

    /// Lets in or turns away those whose time has come. Tells whether there were any.
    pub(super) fn open_gate(&mut self) -> bool {
        let woken = self.gate.wake().is_some_and(|wake| wake <= self.now);
        if !std::mem::take(&mut self.gate.stirred) && !woken {
            return false;
        }
        let mut any = false;
        for number in 0..self.gate.stages.len() {
            while self.gate.stages[number].waiting > 0
                && let Some((request, let_in)) = self.show(number, self.last_arrival(), |it, view, _| it.next(view))
            {
                any = true;
                let slot = *self.slots.get(&request).expect("an admission policy names one that waits");
                self.leave_queue(slot);
                let record = &mut self.gate.stages[number].record;
                if let_in {
                    record.let_in += 1;
                    self.knock(slot, number + 1);
                } else {
                    record.expired += 1;
                    self.turn_away(slot);
                }
            }
        }
        any
    }

    fn leave_queue(&mut self, slot: u32) -> usize {
        let (number, since) = self.seqs[slot].gate.take().expect("it waits at the gate");
        let stage = &mut self.gate.stages[number];
        stage.waiting -= 1;
        stage.record.waited_ps += u128::from((self.now - since).0);
        number
    }

    /// The client of a request that waits at the gate hangs up.
    pub(super) fn leave_gate(&mut self, slot: u32) {
        let number = self.leave_queue(slot);
        let request = self.seqs[slot].request.id;
        let stage = &mut self.gate.stages[number];
        stage.record.left += 1;
        stage.admission.as_mut().expect("it is asked one thing at a time").gone(request);
    }

    /// Nothing more will happen: those that wait are turned away.
    pub(super) fn close_gate(&mut self) -> bool {
        let mut waiting: Vec<u32> =
            self.slots.values().copied().filter(|&slot| self.seqs[slot].gate.is_some()).collect();
        waiting.sort_unstable_by_key(|&slot| self.seqs[slot].request.id);
        for &slot in &waiting {
            let (number, request) = (self.leave_queue(slot), self.seqs[slot].request.id);
            let stage = &mut self.gate.stages[number];
            stage.record.expired += 1;
            stage.admission.as_mut().expect("it is asked one thing at a time").gone(request);
            self.conclude(slot, Outcome::Rejected);
        }
        !waiting.is_empty()
    }
}
