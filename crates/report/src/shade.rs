//! Shades of one colour that grow darker with a value, so that they can be told apart in grey and by everybody.

/// Shades besides none.
pub(crate) const LEVELS: u32 = 32;

/// The end of the lighter half, and of the darker.
const MIDDLE: [f64; 3] = [86.0, 160.0, 211.0];
const DARK: [f64; 3] = [8.0, 29.0, 88.0];

/// The shade of a value when the darkest is that of `most`; 0 for none.
pub(crate) fn level(value: f64, most: f64) -> u32 {
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the number of levels")]
    let level = libm::ceil(share * f64::from(LEVELS)) as u32;
    level
}

/// The colour of a shade on a background.
pub(crate) fn colour(level: u32, background: &str) -> String {
    let part = |at: usize| background.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let paper = [1, 3, 5].map(|at| part(at).map_or(255.0, f64::from));
    let share = f64::from(level.min(LEVELS)) / f64::from(LEVELS);
    let (from, to, along) = if share < 0.5 { (paper, MIDDLE, 2.0 * share) } else { (MIDDLE, DARK, 2.0 * share - 1.0) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    let mixed = [0, 1, 2].map(|i| libm::round(from[i] + (to[i] - from[i]) * along) as u8);
    format!("#{:02X}{:02X}{:02X}", mixed[0], mixed[1], mixed[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_grow_darker() {
        assert_eq!((level(0.0, 5.0), level(1e-9, 5.0), level(5.0, 5.0), level(3.0, 0.0)), (0, 1, LEVELS, 0));
        let grey = |level: u32| {
            let colour = colour(level, "#FFFFFF");
            let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap());
            0.3 * part(1) + 0.59 * part(3) + 0.11 * part(5)
        };
        assert!((0..LEVELS).all(|level| grey(level + 1) < grey(level)));
    }
}
