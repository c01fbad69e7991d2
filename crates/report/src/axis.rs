//! Scales and their ticks.

use libm::{ceil, floor, log10, pow};

/// How values are laid out along an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Evenly, over the data.
    Linear,
    /// Evenly, from zero.
    FromZero,
    /// Evenly, from 0 to 100.
    Percent,
    /// Evenly, as far as stated; values beyond stand on the edge.
    Within(f64, f64),
    /// By ratio; zero and less cannot be shown.
    Log,
    /// By ratio when the data span more than a factor of 20, else evenly from zero.
    LogIfWide,
    /// One place for each name; values are places, from 0.
    Names(Vec<String>),
}

/// An axis: what it shows and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The quantity with its unit.
    pub label: String,
    /// How values are laid out.
    pub scale: Scale,
}

impl Axis {
    /// An axis.
    pub fn new(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale }
    }
}

/// An axis laid out for data: everything in the coordinates of the drawing, which are logarithms on a log axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ruler {
    pub(crate) log: bool,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) ticks: Vec<Tick>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: f64,
    pub(crate) label: String,
}

impl Ruler {
    /// Lays out an axis for the given values, with at most about `most` ticks.
    pub(crate) fn new(axis: &Axis, values: &[f64], most: usize) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = values.iter().copied().filter(|&x| x > 0.0).fold(f64::INFINITY, f64::min);
        match &axis.scale {
            Scale::Names(names) => Self::names(names),
            Scale::Percent => Self::linear(0.0, 100.0, 0.0, most),
            Scale::Within(from, to) => Self::linear(*from, *to, 0.0, most),
            _ if low > high => Self::linear(0.0, 1.0, 0.0, most),
            Scale::Linear => Self::linear(low, high, 0.04, most),
            Scale::Log if smallest < f64::INFINITY => Self::log(smallest, high, most),
            Scale::LogIfWide if smallest < f64::INFINITY && high / smallest > 20.0 => Self::log(smallest, high, most),
            _ if high <= 0.0 => Self::linear(0.0, 1.0, 0.0, most),
            Scale::FromZero | Scale::Log | Scale::LogIfWide => Self::linear(0.0, high * 1.04, 0.0, most),
        }
    }

    /// Where a value stands; nothing for what a log axis cannot show.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        if self.log { (value > 0.0).then(|| log10(value)) } else { Some(value) }
    }

    /// The same, with values off the axis moved to its end.
    pub(crate) fn clamp(&self, value: f64) -> f64 {
        self.place(value).unwrap_or(self.from).clamp(self.from, self.to)
    }

    fn names(names: &[String]) -> Self {
        let ticks =
            names.iter().enumerate().map(|(place, name)| Tick { at: place as f64, label: name.clone() }).collect();
        Self { log: false, from: -0.5, to: names.len() as f64 - 0.5, ticks }
    }

    fn linear(low: f64, high: f64, margin: f64, most: usize) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        let pad = (high - low) * margin;
        let (from, to) = (low - pad, high + pad);
        let first = |step: f64| ceil(from / step - 1e-9);
        let last = |step: f64| floor(to / step + 1e-9);
        // One tick alone gives no scale: then finer, even where it is tight.
        let least = (to - from) / most.max(1) as f64;
        let steps = [least, least / 2.0, least / 4.0].map(nice_step);
        let step = steps.into_iter().find(|&step| last(step) > first(step)).unwrap_or(steps[2]);
        let (first, count) = (first(step), last(step) - first(step));
        let ticks = (0_u32..100)
            .map(f64::from)
            .filter(|&k| k <= count)
            .map(|k| (first + k) * step)
            .map(|at| Tick { at, label: decimal(at, step) })
            .collect();
        Self { log: false, from, to, ticks }
    }

    /// Ticks at powers of ten, with 2 and 5 (or 3) between them where there is room. The axis grows to the next tick on
    /// either side when fewer than two would be on it.
    fn log(low: f64, high: f64, most: usize) -> Self {
        let (mut from, mut to) = (log10(low), log10(high));
        let pad = ((to - from) * 0.04).max(0.02);
        (from, to) = (from - pad, to + pad);
        let decades = (to - from).max(0.1);
        let digits: &[u32] = if decades * 3.0 <= most as f64 {
            &[1, 2, 5]
        } else if decades * 2.0 <= most as f64 {
            &[1, 3]
        } else {
            &[1]
        };
        let mut candidates = Vec::new();
        for power in exponent(floor(from)) - 1..=exponent(ceil(to)) + 1 {
            candidates.extend(digits.iter().map(|&digit| (log10(f64::from(digit)) + f64::from(power), digit, power)));
        }
        let inside = |from: f64, to: f64| candidates.iter().filter(move |(at, ..)| (from..=to).contains(at)).count();
        if inside(from, to) < 2 {
            from = candidates.iter().map(|c| c.0).filter(|&at| at <= from).fold(f64::NEG_INFINITY, f64::max);
            to = candidates.iter().map(|c| c.0).filter(|&at| at >= to).fold(f64::INFINITY, f64::min);
        }
        let every = (inside(from, to)).div_ceil(most.max(2));
        let ticks = candidates
            .into_iter()
            .filter(|(at, ..)| (from..=to).contains(at))
            .step_by(every)
            .map(|(at, digit, power)| Tick {
                at,
                label: decimal(f64::from(digit) * pow(10.0, f64::from(power)), pow(10.0, f64::from(power))),
            })
            .collect();
        Self { log: true, from, to, ticks }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten, and 25 times from there on, that is no smaller than asked.
fn nice_step(least: f64) -> f64 {
    let power = pow(10.0, floor(log10(least)));
    // 2.5 would cost every label a decimal.
    let whole = |factor: f64| power > 9.0 || !(2.1..3.0).contains(&factor);
    let factors = [1.0, 2.0, 2.5, 5.0].into_iter().filter(|&factor| whole(factor));
    factors.map(|factor| factor * power).find(|&step| step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

#[expect(clippy::cast_possible_truncation, reason = "powers of ten of finite floats are small")]
fn exponent(power: f64) -> i32 {
    power as i32
}

/// A tick as plain decimals, as many as its step needs; a proper minus sign.
fn decimal(value: f64, step: f64) -> String {
    let needed = |digits: usize| {
        let scaled = step * pow(10.0, digits as f64);
        (scaled - floor(scaled + 0.5)).abs() < 1e-6 * scaled
    };
    let digits = (0..9).find(|&digits| needed(digits)).unwrap_or(9);
    let text = format!("{:.digits$}", value.abs());
    if value < 0.0 && text.bytes().any(|b| (b'1'..=b'9').contains(&b)) { format!("\u{2212}{text}") } else { text }
}

/// A value in a figure: three significant digits, without an exponent where that is readable.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = exponent(floor(log10(value.abs())));
    if !(-4..7).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    format!("{value:.digits$}", digits = usize::try_from(2 - magnitude).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let check = |scale: Scale, values: &[f64], most: usize, expected: &str| {
            let ruler = Ruler::new(&Axis::new("x", scale.clone()), values, most);
            let labels: Vec<_> = ruler.ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(labels.join(" "), expected, "{scale:?} {values:?}");
            assert!(ruler.ticks.iter().all(|tick| (ruler.from - 1e-9..=ruler.to + 1e-9).contains(&tick.at)));
        };
        check(Scale::Percent, &[], 6, "0 20 40 60 80 100");
        check(Scale::Linear, &[4.0, 16.0], 7, "4 6 8 10 12 14 16");
        check(Scale::Linear, &[2.0, 14.0], 2, "5 10");
        check(Scale::Linear, &[3.0, 3.0], 5, "2.5 3.0 3.5");
        check(Scale::FromZero, &[0.13, 0.31], 5, "0.0 0.1 0.2 0.3");
        check(Scale::FromZero, &[0.0], 5, "0.0 0.2 0.4 0.6 0.8 1.0");
        check(Scale::FromZero, &[], 5, "0.0 0.2 0.4 0.6 0.8 1.0");
        check(Scale::Linear, &[-2.0, 2.0], 5, "\u{2212}2 \u{2212}1 0 1 2");
        check(Scale::Log, &[0.1, 100.0], 5, "0.1 1 10 100");
        check(Scale::Log, &[0.11, 0.9], 5, "0.2 0.5");
        check(Scale::Log, &[3.0, 4.0], 5, "2 5");
        check(Scale::LogIfWide, &[1.0, 5.0], 5, "0 2 4");
        check(Scale::LogIfWide, &[0.02, 40.0], 8, "0.03 0.1 0.3 1 3 10 30");
        check(Scale::LogIfWide, &[0.0, 0.0], 5, "0.0 0.2 0.4 0.6 0.8 1.0");
        check(Scale::Names(vec!["a".into(), "b".into()]), &[], 5, "a b");
    }

    #[test]
    fn values_show_three_digits() {
        for (value, expected) in
            [(0.0, "0"), (0.912, "0.912"), (12.345, "12.3"), (1234.5, "1234"), (0.000_012, "1.20e-5")]
        {
            assert_eq!(short(value), expected);
        }
    }
}
