//! A scanner over one line of JSON that reads known keys and checks the rest, without building a tree.
//!
//! A general JSON parser spends most of its time on block id lists, which are nine tenths of a trace. Measured on the
//! public conversation trace (3 MB), this scanner takes about a third of the time of a typed serde parse.

use crate::error::{Fault, Kind, Parsed};
use crate::number::Decimal;

/// Nesting that is certainly an attack.
const MAX_DEPTH: u32 = 64;

/// A place in one line.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
    /// Whether numbers written as strings are read as numbers.
    lenient: bool,
    /// How many were.
    pub(crate) repaired: u32,
}

/// What a list element or field held, when it may be a number or a string.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    /// A non-negative integer.
    Int(u64),
    /// Anything else that names something: the text of a string, or of another number.
    Text(&'a [u8]),
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a [u8], lenient: bool) -> Self {
        Self { line, at: 0, lenient, repaired: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Continues from an earlier place.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// The text since an earlier place.
    pub(crate) fn since(&self, at: usize) -> &'a [u8] {
        &self.line[at..self.at]
    }

    fn rest(&self) -> &'a [u8] {
        &self.line[self.at.min(self.line.len())..]
    }

    /// The next byte that is not white space; not consumed. 0 at the end of the line.
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.line.get(self.at) {
            // Inside an object over several lines; a carriage return alone is a fault.
            if self.line[self.at] == b'\r' && self.line.get(self.at + 1) != Some(&b'\n') {
                break;
            }
            self.at += 1;
        }
        self.line.get(self.at).copied().unwrap_or(0)
    }

    /// An issue here, quoting what is here.
    pub(crate) fn issue(&self, kind: Kind, expected: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
        self.issue_at(self.at, kind, expected)
    }

    fn issue_at(&self, at: usize, kind: Kind, expected: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
        let at = at.min(self.line.len());
        let rest = &self.line[at..];
        match rest.first() {
            Some(0) => Fault::new(at, Kind::Encoding, rest, "text without NUL bytes"),
            Some(b'\r') => Fault::new(at, Kind::Syntax, rest, expected)
                .hint("a lone carriage return ends no line; convert the line ends to LF"),
            _ => Fault::new(at, kind, value_text(rest), expected),
        }
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.peek() == byte {
            self.at += 1;
            return Ok(());
        }
        Err(self.issue(Kind::Syntax, what))
    }

    /// Consumes `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Nothing but white space is left.
    pub(crate) fn finish(&mut self) -> Parsed<()> {
        self.peek();
        if self.at >= self.line.len() {
            return Ok(());
        }
        let issue = self.issue(Kind::Syntax, "the end of the line");
        Err(if issue.issue().hint.is_some() { issue } else { issue.hint("write one object per line") })
    }

    /// The members of the object that starts here, one key at a time: `None` after the last. `first` is true only in the
    /// first call.
    pub(crate) fn next_key(&mut self, first: bool) -> Parsed<Option<&'a [u8]>> {
        if first {
            self.expect(b'{', "an object, `{`")?;
            if self.eat(b'}') {
                return Ok(None);
            }
        } else if self.eat(b'}') {
            return Ok(None);
        } else {
            self.expect(b',', "`,` or `}`")?;
        }
        if self.peek() == 0 && self.at >= self.line.len() {
            return Err(self.issue(Kind::Syntax, "a key").hint("the line is cut, or the object spans several lines"));
        }
        let key = self.string()?;
        self.expect(b':', "`:`")?;
        Ok(Some(key))
    }

    /// Whether the list that starts here has another element. `first` is true only in the first call.
    pub(crate) fn next_item(&mut self, first: bool) -> Parsed<bool> {
        if first {
            self.expect(b'[', "a list, `[`")?;
            return Ok(!self.eat(b']'));
        }
        if self.eat(b']') {
            return Ok(false);
        }
        self.expect(b',', "`,` or `]`").map(|()| true)
    }

    /// The raw text of a string, escapes not decoded.
    pub(crate) fn string(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b'"', "a string in double quotes")?;
        let start = self.at;
        loop {
            let rest = self.rest();
            self.at += rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(rest.len());
            match self.line.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0) => return Err(self.issue(Kind::Encoding, "text without NUL bytes")),
                Some(_) => return Err(self.issue(Kind::Syntax, "a string without control characters")),
                None => return Err(self.issue(Kind::Syntax, "a closing `\"`").hint("the line is cut")),
            }
        }
        let text = &self.line[start..self.at];
        if !text.is_ascii()
            && let Err(error) = std::str::from_utf8(text)
        {
            let at = start + error.valid_up_to();
            return Err(self.issue_at(at, Kind::Encoding, "UTF-8 text"));
        }
        self.at += 1;
        Ok(text)
    }

    /// Passes over at most `most` digits, 19 at the most, and returns what they say.
    fn digits(&mut self, most: usize) -> u64 {
        let (mut value, mut count) = (0_u64, 0);
        for &byte in self.rest().iter().take(most) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        value
    }

    /// Passes over a whole number below 10^7, with at most one space before it, that another element or the end of a list
    /// follows. Nearly all elements are such; reading them one digit at a time took two fifths of the instructions
    /// of reading a trace.
    #[inline]
    fn short_element(&mut self) -> Option<u64> {
        let at = self.at + usize::from(self.line.get(self.at) == Some(&b' '));
        let eight = self.line.get(at..)?.first_chunk()?;
        let (value, count) = leading_digits(*eight);
        if count == 0 || !matches!(eight.get(count), Some(b',' | b']')) {
            return None;
        }
        self.at = at + count;
        Some(value)
    }

    /// A whole number that is not negative.
    pub(crate) fn uint(&mut self, what: &'static str) -> Parsed<u64> {
        let first = self.peek();
        if first.is_ascii_digit() {
            // 19 digits cannot overflow.
            let (start, value) = (self.at, self.digits(19));
            match self.line.get(self.at) {
                Some(b'.' | b'e' | b'E' | b'0'..=b'9') => self.at = start,
                _ if first == b'0' && self.at - start > 1 => {
                    return Err(self.issue_at(start, Kind::Syntax, "a number without leading zeros"));
                }
                _ => return Ok(value),
            }
        }
        let start = self.at;
        let number = self.decimal(what)?;
        if number.negative && number.mantissa != 0 {
            return Err(self.issue_at(start, Kind::OutOfRange, what));
        }
        let Some(value) = number.integer() else {
            let fraction = number.exponent < 0;
            let kind = if fraction { Kind::WrongType } else { Kind::OutOfRange };
            return Err(self.issue_at(start, kind, what));
        };
        u64::try_from(value).map_err(|_| self.issue_at(start, Kind::OutOfRange, "a number below 2^64"))
    }

    /// Any number. In lenient mode also one in quotes.
    pub(crate) fn decimal(&mut self, what: &'static str) -> Parsed<Decimal> {
        let first = self.peek();
        let start = self.at;
        if first == b'"' {
            let text = self.string()?;
            if let Some(number) = Decimal::parse(text).filter(|_| self.lenient) {
                self.repaired += 1;
                return Ok(number);
            }
            return Err(self
                .issue_at(start, Kind::WrongType, what)
                .hint("a number in quotes is read as a number with `--lenient`"));
        }
        if let Some((number, len)) = Decimal::scan(self.rest()) {
            self.at += len;
            if matches!(self.line.get(self.at), None | Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')) {
                return Ok(number);
            }
            return Err(self.issue_at(start, Kind::Syntax, what));
        }
        let rest = self.rest();
        let kind = match rest {
            [b'n', b'u', b'l', b'l', ..] => Kind::Missing,
            [] => Kind::Syntax,
            _ => Kind::WrongType,
        };
        let issue = self.issue_at(start, kind, what);
        let bare = rest.strip_prefix(b"-").unwrap_or(rest);
        Err(if bare.starts_with(b"NaN") || bare.starts_with(b"Infinity") {
            issue.hint("NaN and Infinity are not JSON; a script in Python may have written them")
        } else {
            issue
        })
    }

    /// A number, or a string, that serves as a name.
    pub(crate) fn token(&mut self, what: &'static str) -> Parsed<Token<'a>> {
        let first = self.peek();
        if first.is_ascii_digit() {
            // 18 digits: below 2^63, so that the rest of the range is free for other names.
            let (start, value) = (self.at, self.digits(18));
            if !matches!(self.line.get(self.at), Some(b'.' | b'e' | b'E' | b'0'..=b'9')) {
                return Ok(Token::Int(value));
            }
            self.at = start;
        }
        if first == b'"' {
            return Ok(Token::Text(self.string()?));
        }
        let start = self.at;
        let number = self.decimal(what)?;
        if number.exponent != 0 {
            return Err(self.issue_at(start, Kind::WrongType, what));
        }
        Ok(Token::Text(self.since(start)))
    }

    /// A list of whole numbers or names, each given to `push` with its place.
    pub(crate) fn list(
        &mut self,
        what: &'static str,
        mut push: impl FnMut(Token<'a>, usize) -> Parsed<()>,
    ) -> Parsed<()> {
        if self.peek() != b'[' {
            let kind = if self.rest().starts_with(b"null") { Kind::Missing } else { Kind::WrongType };
            return Err(self.issue(kind, what));
        }
        self.at += 1;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            let token = match self.short_element() {
                Some(number) => Token::Int(number),
                None => self.token(what)?,
            };
            push(token, self.at)?;
            match self.line.get(self.at) {
                Some(b',') => self.at += 1,
                _ if self.eat(b',') => {}
                _ => return self.expect(b']', "`,` or `]`"),
            }
        }
    }

    /// Checks and passes over a value of any type.
    pub(crate) fn skip(&mut self) -> Parsed<()> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: u32) -> Parsed<()> {
        if depth > MAX_DEPTH {
            return Err(self.issue(Kind::Syntax, "less than 64 levels of nesting"));
        }
        match self.peek() {
            b'"' => self.string().map(drop),
            b'{' => {
                let mut first = true;
                while self.next_key(first)?.is_some() {
                    first = false;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            b'[' => {
                self.at += 1;
                if self.eat(b']') {
                    return Ok(());
                }
                loop {
                    self.skip_nested(depth + 1)?;
                    if self.eat(b']') {
                        return Ok(());
                    }
                    self.expect(b',', "`,` or `]`")?;
                }
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.decimal("a value").map(drop),
        }
    }

    /// Consumes `null` if it is next.
    pub(crate) fn eat_null(&mut self) -> bool {
        self.peek();
        let found = self.rest().starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    fn word(&mut self, word: &'static [u8]) -> Parsed<()> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.issue(Kind::Syntax, "a value"))
    }
}

/// What the digits at the start say, and how many there are: all eight bytes at once.
fn leading_digits(bytes: [u8; 8]) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The first byte is the lowest; a digit has become its value.
    let values = u64::from_le_bytes(bytes) ^ (ONES * 0x30);
    // The highest bit of each byte above 9. What the addition carries over reaches only bytes after the first such byte.
    let others = (values.wrapping_add(ONES * 0x76) | values) & (ONES * 0x80);
    let count = others.trailing_zeros() / 8;
    // Zeros come in before the digits; then neighbours join to numbers of two digits, of four, of eight.
    let ones = values.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = (ones.wrapping_mul(10).wrapping_add(ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let whole = (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff;
    (whole, count as usize)
}

/// The text of the value at the start of `rest`, for messages.
fn value_text(rest: &[u8]) -> &[u8] {
    let end = match rest.first() {
        Some(b'"') => rest[1..].iter().position(|&b| b == b'"').map_or(rest.len(), |p| p + 2),
        Some(b'[' | b'{' | b'}' | b']' | b',' | b':') => 1,
        _ => rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ')).unwrap_or(rest.len()),
    };
    &rest[..end.max(1).min(rest.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn leading_digits_are_those_before_anything_else(digits in "[0-9]{0,8}", after in "[^0-9]", fill in "[ -~]{8}") {
            let text = format!("{digits}{after}{fill}");
            let eight = *text.as_bytes().first_chunk().expect("nine bytes at least");
            prop_assert_eq!(leading_digits(eight), (digits.parse().unwrap_or(0), digits.len()));
        }

        #[test]
        fn a_list_has_the_same_elements_however_it_is_spaced(
            elements in proptest::collection::vec(("[ \t]{0,2}", "0|[1-9][0-9]{0,17}", " {0,1}"), 1..9),
            end in "|, 5|}",
        ) {
            let join = |spaced: bool| {
                let element = |(before, digits, after): &(String, String, String)| {
                    if spaced { format!("{before}{digits}{after}") } else { digits.clone() }
                };
                format!("[{}]{end}", elements.iter().map(element).collect::<Vec<_>>().join(","))
            };
            let expected: Vec<u64> = elements.iter().map(|(_, digits, _)| digits.parse().expect("18 digits")).collect();
            for line in [join(false), join(true)] {
                let mut found = vec![];
                let mut cursor = Cursor::new(line.as_bytes(), false);
                let read = cursor.list("numbers", |token, at| {
                    assert!(line.as_bytes()[at - 1].is_ascii_digit(), "an element ends before {at}");
                    found.push(match token {
                        Token::Int(number) => number,
                        Token::Text(_) => u64::MAX,
                    });
                    Ok(())
                });
                prop_assert!(read.is_ok());
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(cursor.at(), line.len() - end.len());
            }
        }
    }
}
