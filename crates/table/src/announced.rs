//! Whether a Parquet file can hold what it announces.
//!
//! The decoder makes room for as many elements as a list of the footer, or the header of a page, says there are, before it
//! reads the first; where there is no memory for them the process ends. Both are structs in Thrift's compact protocol
//! (apache/thrift, `doc/specs/thrift-compact-protocol.md`), with fields as apache/parquet-format defines them
//! (`src/main/thrift/parquet.thrift`).
//!
//! The decoder knows fields by their numbers and does not look at the types that the file gives them. Where the two differ
//! it would read something else than what is walked over here, so every field that it reads must have its own type.

use Kind::{Byte, Count, Flag, List, Number, Struct, Text};

/// What a field holds.
enum Kind {
    Flag,
    Byte,
    Number,
    /// A number that is not negative, kept at this place.
    Count(usize),
    Text,
    List(&'static Kind),
    Struct(Fields),
}

/// The fields that are read of a struct, by number. Others may be there.
type Fields = &'static [(u64, Kind)];

const EMPTY: Fields = &[];
const FOOTER: Fields = &[
    (1, Number),
    (2, List(&Struct(SCHEMA_ELEMENT))),
    (3, Number),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(KEY_VALUE))),
    (6, Text),
    (7, List(&Struct(&[(1, Struct(EMPTY)), (2, Struct(EMPTY))]))),
];
const SCHEMA_ELEMENT: Fields = &[
    (1, Number),
    (2, Number),
    (3, Number),
    (4, Text),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, Number),
    (9, Number),
    (10, Struct(LOGICAL_TYPE)),
];
const LOGICAL_TYPE: Fields = &[
    (1, Struct(EMPTY)),
    (2, Struct(EMPTY)),
    (3, Struct(EMPTY)),
    (4, Struct(EMPTY)),
    (5, Struct(&[(1, Number), (2, Number)])),
    (6, Struct(EMPTY)),
    (7, Struct(TIME)),
    (8, Struct(TIME)),
    (10, Struct(&[(1, Byte), (2, Flag)])),
    (11, Struct(EMPTY)),
    (12, Struct(EMPTY)),
    (13, Struct(EMPTY)),
    (14, Struct(EMPTY)),
    (15, Struct(EMPTY)),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Text)])),
    (18, Struct(&[(1, Text), (2, Number)])),
];
const TIME: Fields = &[(1, Flag), (2, Struct(&[(1, Struct(EMPTY)), (2, Struct(EMPTY)), (3, Struct(EMPTY))]))];
const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Number),
    (3, Number),
    (4, List(&Struct(&[(1, Number), (2, Flag), (3, Flag)]))),
    (5, Number),
    (6, Number),
    (7, Number),
];
const COLUMN_CHUNK: Fields =
    &[(1, Text), (2, Number), (3, Struct(COLUMN_METADATA)), (4, Number), (5, Number), (6, Number), (7, Number)];
const COLUMN_METADATA: Fields = &[
    (1, Number),
    (2, List(&Number)),
    (3, List(&Text)),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, List(&Struct(KEY_VALUE))),
    (9, Number),
    (10, Number),
    (11, Number),
    (12, Struct(STATISTICS)),
    (14, Number),
    (15, Number),
];
const KEY_VALUE: Fields = &[(1, Text), (2, Text)];
const STATISTICS: Fields =
    &[(1, Text), (2, Text), (3, Number), (4, Number), (5, Text), (6, Text), (7, Flag), (8, Flag)];
const PAGE: Fields = &[
    (1, Number),
    (2, Count(BYTES)),
    (3, Count(PACKED)),
    (4, Number),
    (5, Struct(&[(1, Count(VALUES)), (2, Number), (3, Number), (4, Number), (5, Struct(STATISTICS))])),
    (6, Struct(EMPTY)),
    (7, Struct(&[(1, Count(ENTRIES)), (2, Number), (3, Flag)])),
    (8, Struct(DATA_PAGE_2)),
];
const DATA_PAGE_2: Fields = &[
    (1, Count(VALUES)),
    (2, Number),
    (3, Number),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Flag),
    (8, Struct(STATISTICS)),
];

// Places of what is kept of the header of a page: bytes that the page decompresses to, bytes that follow the header, values of
// a data page of either version, entries of a dictionary.
const BYTES: usize = 0;
const PACKED: usize = 1;
const VALUES: usize = 2;
const ENTRIES: usize = 3;

/// Deeper nesting than in any sound footer.
const MAX_DEPTH: u32 = 32;
/// The least bytes of a struct in a list of structs: a field, what it holds, the end.
const LEAST_STRUCT: u64 = 3;
// Types as they are written; no field at the end of a struct.
const END: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// False if a list or a text of the footer is longer than what is left of it, or if it is no footer at all. What has no
/// place for one is left to the decoder, which says so better.
pub(crate) fn footer_fits(file: &[u8]) -> bool {
    let Some((rest, b"PAR1")) = file.split_last_chunk::<4>() else { return true };
    let Some((rest, length)) = rest.split_last_chunk::<4>() else { return true };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(start) = rest.len().checked_sub(length) else { return true };
    Walk::new(&rest[start..]).fields(FOOTER, 0).is_some()
}

/// Whether the pages of a column of so many values hold no more than those, and their dictionary and their bytes are no
/// more than `most`.
pub(crate) fn pages_fit(column: &[u8], values: u64, most: u64) -> bool {
    let (mut walk, mut found) = (Walk::new(column), 0);
    // The decoder looks for a dictionary also where there are no values.
    while found < values || walk.left.len() == column.len() && !column.is_empty() {
        walk.counts = [None; 4];
        let header = walk.fields(PAGE, 0);
        let (Some(()), [Some(bytes), Some(packed), held, entries]) = (header, walk.counts) else { return false };
        let fits = match (held, entries) {
            (Some(held), None) => held <= values,
            (None, Some(entries)) => entries <= most,
            (None, None) => true,
            (Some(_), Some(_)) => false,
        };
        if !fits || bytes > most || walk.skip(packed).is_none() {
            return false;
        }
        found += held.unwrap_or(0);
    }
    true
}

/// What has not been walked over yet. All methods return `None` where the bytes are none of what they walk over.
struct Walk<'a> {
    left: &'a [u8],
    counts: [Option<u64>; 4],
}

impl<'a> Walk<'a> {
    fn new(left: &'a [u8]) -> Self {
        Self { left, counts: [None; 4] }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, left) = self.left.split_first()?;
        self.left = left;
        Some(byte)
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.left = self.left.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number that is not negative. The lowest bit is the sign.
    fn count(&mut self) -> Option<u64> {
        self.number().filter(|number| number & 1 == 0).map(|number| number >> 1)
    }

    fn text(&mut self) -> Option<()> {
        let length = self.number()?;
        self.skip(length)
    }

    /// The fields of a struct, to its end. Their numbers ascend, so that none is there twice.
    fn fields(&mut self, fields: Fields, depth: u32) -> Option<()> {
        let mut before = 0;
        loop {
            let head = self.byte()?;
            let number = match (head >> 4, head & 0xf) {
                (0, END) => return Some(()),
                (_, END) => return None,
                // The field's number follows.
                (0, _) => self.count()?,
                (distance, _) => before + u64::from(distance),
            };
            if number <= before || number > i16::MAX.cast_unsigned().into() {
                return None;
            }
            before = number;
            match (fields.iter().find(|(known, _)| *known == number), head & 0xf) {
                (Some((_, kind)), written) => self.known(kind, written, depth)?,
                (None, TRUE | FALSE) => {}
                (None, written) => self.unknown(written, depth)?,
            }
        }
    }

    /// What a field, or an element of a list, holds.
    fn known(&mut self, kind: &Kind, written: u8, depth: u32) -> Option<()> {
        match (kind, written) {
            (Flag, TRUE | FALSE) => Some(()),
            (Byte, 3) => self.skip(1),
            (Number, 4..=6) => self.number().map(drop),
            (Count(place), 4..=6) => {
                let count = self.count()?;
                self.counts[*place].replace(count).is_none().then_some(())
            }
            (Text, 8) => self.text(),
            (Struct(fields), STRUCT) if depth < MAX_DEPTH => self.fields(fields, depth + 1),
            (List(of), LIST) => {
                let least = if matches!(of, Struct(_)) { LEAST_STRUCT } else { 1 };
                let (written, count) = self.list(least)?;
                (0..count).try_for_each(|_| self.known(of, written, depth + 1))
            }
            _ => None,
        }
    }

    /// What the decoder passes over by its type.
    fn unknown(&mut self, written: u8, depth: u32) -> Option<()> {
        match written {
            3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => self.text(),
            LIST if depth < MAX_DEPTH => {
                let (written, count) = self.list(1)?;
                (0..count).try_for_each(|_| self.unknown(written, depth + 1))
            }
            STRUCT if depth < MAX_DEPTH => self.fields(EMPTY, depth + 1),
            // Sets and maps are not in the format, nor lists of truth values here.
            _ => None,
        }
    }

    /// The type of the elements of a list and how many there are, each of so many bytes at least.
    fn list(&mut self, least: u64) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
        (count <= self.left.len() as u64 / least).then_some((head & 0xf, count))
    }
}
