//! Trying a request on an instance without consequences: the true future, if nothing else arrived there.

use trimtab_core::{Gaps, PrefixForest, RequestId, SimTime};

use crate::config::Stepping;
use crate::instance::{Instance, News, World};
use crate::record::Row;
use crate::seq::Seqs;

/// When the first token of the request in `slot` comes out of an instance that nothing else reaches than `joining`: who,
/// and when, ascending. `None` when the instance cannot hold it.
pub(crate) fn first_token(
    instance: &Instance,
    slot: u32,
    joining: &[(SimTime, u32)],
    now: SimTime,
    all: &Seqs,
    forest: &PrefixForest,
) -> Option<SimTime> {
    if !instance.fits(&all[slot]) {
        return None;
    }
    let mut seqs = Seqs::default();
    let mut rows = Vec::new();
    // Requests are renumbered from 0, so that the copies are no longer than they need to be.
    let mut copied: Vec<Option<u32>> = vec![None; all.capacity()];
    let mut renumber = |old: u32| {
        *copied[old as usize].get_or_insert_with(|| {
            let mut seq = all[old].clone();
            rows.push(Row::open(&seq.request));
            let new = u32::try_from(rows.len() - 1).expect("no more than there are");
            seq.request.id = RequestId(new);
            seqs.adopt(seq);
            new
        })
    };
    let mut it = instance.fork(&mut renumber);
    let joining: Vec<(SimTime, u32)> = joining.iter().map(|&(at, slot)| (at, renumber(slot))).collect();
    let wanted = renumber(slot);
    let (mut gaps, mut news, mut joining) = (Gaps::new(), Vec::new(), joining.into_iter().peekable());
    let mut world = World {
        forest,
        seqs: &mut seqs,
        rows: &mut rows,
        gaps: &mut gaps,
        stepping: Stepping::Macro,
        news: &mut news,
        stages: None,
    };
    let mut time = now;
    loop {
        if it.step_end() == Some(time) {
            it.finish_step(time, &mut world);
            if world.news.contains(&(wanted, News::FirstToken)) {
                return Some(time);
            }
            world.news.clear();
        }
        while let Some((_, slot)) = joining.next_if(|&(at, _)| at == time) {
            it.enqueue(slot, time, &mut world);
        }
        if it.step_end() == Some(time) {
            // The step was cut to end now.
            continue;
        }
        if it.is_idle() {
            it.plan(time, &mut world);
        }
        time = it.step_end().into_iter().chain(joining.peek().map(|&(at, _)| at)).min()?;
    }
}
