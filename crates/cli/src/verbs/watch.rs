//! What is seen of an experiment while it runs, and what it ends with.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use trimtab_experiment::sweep::{Outcome, Progress, State};

use crate::exit::Exit;
use crate::printer::Printer;

/// Set by Ctrl-C: cells in progress finish, no new one starts.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C keep what is done.
#[expect(clippy::exit, reason = "whoever presses it twice does not want to wait for anything")]
pub(crate) fn catch_interrupts() {
    // A second Ctrl-C ends the program at once; without a handler the first one does.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
}

/// Draws the progress of a sweep.
pub(crate) struct Watch {
    printer: Printer,
    bar: ProgressBar,
    start: Instant,
    /// Seconds from the start to the last line, where no bar is drawn.
    said: AtomicU64,
    warned: Mutex<Vec<String>>,
}

/// Seconds between two lines.
const EVERY: u64 = 10;

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "the simulator's own speed, for stderr and the manifest only")]
    pub(crate) fn new(printer: Printer) -> Self {
        let (bar, start) = (printer.progress(0, "cells"), Instant::now());
        Self { printer, bar, start, said: AtomicU64::new(0), warned: Mutex::default() }
    }

    pub(crate) fn finish(&self, outcome: &Outcome) {
        self.bar.finish_and_clear();
        for text in self.warned.lock().into_iter().flat_map(|mut list| std::mem::take(&mut *list)) {
            self.printer.note(&format!("warning: {text}"));
        }
        let State { done, reused, requests, .. } = outcome.state;
        let seconds = self.start.elapsed().as_secs_f64();
        let kept = if reused > 0 { format!(" ({reused} kept from before)") } else { String::new() };
        self.printer.note(&format!("{done} cells{kept}, {requests} requests simulated in {seconds:.1} s"));
    }
}

impl Progress for Watch {
    fn update(&self, state: &State) {
        self.bar.set_length(state.total as u64);
        self.bar.set_position(state.done as u64);
        let (now, said) = (self.start.elapsed().as_secs(), self.said.load(Ordering::Relaxed));
        let due = self.bar.is_hidden() && now >= said + EVERY;
        if due && self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let left = now as f64 * (state.total - state.done) as f64 / state.done.max(1) as f64;
            self.printer
                .note(&format!("{} of {} cells after {now} s, about {left:.0} s left", state.done, state.total));
        }
    }

    fn warn(&self, text: &str) {
        if let Ok(mut list) = self.warned.lock() {
            list.push(text.to_owned());
        }
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }

    fn seconds(&self) -> Option<f64> {
        Some(self.start.elapsed().as_secs_f64())
    }
}
