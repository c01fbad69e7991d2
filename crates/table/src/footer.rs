//! Whether the footer of a Parquet file can hold the lists that it announces.
//!
//! The decoder makes room for as many elements as a list says it has, before it reads the first; where there is no memory
//! for them the process ends. The footer is a struct in Thrift's compact protocol
//! (apache/thrift, `doc/specs/thrift-compact-protocol.md`), at the end of the file, before its length and the magic bytes.

/// Deeper nesting than any schema's.
const MAX_DEPTH: u32 = 32;

/// False if a list or a text of the footer is longer than what is left of it, or if it is no footer at all. What has no
/// place for one is left to the decoder, which says so better.
pub(crate) fn is_sound(file: &[u8]) -> bool {
    let Some((rest, b"PAR1")) = file.split_last_chunk::<4>() else { return true };
    let Some((rest, length)) = rest.split_last_chunk::<4>() else { return true };
    let length = u32::from_le_bytes(*length) as usize;
    let Some(start) = rest.len().checked_sub(length) else { return true };
    Walk { left: &rest[start..] }.fields(0).is_some()
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

    /// The fields of a struct, with the byte that ends it.
    fn fields(&mut self, depth: u32) -> Option<()> {
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            // The upper half is the distance to the field before; 0 means that the field's number follows.
            if head >> 4 == 0 {
                self.number()?;
            }
            // Truth values are in the type of their field.
            if !matches!(head & 0xf, 1 | 2) {
                self.value(head & 0xf, depth)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Option<()> {
        match kind {
            1..=3 => self.skip(1),
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
            12 if depth < MAX_DEPTH => self.fields(depth + 1),
            // Maps are not in the format.
            _ => None,
        }
    }
}
