//! Runs of decode-only steps over an unchanged batch: in closed form where the cost is linear in the context, else as a
//! list of where its steps end.

use std::ops::Range;

use trimtab_core::{ClockRanOut, Gaps, SimTime};

use crate::cost::{Line, StepCost};

/// The most steps of a run that are listed: most runs are cut by an arrival, and what was listed beyond is wasted.
/// Under the polynomial, a run takes an eighth fewer instructions with 128 than with 64, a seventh fewer with 256.
const LISTED: u64 = 256;

/// Consecutive decode steps that are in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacroStep {
    pub(crate) start: SimTime,
    /// When the last of `steps` ends.
    pub(crate) end: SimTime,
    pub(crate) steps: u64,
    /// Sequences of the batch.
    pub(crate) seqs: u32,
    /// Context read by the first step; each step adds `seqs`.
    pub(crate) context: u64,
    /// Steps whose blocks have been allocated.
    pub(crate) allocated: u64,
    /// Steps that had begun when the instance was last measured.
    pub(crate) measured: u64,
    /// Whether the decodes had stood still before it, which then is a single step.
    pub(crate) stalled: bool,
    /// The progression that the first step begins.
    line: Line,
    /// When each step ends, counted from the start, under a cost that is not linear in the context; else empty.
    ends: Vec<u64>,
}

impl MacroStep {
    /// At most `steps` steps; fewer where they are listed, and where the clock has no room for all.
    pub(crate) fn new(cost: &dyn StepCost, start: SimTime, seqs: u32, context: u64, steps: u64) -> Self {
        let (line, ends) = (cost.line(seqs, context), Vec::new());
        let mut run =
            Self { start, end: start, steps, seqs, context, allocated: 0, measured: 0, stalled: false, line, ends };
        if steps > 1 && line.steps == 1 {
            run.steps = steps.min(LISTED);
            run.list(cost);
            return run;
        }
        let end = run.checked_time(cost, steps).and_then(|time| start.0.checked_add(time));
        run.end = end.map_or_else(|| run.shorten(cost), SimTime);
        run
    }

    /// Lists where the steps end. Those that the clock does not hold may never happen, because a run can be cut: they are
    /// left to a run of their own.
    fn list(&mut self, cost: &dyn StepCost) {
        self.ends.resize(usize::try_from(self.steps).expect("few"), 0);
        cost.durations(self.seqs, self.context, &mut self.ends);
        let room = u64::MAX - self.start.0;
        let (mut end, mut fit) = (0_u64, 0);
        for step in &mut self.ends {
            let Some(next) = step.checked_add(end) else { break };
            if next > room {
                break;
            }
            (end, *step) = (next, next);
            fit += 1;
        }
        if fit == 0 {
            ClockRanOut::throw();
        }
        self.ends.truncate(fit);
        (self.steps, self.end) = (fit as u64, self.start + SimTime(end));
    }

    /// Leaves only steps that end before the clock does, and returns when the last one ends. As with `list`, what comes
    /// later may never happen; the first one does.
    fn shorten(&mut self, cost: &dyn StepCost) -> SimTime {
        let (mut context, mut fit, mut room) = (self.context, 0, u64::MAX - self.start.0);
        while fit < self.steps {
            let line = cost.line(self.seqs, context);
            let count = line.steps.min(self.steps - fit);
            let within = line.steps_within(room, count);
            fit += within;
            if within < count {
                break;
            }
            room -= total(&line, count);
            context += u64::from(self.seqs) * count;
        }
        self.steps = fit.max(1);
        self.start + SimTime(self.time_of(cost, self.steps))
    }

    /// How long the first `steps` steps take, if a clock holds it.
    fn checked_time(&self, cost: &dyn StepCost, steps: u64) -> Option<u64> {
        let mut time = 0_u64;
        for (line, count) in self.lines(cost, steps) {
            time = u64::try_from(line.total(count)).ok()?.checked_add(time)?;
        }
        Some(time)
    }

    /// The progressions of the first `steps` steps, and how many steps of each count.
    fn lines<'a>(&self, cost: &'a dyn StepCost, steps: u64) -> impl Iterator<Item = (Line, u64)> + use<'a> {
        let (seqs, mut context, mut left, mut known) = (self.seqs, self.context, steps, Some(self.line));
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let line = known.take().unwrap_or_else(|| cost.line(seqs, context));
            let count = line.steps.min(left);
            context += u64::from(seqs) * count;
            left -= count;
            Some((line, count))
        })
    }

    /// The same, each after how long the steps before it took.
    fn pieces<'a>(&self, cost: &'a dyn StepCost, steps: u64) -> impl Iterator<Item = (u64, Line, u64)> + use<'a> {
        self.lines(cost, steps).scan(0, |before, (line, count)| {
            let piece = (*before, line, count);
            *before = total(&line, count).checked_add(*before).unwrap_or_else(|| ClockRanOut::throw());
            Some(piece)
        })
    }

    /// When a listed step ends, counted from the start of the run; `steps` before it and itself.
    fn listed(&self, steps: u64) -> u64 {
        steps.checked_sub(1).map_or(0, |last| self.ends[usize::try_from(last).expect("few")])
    }

    /// How long the first `steps` steps take.
    pub(crate) fn time_of(&self, cost: &dyn StepCost, steps: u64) -> u64 {
        if !self.ends.is_empty() {
            return self.listed(steps);
        }
        self.checked_time(cost, steps).unwrap_or_else(|| ClockRanOut::throw())
    }

    /// Calls `each` with the steps `from..to`, a stretch at a time, and what tells when a step of the stretch starts, counted
    /// from the start of the run.
    pub(crate) fn stretches(
        &self,
        cost: &dyn StepCost,
        from: u64,
        to: u64,
        mut each: impl FnMut(Range<u64>, &dyn Fn(u64) -> u64),
    ) {
        if !self.ends.is_empty() {
            return each(from..to, &|step| self.listed(step));
        }
        let mut first = 0;
        for (before, line, count) in self.pieces(cost, to) {
            let stretch = first.max(from)..first + count;
            if !stretch.is_empty() {
                each(stretch, &|step| before + total(&line, step - first));
            }
            first += count;
        }
    }

    /// The first step boundary at or after `time`: how many steps it ends, and when it is.
    pub(crate) fn boundary(&self, cost: &dyn StepCost, time: SimTime) -> (u64, SimTime) {
        let span = time.saturating_since(self.start).0;
        if !self.ends.is_empty() {
            let steps = if span == 0 { 0 } else { self.ends.partition_point(|&end| end < span) as u64 + 1 };
            let steps = steps.min(self.steps);
            return (steps, self.start + SimTime(self.listed(steps)));
        }
        let mut first = 0;
        for (before, line, count) in self.pieces(cost, self.steps) {
            if before + total(&line, count) >= span {
                let within = line.steps_within(span.saturating_sub(before), count);
                let exact = before + total(&line, within) >= span;
                let steps = if exact { within } else { within + 1 };
                return (first + steps, self.start + SimTime(before + total(&line, steps)));
            }
            first += count;
        }
        (self.steps, self.end)
    }

    /// How many steps began before `time`.
    pub(crate) fn started(&self, cost: &dyn StepCost, time: SimTime) -> u64 {
        if time >= self.end { self.steps } else { self.boundary(cost, time).0 }
    }

    /// How many steps ended at or before `time`.
    pub(crate) fn ended(&self, cost: &dyn StepCost, time: SimTime) -> u64 {
        let (steps, end) = self.boundary(cost, time);
        if end <= time { steps } else { steps - 1 }
    }

    /// Nothing comes after the first `steps` steps.
    pub(crate) fn cut(&mut self, cost: &dyn StepCost, steps: u64) {
        self.end = self.start + SimTime(self.time_of(cost, steps));
        self.steps = steps;
    }

    /// Counts the gaps before the tokens of all steps.
    pub(crate) fn note_gaps(&self, cost: &dyn StepCost, gaps: &mut Gaps) {
        if !self.ends.is_empty() {
            gaps.push_ends(&self.ends[..usize::try_from(self.steps).expect("few")], self.seqs);
            return;
        }
        self.pieces(cost, self.steps).for_each(|(_, line, count)| gaps.push(line.first, line.delta, count, self.seqs));
    }
}

fn total(line: &Line, steps: u64) -> u64 {
    u64::try_from(line.total(steps)).unwrap_or_else(|_| ClockRanOut::throw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Linear, StepShape};
    use proptest::prelude::*;

    /// Not linear in the context, so it answers one step at a time.
    struct Curved;

    impl StepCost for Curved {
        fn step(&self, shape: &StepShape) -> u64 {
            1 + shape.decode_context * shape.decode_context / 7
        }
    }

    /// Three steps until the clock runs out, of which it tells one at a time.
    struct Listed;

    impl StepCost for Listed {
        fn step(&self, _: &StepShape) -> u64 {
            u64::MAX / 3
        }
    }

    fn check(cost: &dyn StepCost, seqs: u32, context: u64, steps: u64, look: u64) {
        let run = MacroStep::new(cost, SimTime(1000), seqs, context, steps);
        let steps = run.steps;
        let mut ends = vec![];
        let mut now = 1000;
        for step in 0..steps {
            now += cost.step(&StepShape::decode(seqs, context + u64::from(seqs) * step));
            ends.push(now);
        }
        assert_eq!(run.end, SimTime(now));
        let time = 1000 + look % (now - 999);
        let at = ends.iter().position(|&end| end >= time).expect("the look is before the end");
        let expected = if time == 1000 { (0, SimTime(1000)) } else { (at as u64 + 1, SimTime(ends[at])) };
        assert_eq!(run.boundary(cost, SimTime(time)), expected);
        let mut starts = vec![];
        run.stretches(cost, 0, steps, |stretch, start| starts.extend(stretch.map(|step| 1000 + start(step))));
        assert_eq!(starts, [&[1000], &ends[..ends.len() - 1]].concat());
    }

    #[test]
    fn a_run_ends_before_the_clock_does() {
        let third = Linear { step: u64::MAX / 3, ..Linear::default() };
        let growing = Linear { step: u64::MAX / 4, per_context: 1 << 60, ..Linear::default() };
        for (cost, start, steps, expected) in [
            (&third as &dyn StepCost, 0, 6_000, 3),
            (&third, 0, 2, 2),
            (&third, u64::MAX / 2, 6_000, 1),
            (&growing, 0, 6_000, 2),
            (&Listed, 0, 60, 3),
            (&Listed, u64::MAX / 2, 60, 1),
        ] {
            let run = MacroStep::new(cost, SimTime(start), 1, 1, steps);
            assert_eq!(run.steps, expected, "from {start}");
            assert!(run.end > SimTime(start));
        }
    }

    proptest! {
        #[test]
        fn closed_form_equals_single_steps(
            (step, per_context) in (0u64..1000, 0u64..50),
            (seqs, context, steps, look) in (1u32..20, 0u64..500, 1u64..80, any::<u64>()),
        ) {
            let linear = Linear { step, per_context, ..Linear::default() };
            check(&linear, seqs, context, steps, look);
            check(&Curved, seqs, context, steps, look);
        }
    }
}
