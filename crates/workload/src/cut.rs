//! Prompts cut to a length.

use trimtab_core::{PrefixForest, Prompt, Request, RequestId, SimTime, Workload};

/// A workload whose prompts keep their first tokens only. What a cut prompt is answered has no identity.
pub struct Cut {
    inner: Box<dyn Workload + Send>,
    tokens: u32,
}

impl Cut {
    /// Prompts of at most `tokens` tokens, which are at least 1.
    pub fn new(inner: Box<dyn Workload + Send>, tokens: u32) -> Self {
        Self { inner, tokens: tokens.max(1) }
    }
}

impl Workload for Cut {
    fn forest(&self) -> &PrefixForest {
        self.inner.forest()
    }

    fn peek(&mut self) -> Option<SimTime> {
        self.inner.peek()
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    fn next(&mut self) -> Option<Request> {
        let request = self.inner.next()?;
        if request.prompt.tokens <= self.tokens {
            return Some(request);
        }
        let leaf = self.inner.forest().node_at(request.prompt, self.tokens);
        Some(Request { prompt: Prompt { leaf, tokens: self.tokens }, output_leaf: None, ..request })
    }

    fn ended(&mut self, request: RequestId, now: SimTime) {
        self.inner.ended(request, now);
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::FixedWorkload;

    use super::*;

    #[test]
    fn the_head_stays() {
        let mut forest = PrefixForest::new();
        let a = forest.add(None, 10).unwrap();
        let b = forest.add(Some(a), 30).unwrap();
        let prompt = |leaf, tokens| Prompt { leaf: Some(leaf), tokens };
        for (whole, limit, expected) in
            [(prompt(b, 30), 30, prompt(b, 30)), (prompt(b, 30), 11, prompt(b, 11)), (prompt(b, 30), 10, prompt(a, 10))]
        {
            let request = Request { output_leaf: Some(b), ..Request::new(0, SimTime(5), whole, 3) };
            let fixed = FixedWorkload::new(forest.clone(), vec![request]);
            let mut cut = Cut::new(Box::new(fixed), limit);
            let found = cut.next().unwrap();
            let output_leaf = Some(b).filter(|_| whole == expected);
            assert_eq!(found, Request { prompt: expected, output_leaf, ..request });
            assert_eq!(cut.next(), None);
        }
    }
}
