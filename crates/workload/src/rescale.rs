//! Exact changes of the arrival clock.

use trimtab_core::{PS_PER_S, SimTime};

use crate::trace::Trace;

/// A positive factor, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    num: u128,
    den: u128,
}

/// Arrivals that cannot be rescaled as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RescaleError {
    /// All requests arrive at once, or there is one.
    #[error(
        "cannot rescale arrivals: all requests arrive at the same time\nhint: choose an arrival process with `--arrivals`"
    )]
    NoSpan,
    /// The trace does not say when requests arrive.
    #[error("cannot rescale arrivals: the trace has none\nhint: choose an arrival process with `--arrivals`")]
    Untimed,
    /// The last arrival would be too late.
    #[error(
        "cannot rescale arrivals: the last one would come after 200 days\n\
         hint: choose a window with `--start` and `--duration`, or compress time with `--speedup`"
    )]
    TooLate,
}

impl Ratio {
    /// `num / den`; `None` unless both are positive.
    pub fn new(num: u128, den: u128) -> Option<Self> {
        if num == 0 || den == 0 {
            return None;
        }
        let divisor = gcd(num, den);
        Some(Self { num: num / divisor, den: den / divisor })
    }

    /// From a decimal number such as `1.5`, exactly; `None` unless it is positive and has at most 18 digits on either
    /// side.
    pub fn parse(text: &str) -> Option<Self> {
        let number = crate::number::Decimal::parse(text.as_bytes())?;
        if number.negative || number.mantissa > 10u128.pow(18) || number.exponent.abs() > 18 {
            return None;
        }
        let power = 10u128.pow(number.exponent.unsigned_abs());
        if number.exponent < 0 { Self::new(number.mantissa, power) } else { Self::new(number.mantissa * power, 1) }
    }

    /// From a float: its shortest decimal form, exactly.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::parse(&value.to_string())).flatten()
    }

    /// `time / self`, rounded down; `None` beyond 128 bits.
    pub(crate) fn divide(self, time: u128) -> Option<u128> {
        mul_div(time, self.den, self.num)
    }
}

impl Trace {
    /// Makes time pass `speedup` times as fast: every arrival is divided by it, rounded down to a picosecond.
    pub fn speed_up(&mut self, speedup: Ratio) -> Result<(), RescaleError> {
        if !self.timed {
            return Err(RescaleError::Untimed);
        }
        let latest = self.requests.last().map_or(SimTime::ZERO, |r| r.arrival);
        let scaled = |time: SimTime| speedup.divide(u128::from(time.0)).and_then(|ps| u64::try_from(ps).ok());
        if scaled(latest).is_none_or(|ps| ps > SimTime::LATEST_ARRIVAL.0) {
            return Err(RescaleError::TooLate);
        }
        for request in &mut self.requests {
            request.arrival = SimTime(scaled(request.arrival).expect("not later than the last"));
        }
        Ok(())
    }

    /// Rescales arrivals so that requests divided by span is `rate` per second.
    pub fn rescale_to_rate(&mut self, rate: Ratio) -> Result<(), RescaleError> {
        let span = u128::from(self.span().0);
        if !self.timed {
            return Err(RescaleError::Untimed);
        }
        if span == 0 {
            return Err(RescaleError::NoSpan);
        }
        // span / speedup = requests / rate.
        let requests = Ratio::new(self.requests.len() as u128 * u128::from(PS_PER_S), span).expect("there is a span");
        let product = |a: u128, b: u128| a.checked_mul(b).ok_or(RescaleError::TooLate);
        let (num, den) = (product(rate.num, requests.den)?, product(rate.den, requests.num)?);
        self.speed_up(Ratio::new(num, den).expect("products of positive numbers"))
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// `value * num / den`, rounded down, exactly; `None` beyond 128 bits.
fn mul_div(value: u128, num: u128, den: u128) -> Option<u128> {
    if let Some(product) = value.checked_mul(num) {
        return Some(product / den);
    }
    if den > u128::MAX / 2 {
        return None;
    }
    // Long multiplication, bit by bit from the top, of the remainder of `num`; the quotient is kept apart.
    let (whole, part) = (num / den, num % den);
    let (mut quotient, mut remainder) = (0u128, 0u128);
    for bit in (0..128 - value.leading_zeros()).rev() {
        quotient = quotient.checked_mul(2)?;
        remainder *= 2;
        if remainder >= den {
            (quotient, remainder) = (quotient + 1, remainder - den);
        }
        if value >> bit & 1 == 1 {
            quotient = quotient.checked_add(whole)?;
            remainder += part;
            if remainder >= den {
                (quotient, remainder) = (quotient + 1, remainder - den);
            }
        }
    }
    Some(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::{Prompt, Request};

    fn arriving(times: &[u64]) -> Trace {
        let request = |(id, &t): (u32, &u64)| Request::new(id, SimTime(t), Prompt { leaf: None, tokens: 1 }, 1);
        Trace { timed: true, requests: (0..).zip(times).map(request).collect(), ..Trace::default() }
    }

    #[test]
    fn products_wider_than_128_bits_divide_exactly() {
        for (value, num, den) in
            [(u128::from(u64::MAX), 1 << 100, 1 << 101), (1 << 90, 3 << 70, 1 << 71), (7, 5, 3), (1 << 127, 6, 12)]
        {
            let expected = if num * 2 == den { value / 2 } else { value.checked_mul(num).map_or(3 << 89, |p| p / den) };
            assert_eq!(mul_div(value, num, den), Some(expected), "{value} {num} {den}");
        }
        assert_eq!(mul_div(u128::MAX, u128::MAX, 1), None);
    }

    #[test]
    fn rates_are_exact() {
        for (times, rate, expected) in [
            // 4 requests at 2 per second span 2 s, wherever they start.
            (vec![0, 10, 20, 30], "2", Ok(2 * PS_PER_S)),
            (vec![30, 40, 50, 60], "0.5", Ok(8 * PS_PER_S)),
            (vec![0, 1, 2, 3 * PS_PER_S], "1000000000000", Ok(4)),
            (vec![5, 5], "1", Err(RescaleError::NoSpan)),
            (vec![0, PS_PER_S], "0.0000001", Err(RescaleError::TooLate)),
        ] {
            let mut trace = arriving(&times);
            let done = trace.rescale_to_rate(Ratio::parse(rate).unwrap());
            assert_eq!(done.map(|()| trace.span().0), expected, "{times:?} {rate}");
        }
    }

    #[test]
    fn speedups_divide() {
        let mut trace = arriving(&[1, 3 * PS_PER_S, 4 * PS_PER_S]);
        trace.speed_up(Ratio::parse("1.5").unwrap()).unwrap();
        assert_eq!(trace.requests[1].arrival, SimTime(2 * PS_PER_S));
        assert_eq!(trace.requests[2].arrival, SimTime(2_666_666_666_666));
        for bad in ["0", "-1", "x", "1e30", ""] {
            assert_eq!(Ratio::parse(bad), None, "{bad}");
        }
        assert_eq!(Ratio::from_f64(0.1), Ratio::new(1, 10));
        assert_eq!(Ratio::from_f64(f64::NAN), None);
    }
}
