//! Whether a Parquet file can hold what it announces.
//!
//! The decoder makes room for as many elements as a list of the footer, or the header of a page, says there are, before it
//! reads the first; where there is no memory for them the process ends. Both are structs in Thrift's compact protocol
//! (apache/thrift, `doc/specs/thrift-compact-protocol.md`); what their fields are, apache/parquet-format says
//! (`src/main/thrift/parquet.thrift`).

/// Deeper nesting than any schema's.
const MAX_DEPTH: u32 = 32;
// Types of fields; no field at the end of a struct.
const END: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// False if a list or a text of the footer is longer than what is left of it, or if it is no footer at all. What has no
/// place for one is left to the decoder, which says so better.
pub(crate) fn footer_fits(file: &[u8]) -> bool {
    let Some((rest, b"PAR1")) = file.split_last_chunk::<4>() else { return true };
    let Some((rest, length)) = rest.split_last_chunk::<4>() else { return true };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(start) = rest.len().checked_sub(length) else { return true };
    Walk { left: &rest[start..] }.fields(0).is_some()
}

/// Whether the pages of a column of so many values hold no more than those, and their dictionary and their bytes are no
/// more than `most`.
pub(crate) fn pages_fit(column: &[u8], values: u64, most: u64) -> bool {
    let (mut walk, mut found) = (Walk { left: column }, 0);
    // The decoder looks for a dictionary also where there are no values.
    while found < values || walk.left.len() == column.len() && !column.is_empty() {
        let Some(page) = walk.page() else { return false };
        let limit = if page.holds_data { values } else { most };
        if page.values > limit || page.bytes > most || walk.skip(page.packed).is_none() {
            return false;
        }
        found += if page.holds_data { page.values } else { 0 };
    }
    true
}

/// What the header of a page announces.
#[derive(Default)]
struct Page {
    /// Bytes that follow the header.
    packed: u64,
    /// Bytes that they decompress to.
    bytes: u64,
    values: u64,
    /// Not a dictionary.
    holds_data: bool,
}

/// What has not been walked over yet. All methods return `None` where the bytes are none of what they walk over.
struct Walk<'a> {
    left: &'a [u8],
}

impl Walk<'_> {
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

    /// The type of the next field, whose number replaces that of the field before.
    fn field(&mut self, number: &mut u64) -> Option<u8> {
        let head = self.byte()?;
        // The upper half is the distance to the field before; 0 means that the field's number follows.
        match (head >> 4, head & 0xf) {
            (0, END) => return Some(END),
            (_, END) => return None,
            (0, _) => *number = self.count()?,
            (distance, _) => *number = number.checked_add(distance.into())?,
        }
        Some(head & 0xf)
    }

    /// The fields of a struct, to its end.
    fn fields(&mut self, depth: u32) -> Option<()> {
        let mut number = 0;
        loop {
            match self.field(&mut number)? {
                END => return Some(()),
                kind => self.of_field(kind, depth)?,
            }
        }
    }

    /// The value of a field. Truth values are in its type.
    fn of_field(&mut self, kind: u8, depth: u32) -> Option<()> {
        if matches!(kind, TRUE | FALSE) { Some(()) } else { self.value(kind, depth) }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Option<()> {
        match kind {
            TRUE | FALSE | 3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 if depth < MAX_DEPTH => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                // Each takes a byte at least.
                if count > self.left.len() as u64 {
                    return None;
                }
                (0..count).try_for_each(|_| self.value(head & 0xf, depth + 1))
            }
            STRUCT if depth < MAX_DEPTH => self.fields(depth + 1),
            // Maps are not in the format.
            _ => None,
        }
    }

    /// The header of a page.
    fn page(&mut self) -> Option<Page> {
        let (mut page, mut number) = (Page::default(), 0);
        loop {
            let kind = self.field(&mut number)?;
            match (number, kind) {
                (_, END) => return Some(page),
                (2, I32) => page.bytes = self.count()?,
                (3, I32) => page.packed = self.count()?,
                // Of a data page, a dictionary, a data page of the second version.
                (5 | 7 | 8, STRUCT) => {
                    page.holds_data = number != 7;
                    page.values = self.first_count()?;
                }
                _ => self.of_field(kind, 0)?,
            }
        }
    }

    /// The first field of a struct, which says how many values there are, and then the others to its end.
    fn first_count(&mut self) -> Option<u64> {
        let mut number = 0;
        let kind = self.field(&mut number)?;
        let count = if (number, kind) == (1, I32) { self.count()? } else { return None };
        self.fields(1)?;
        Some(count)
    }
}
