//! Decimal numbers, exactly: a timestamp never passes through a float.

/// A decimal number `mantissa * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) negative: bool,
    pub(crate) mantissa: u128,
    pub(crate) exponent: i32,
}

/// More digits than this carry nothing: picoseconds of the age of the universe have 30.
const MAX_DIGITS: u32 = 36;

impl Decimal {
    /// Reads the number at the start of `text`; the second value is its length. `None` when there is no number.
    ///
    /// Accepts what JSON does, and a leading zero.
    pub(crate) fn scan(text: &[u8]) -> Option<(Self, usize)> {
        let mut at = 0;
        let negative = text.first() == Some(&b'-');
        at += usize::from(negative);
        let mut number = Self { negative, mantissa: 0, exponent: 0 };
        let mut digits = 0;
        let whole = at;
        while let Some(d) = text.get(at).filter(|b| b.is_ascii_digit()) {
            number.push(d - b'0', &mut digits, false);
            at += 1;
        }
        if at == whole {
            return None;
        }
        if text.get(at) == Some(&b'.') && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
            at += 1;
            while let Some(d) = text.get(at).filter(|b| b.is_ascii_digit()) {
                number.push(d - b'0', &mut digits, true);
                at += 1;
            }
        }
        if matches!(text.get(at), Some(b'e' | b'E')) {
            let mut end = at + 1;
            let minus = text.get(end) == Some(&b'-');
            end += usize::from(matches!(text.get(end), Some(b'+' | b'-')));
            let first = end;
            let mut power: i32 = 0;
            while let Some(d) = text.get(end).filter(|b| b.is_ascii_digit()) {
                power = power.saturating_mul(10).saturating_add(i32::from(d - b'0'));
                end += 1;
            }
            if end > first {
                let power = power.min(1_000_000);
                number.exponent = number.exponent.saturating_add(if minus { -power } else { power });
                at = end;
            }
        }
        Some((number, at))
    }

    /// All of `text`, or nothing.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Self::scan(text).filter(|&(_, len)| len == text.len()).map(|(number, _)| number)
    }

    fn push(&mut self, digit: u8, digits: &mut u32, fraction: bool) {
        if *digits < MAX_DIGITS {
            self.mantissa = self.mantissa * 10 + u128::from(digit);
            *digits += u32::from(self.mantissa != 0);
            self.exponent -= i32::from(fraction);
        } else {
            self.exponent += i32::from(!fraction);
        }
    }

    /// `self * 10^power`, rounded to the nearest integer (half up); `None` beyond 128 bits. Ignores the sign.
    pub(crate) fn scaled(self, power: i32) -> Option<u128> {
        let power = self.exponent.saturating_add(power);
        if self.mantissa == 0 {
            return Some(0);
        }
        if power >= 0 {
            return 10u128.checked_pow(power.unsigned_abs())?.checked_mul(self.mantissa);
        }
        let Some(divisor) = 10u128.checked_pow(power.unsigned_abs()) else { return Some(0) };
        Some(self.mantissa / divisor + u128::from(self.mantissa % divisor >= divisor - self.mantissa % divisor))
    }

    /// As an integer, when it is one (`512.0` and `1e3` are); `None` with a fraction or beyond 128 bits.
    pub(crate) fn integer(self) -> Option<u128> {
        let value = self.scaled(0)?;
        let exact = self.exponent >= 0
            || self.mantissa == 0
            || 10u128.checked_pow(self.exponent.unsigned_abs()).is_some_and(|d| self.mantissa.is_multiple_of(d));
        exact.then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, power, scaled, integer) in [
            ("61.114", 12, Some(61_114_000_000_000), None),
            ("0", 12, Some(0), Some(0)),
            ("512.0", 0, Some(512), Some(512)),
            ("1e3", 0, Some(1000), Some(1000)),
            ("1.25E+1", 1, Some(125), None),
            ("0.4", 0, Some(0), None),
            ("0.5", 0, Some(1), None),
            ("1e308", 0, None, None),
            ("1e-400", 12, Some(0), None),
            ("0.1234567890123", 12, Some(123_456_789_012), None),
            (
                "123456789012345678901234567890",
                0,
                Some(123_456_789_012_345_678_901_234_567_890),
                Some(123_456_789_012_345_678_901_234_567_890),
            ),
        ] {
            let number = Decimal::parse(text.as_bytes()).expect(text);
            assert_eq!(number.scaled(power), scaled, "{text}");
            assert_eq!(number.integer(), integer, "{text}");
        }
        for text in ["", "-", "abc", "1.", "1e", "0x10", "nan", "1 "] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }
}
