//! Instances that join, leave, fail, slow down and get out of reach.

use trimtab_core::{InstanceId, SimTime};
use trimtab_sched::autoscalers::{FleetView, Recent};
use trimtab_sched::{ClusterView, Hook, Signals};

use super::Simulation;
use super::fleet::{Due, State};
use crate::config::Survives;
use crate::cost::UNSLOWED;
use crate::dynamics::{Change, Faults, Happened};
use crate::instance::Instance;

impl Simulation<'_> {
    /// Something happens to the cluster.
    pub(super) fn change(&mut self, due: Due) {
        match due {
            Due::Asked(change) => self.carry_out_change(change),
            Due::Ready { index, life } => {
                if self.fleet.state(index) == State::Starting && self.fleet.life(index) == life {
                    self.join(index);
                }
            }
            Due::Fault { index, life } => {
                let Some(Faults { mttr, .. }) = self.config.dynamics.faults else { return };
                if self.fleet.is_up(index) && self.fleet.life(index) == life {
                    let repair = self.fleet.draw(index, mttr);
                    self.fail(index, Some(repair));
                }
            }
            Due::Repaired { index } => {
                self.fleet.repaired(index);
                self.start(index);
            }
            Due::Scale => self.scale(),
            Due::Unpaced { index, life, set } => {
                if self.fleet.is_paced(index, life, set) {
                    self.pace(index, UNSLOWED);
                    self.fleet.note(index, self.now, Happened::Unpaced);
                }
            }
            Due::Healed { index, life, set } => {
                if self.fleet.is_linked(index, life, set) {
                    self.heal(index);
                }
            }
        }
    }

    fn carry_out_change(&mut self, change: Change) {
        match change {
            Change::Add { count, group } => {
                let idle = self.fleet.found(|state| state == State::Off { broken: false });
                let chosen: Vec<usize> = self.of_group(idle, group).take(count as usize).collect();
                for index in chosen {
                    self.start(index);
                }
            }
            Change::Remove { count, group } => {
                let starting = self.fleet.found(|state| state == State::Starting);
                let serving = self.fleet.found(|state| state == State::Serving);
                let starting: Vec<usize> = self.of_group(starting, group).collect();
                let serving: Vec<usize> = self.of_group(serving, group).collect();
                let chosen = starting.into_iter().rev().chain(serving.into_iter().rev()).take(count as usize);
                for index in chosen {
                    self.drain(index, false);
                }
            }
            Change::Drain(instance) => self.drain(instance.index(), false),
            Change::Restart(instance) => self.drain(instance.index(), true),
            Change::Fail { instance, repair } => {
                if self.fleet.is_up(instance.index()) {
                    self.fail(instance.index(), repair);
                }
            }
            Change::Slow { instance, thousandths, span } => {
                let index = instance.index();
                if self.fleet.is_up(index) {
                    self.pace(index, thousandths);
                    self.fleet.paced(index, self.now + span);
                    self.fleet.note(index, self.now, Happened::Paced);
                }
            }
            Change::Cut { instance, span } => {
                let index = instance.index();
                if self.fleet.state(index) == State::Serving {
                    self.fleet.linked(index, self.now + span);
                    self.silence(index);
                    self.part_with(index);
                    self.fleet.note(index, self.now, Happened::Cut);
                }
            }
            Change::Freeze { instance, span } => {
                let index = instance.index();
                if self.fleet.state(index) == State::Serving {
                    self.heal(index);
                    self.fleet.linked(index, self.now + span);
                    self.silence(index);
                    self.fleet.note(index, self.now, Happened::Frozen);
                }
            }
            Change::Flush(instance) => {
                if self.fleet.is_up(instance.index()) {
                    let cut = self.with_instance(instance.index(), |it, now, _| it.flush(now));
                    self.reschedule(instance.index(), cut);
                    self.fleet.note(instance.index(), self.now, Happened::Flushed);
                }
            }
        }
    }

    /// Asks the autoscaler how many instances there should be.
    fn scale(&mut self) {
        let Some(scaling) = &self.config.dynamics.scaling else { return };
        let (every, min, max) = (scaling.every, scaling.min, scaling.max);
        let mut scaler = self.scaler.take().expect("there is an autoscaler where there is scaling");
        // Those that the router cannot reach are paid for, too.
        let current = self.fleet.found(|state| matches!(state, State::Starting | State::Serving)).len();
        let current = u32::try_from(current).expect("instance ids are 32 bits");
        let recent = Recent { arrived: (self.rows.len() - self.seen) as u64, ..std::mem::take(&mut self.recent) };
        self.seen = self.rows.len();
        let looks = self.looks(self.last_arrival(), None);
        let cluster = ClusterView::new(self.now, &self.fleet.members, Signals::ALL, &self.counters, &looks);
        let target = scaler.target(&FleetView { cluster, current, bounds: min..=max, recent }).clamp(min, max);
        self.scaler = Some(scaler);
        if target > current {
            self.carry_out_change(Change::Add { count: target - current, group: None });
        } else if target < current {
            self.carry_out_change(Change::Remove { count: current - target, group: None });
        }
        self.fleet.plan(self.now + every, Due::Scale);
    }

    fn of_group(&self, all: Vec<usize>, group: Option<u32>) -> impl Iterator<Item = usize> {
        let dynamics = &self.config.dynamics;
        all.into_iter().filter(move |&index| group.is_none_or(|group| dynamics.group(index) == group))
    }

    /// An instance begins to start.
    fn start(&mut self, index: usize) {
        self.fleet.starts(index, self.now);
        let startup = self.config.dynamics.startup;
        if startup == SimTime::ZERO {
            self.join(index);
        } else {
            let life = self.fleet.life(index);
            self.fleet.plan(self.now + startup, Due::Ready { index, life });
        }
    }

    fn join(&mut self, index: usize) {
        self.fleet.serves(index, self.now, self.config.dynamics.faults);
        self.spread.joins(self.now);
        self.welcome(index);
    }

    /// An instance can be chosen from now on, also by those that found none.
    fn welcome(&mut self, index: usize) {
        self.gate.stir();
        self.tell_all(&Hook::Joined { instance: InstanceId::from_index(index) });
        for slot in std::mem::take(&mut self.stranded) {
            self.ask_later(slot, SimTime::ZERO);
        }
    }

    /// An instance cannot be chosen any more, if it could.
    fn part_with(&mut self, index: usize) {
        if self.fleet.exit(index) {
            self.tell_all(&Hook::Left { instance: InstanceId::from_index(index) });
        }
    }

    /// An instance takes no more requests, gives back what it has not started, and stops once the rest is done.
    fn drain(&mut self, index: usize, back: bool) {
        match self.fleet.state(index) {
            State::Starting => {
                self.fleet.stops(index, self.now, Happened::Stopped, false);
                self.part_from_memory(index, None);
            }
            State::Serving => {
                self.heal(index);
                self.fleet.drains(index, self.now, back);
                self.tell_all(&Hook::Left { instance: InstanceId::from_index(index) });
                let queued: Vec<u32> = {
                    let it = self.instances[index].borrow();
                    it.waiting().iter().skip(it.preempted()).copied().collect()
                };
                for slot in queued.into_iter().chain(self.transit[index].clone()) {
                    self.withdraw(slot);
                    self.note_move(index, self.seqs[slot].request.id);
                    self.ask_later(slot, SimTime::ZERO);
                }
                self.stop_if_drained(index);
            }
            State::Off { .. } | State::Draining { .. } => {}
        }
    }

    /// An instance that drains and has nothing left stops.
    pub(super) fn stop_if_drained(&mut self, index: usize) {
        let State::Draining { back } = self.fleet.state(index) else { return };
        if !self.instances[index].borrow().is_empty() {
            return;
        }
        self.with_instance(index, |it, now, _| it.stop(now));
        self.part_from_memory(index, back.then_some(Survives::Restart));
        self.gone(index, Happened::Stopped, false);
        if back {
            self.start(index);
        }
    }

    /// An instance that stopped or failed loses the memory behind its cache, unless that outlives this; `None` for an
    /// instance that is gone for good.
    fn part_from_memory(&mut self, index: usize, this: Option<Survives>) {
        let kept = |survives| this.is_some_and(|this| survives >= this);
        if self.config.tier.is_some_and(|tier| !tier.shared && !kept(tier.survives)) {
            self.instances[index].borrow_mut().lose_tier();
        }
    }

    fn gone(&mut self, index: usize, what: Happened, broken: bool) {
        self.reports.thaw(index);
        self.beliefs.iter_mut().for_each(|beliefs| beliefs.get_mut().forget(index, self.now));
        self.fleet.stops(index, self.now, what, broken);
        self.spread.leaves(self.now);
    }

    /// An instance is lost with everything on it.
    fn fail(&mut self, index: usize, repair: Option<SimTime>) {
        let was_member = self.fleet.exit(index);
        let mut lost = self.with_instance(index, Instance::fail);
        if let Some(timeline) = &mut self.timeline {
            timeline.cut(self.now, InstanceId::from_index(index));
        }
        lost.extend(&self.transit[index]);
        self.part_from_memory(index, repair.map(|_| Survives::Failure));
        self.gone(index, Happened::Failed, repair.is_some());
        if was_member {
            self.tell_all(&Hook::Left { instance: InstanceId::from_index(index) });
        }
        if let Some(repair) = repair {
            self.fleet.plan(self.now + repair, Due::Repaired { index });
        }
        for slot in lost {
            self.lose(slot);
        }
    }

    fn pace(&mut self, index: usize, thousandths: u64) {
        let cut = self.with_instance(index, |it, now, _| it.slow(thousandths, now));
        self.reschedule(index, cut);
    }

    /// The router hears nothing of an instance: what it last heard stays.
    fn silence(&mut self, index: usize) {
        self.reports.freeze(index, self.now, &self.instances);
        self.beliefs.iter_mut().for_each(|beliefs| beliefs.get_mut().freeze(index));
    }

    /// The router reaches an instance, and hears of it.
    fn heal(&mut self, index: usize) {
        self.reports.thaw(index);
        self.beliefs.iter_mut().for_each(|beliefs| beliefs.get_mut().thaw(index));
        if self.fleet.state(index) == State::Serving && !self.fleet.members.contains(&InstanceId::from_index(index)) {
            self.fleet.enter(index);
            self.fleet.note(index, self.now, Happened::Healed);
            self.welcome(index);
        }
    }
}
