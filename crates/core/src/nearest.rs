//! The nearest known name, for error messages that suggest what was meant.

/// The name in `known` that `wanted` most probably means, or `None` when nothing is close.
///
/// Close means at most a third of the letters (and at least one) were changed, inserted, dropped or swapped with their
/// neighbour; letter case does not count. Of equally close names the first wins.
pub fn nearest_name<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    let allowed = (wanted.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for name in known {
        let distance = edit_distance(&wanted, &name.to_lowercase().chars().collect::<Vec<_>>());
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Optimal string alignment distance: a swap of neighbours counts once.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = last[j] + usize::from(a[i] != b[j]);
            let mut cost = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant() {
        let known = ["round-robin", "random", "least-loaded", "h100", "h200", "qwen2.5-7b", "qwen2.5-72b"];
        for (wanted, expected) in [
            ("roundrobin", Some("round-robin")),
            ("ronud-robin", Some("round-robin")),
            ("least_laoded", Some("least-loaded")),
            ("H10", Some("h100")),
            ("h300", Some("h100")),
            ("Qwen2.5-7B", Some("qwen2.5-7b")),
            ("qwen2.5-72", Some("qwen2.5-7b")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(wanted, known), expected, "{wanted}");
        }
    }

    #[test]
    fn counts_single_edits() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "", 3), ("kitten", "sitting", 3)]
        {
            let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(edit_distance(&x, &y), expected, "{a} {b}");
            assert_eq!(edit_distance(&y, &x), expected, "{b} {a}");
        }
    }
}
