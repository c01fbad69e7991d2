//! The only place that writes to the terminal: results to stdout, the rest to stderr.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::Failure;

/// Decides what is printed where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    quiet: bool,
    progress: bool,
}

impl Printer {
    pub(crate) fn new(quiet: bool, no_progress: bool) -> Self {
        let ci = std::env::var_os("CI").is_some();
        Self { quiet, progress: !quiet && !no_progress && !ci && std::io::stderr().is_terminal() }
    }

    /// The result, as text that ends with a newline.
    #[expect(clippy::unused_self, reason = "all output goes through the printer")]
    pub(crate) fn result(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// The result, as one JSON document.
    pub(crate) fn json(self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(Failure::data)?;
        text.push('\n');
        self.result(&text)
    }

    /// Something worth knowing that is not the result.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            stderr(text);
        }
    }

    #[expect(clippy::unused_self, reason = "all output goes through the printer")]
    pub(crate) fn error(self, failure: &Failure) {
        stderr(&format!("error: {}", failure.message));
    }

    /// A progress line over `total` things, drawn only on a terminal and only once it has taken a second.
    pub(crate) fn progress(self, total: u64, what: &str) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let template = format!("{{elapsed}} {{wide_bar}} {{human_pos}} of {{human_len}} {what}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        bar
    }
}

/// A message nobody can read is no reason to fail.
fn stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
