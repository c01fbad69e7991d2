//! Scales and their ticks.

use libm::{ceil, floor, log10, pow};

use crate::text;

/// From this ratio on, values are wide apart.
const WIDE: f64 = 20.0;

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

/// The least distance between the labels of two ticks beside each other, in units of the font size.
const TICK_GAP: f64 = 0.9;

/// Whether some values are so far apart that [`Scale::LogIfWide`] lays them out by ratio.
pub(crate) fn wide(values: &[f64]) -> bool {
    let positive = || values.iter().copied().filter(|&x| x > 0.0);
    positive().fold(0.0, f64::max) > WIDE * positive().fold(f64::INFINITY, f64::min)
}

impl Ruler {
    /// Lays out a horizontal axis of this width, in units of the font size, with as many ticks as their labels leave
    /// room for.
    pub(crate) fn across(axis: &Axis, values: &[f64], width: f64) -> Self {
        let most = steps(width / 3.0);
        let found = (2..=most).rev().map(|most| Self::new(axis, values, most)).find(|ruler| ruler.fits(width));
        let mut ruler = found.unwrap_or_else(|| Self::new(axis, values, 2));
        while !ruler.fits(width) && ruler.ticks.len() > 1 && !matches!(axis.scale, Scale::Names(_)) {
            ruler.ticks.pop();
        }
        ruler
    }

    /// Lays out a vertical axis of this height, in units of the font size.
    pub(crate) fn up(axis: &Axis, values: &[f64], height: f64) -> Self {
        Self::new(axis, values, steps(height / 2.2))
    }

    /// Whether the labels of neighbouring ticks stay apart on an axis of this width.
    fn fits(&self, width: f64) -> bool {
        let middle = |tick: &Tick| (tick.at - self.from) / (self.to - self.from) * width;
        let half = |tick: &Tick| text::width(&tick.label) / 2.0;
        self.ticks
            .windows(2)
            .all(|pair| middle(&pair[1]) - middle(&pair[0]) >= half(&pair[0]) + half(&pair[1]) + TICK_GAP)
    }

    /// Lays out an axis for the given values, with at most about `most` ticks.
    fn new(axis: &Axis, values: &[f64], most: usize) -> Self {
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
            Scale::LogIfWide if wide(values) => Self::log(smallest, high, most),
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
            .map(|at| Tick { at, label: tick_label(at, step, to) })
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
            .map(|(at, digit, power)| {
                let unit = pow(10.0, f64::from(power));
                Tick { at, label: tick_label(f64::from(digit) * unit, unit, pow(10.0, to)) }
            })
            .collect();
        Self { log: true, from, to, ticks }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few ticks")]
fn steps(room: f64) -> usize {
    room.clamp(2.0, 12.0) as usize
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

/// Letters for large numbers.
const UNITS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];

/// A tick of an axis that ends at `end`: thousands and millions by letter where it goes beyond 10,000.
fn tick_label(value: f64, step: f64, end: f64) -> String {
    let unit = UNITS.into_iter().find(|&(unit, _)| end > 1e4 && value.abs() >= unit * (1.0 - 1e-9));
    unit.map_or_else(|| decimal(value, step), |(unit, letter)| decimal(value / unit, step / unit) + letter)
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
    if let Some((unit, letter)) =
        UNITS.into_iter().find(|&(unit, _)| (1e4..1e12).contains(&value.abs()) && value.abs() >= unit)
    {
        return short(value / unit) + letter;
    }
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
    fn labels_stay_apart() {
        let check = |scale: Scale, values: &[f64], width: f64, expected: &str| {
            let ruler = Ruler::across(&Axis::new("x", scale), values, width);
            let labels: Vec<_> = ruler.ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(labels.join(" "), expected, "{values:?} on {width}");
        };
        check(Scale::Log, &[500.0, 100_000.0], 24.0, "500 1k 2k 5k 10k 20k 50k 100k");
        check(Scale::Log, &[500.0, 100_000.0], 9.0, "1k 10k 100k");
        check(Scale::Linear, &[0.0, 1e6], 24.0, "0 200k 400k 600k 800k 1.0M");
        check(Scale::Linear, &[0.0, 1e6], 9.0, "0 500k 1.0M");
        check(Scale::Linear, &[4.0, 16.0], 40.0, "4 6 8 10 12 14 16");
    }

    #[test]
    fn values_show_three_digits() {
        for (value, expected) in [
            (0.0, "0"),
            (0.912, "0.912"),
            (12.345, "12.3"),
            (1234.5, "1234"),
            (42_298.0, "42.3k"),
            (0.000_012, "1.20e-5"),
        ] {
            assert_eq!(short(value), expected);
        }
    }
}
