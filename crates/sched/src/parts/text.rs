//! Prompts as text, for routers that never tokenize.

use trimtab_core::PrefixId;

use crate::Arrival;

/// A prompt as a string whose letters are tokens: equal node ids mean equal text, and two nodes that follow the same text
/// differ from their first token on. Product rules that count characters convert with a stated ratio, [`characters`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The nodes in order, each with the position one past its last token; the last end is the length.
    runs: Vec<(PrefixId, u32)>,
}

impl Text {
    /// Makes it the prompt of a request; the buffer is reused.
    pub fn refill(&mut self, arrival: &Arrival<'_>) {
        self.runs.clear();
        for &id in arrival.path {
            let end = arrival.forest.end(id).min(arrival.prompt.tokens);
            // A path may go on behind the prompt's end.
            if end > self.tokens() {
                self.runs.push((id, end));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn from_runs(runs: Vec<(PrefixId, u32)>) -> Self {
        debug_assert!(runs.is_sorted_by(|a, b| a.1 < b.1), "the ends of a text rise");
        Self { runs }
    }

    /// Its length.
    pub fn tokens(&self) -> u32 {
        self.runs.last().map_or(0, |&(_, end)| end)
    }

    pub(super) fn runs(&self) -> &[(PrefixId, u32)] {
        &self.runs
    }
}

/// The length in characters of so many tokens, rounded to the nearest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ratio is positive and small")]
pub fn characters(tokens: u32, per_token: f64) -> u64 {
    libm::round(f64::from(tokens) * per_token) as u64
}
