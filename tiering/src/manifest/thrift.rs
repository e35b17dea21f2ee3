//! A look at a Parquet footer and at page headers before the Parquet library reads them (Thrift's compact protocol).
//!
//! The library skips what it does not know, and an unknown list of booleans takes no bytes there: a few of them that announce
//! 2³¹ elements each keep it busy for hours. So they are read here first, without a meaning: everything that they announce must
//! be there, each element takes a byte at least, and collections of booleans, which Parquet's metadata does not have, are refused.

const BOOLEAN_TRUE: u8 = 1;
const BOOLEAN_FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Deeper than Parquet's own structs are in each other.
const MAX_DEPTH: usize = 32;

/// Whether the bytes are one struct, all of it, and the work of reading it is bounded by their number.
pub(super) fn is_bounded(footer: &[u8]) -> bool {
    let mut walk = Walk { rest: footer };
    walk.value(STRUCT, MAX_DEPTH).is_some() && walk.rest.is_empty()
}

/// Whether a column's bytes are pages, all of them, and the work of reading their headers is bounded by their number.
pub(super) fn pages_are_bounded(mut column: &[u8]) -> bool {
    while !column.is_empty() {
        let mut walk = Walk { rest: column };
        let page = walk.page_bytes().and_then(|bytes| walk.rest.get(bytes..));
        let Some(next) = page else { return false };
        column = next;
    }
    true
}

/// `PageHeader.compressed_page_size`.
const COMPRESSED_PAGE_SIZE: u64 = 3;

struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    /// Steps over a value; `None` when it is none.
    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            BOOLEAN_TRUE | BOOLEAN_FALSE => Some(()),
            BYTE => self.skip(1),
            I16 | I32 | I64 => self.varint().map(|_| ()),
            DOUBLE => self.skip(8),
            UUID => self.skip(16),
            BINARY => {
                let len = self.varint()?;
                self.skip(usize::try_from(len).ok()?)
            }
            LIST | SET => {
                let head = self.byte()?;
                let size = match head >> 4 {
                    15 => self.varint()?,
                    size => u64::from(size),
                };
                self.elements(size, &[head & 15], depth)
            }
            MAP => match self.varint()? {
                0 => Some(()),
                size => {
                    let kinds = self.byte()?;
                    self.elements(size, &[kinds >> 4, kinds & 15], depth)
                }
            },
            STRUCT => loop {
                let head = self.byte()?;
                let kind = head & 15;
                if kind == 0 {
                    return Some(());
                }
                if head >> 4 == 0 {
                    self.varint()?; // the field's id
                }
                self.value(kind, depth)?;
            },
            _ => None,
        }
    }

    /// Steps over a page's header; what follows it as its page.
    fn page_bytes(&mut self) -> Option<usize> {
        let (mut id, mut bytes) = (0, None);
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == 0 {
                return bytes;
            }
            id = match head >> 4 {
                0 => unsigned(self.varint()?)?,
                more => id + u64::from(more),
            };
            if id == COMPRESSED_PAGE_SIZE && kind == I32 {
                bytes = Some(usize::try_from(unsigned(self.varint()?)?).ok()?);
            } else {
                self.value(kind, MAX_DEPTH)?;
            }
        }
    }

    /// Each takes a byte at least, so there are no more than bytes.
    fn elements(&mut self, size: u64, kinds: &[u8], depth: usize) -> Option<()> {
        let size = usize::try_from(size).ok().filter(|size| *size <= self.rest.len())?;
        if kinds.iter().any(|kind| [BOOLEAN_TRUE, BOOLEAN_FALSE].contains(kind)) {
            return None;
        }
        for _ in 0..size {
            for kind in kinds {
                self.value(*kind, depth)?;
            }
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.rest = self.rest.get(len..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// Undoes the zigzag of a number that must not be below zero.
fn unsigned(number: u64) -> Option<u64> {
    (number & 1 == 0).then_some(number >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_must_be_there() {
        assert!(is_bounded(&[0]), "an empty struct");
        assert!(
            is_bounded(&[0x15, 0x02, 0x19, 0x25, 0x02, 0x04, 0x11, 0x00]),
            "a number, a list of two, a boolean"
        );
        for wrong in [
            &[][..],
            &[0, 0],
            &[0x15],
            &[0x19, 0x21, 0],                               // a list of booleans
            &[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 0], // of 2³¹-1
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0], // as many structs
            &[0x1b, 0xff, 0xff, 0x03, 0x11, 0],             // a map of booleans
            &[0x18, 0x7f, 0],                               // a text longer than the rest
            &[0x1d; 4],
        ] {
            assert!(!is_bounded(wrong), "{wrong:02x?}");
        }
        assert!(!is_bounded(&[0x1c; 100]), "deeper than anything is");
        let mut lists = vec![0x19, 0xf9, 0x20];
        lists.extend([0x19; 32]);
        assert!(!is_bounded(&lists), "lists in lists");
    }

    #[test]
    fn a_column_is_pages_and_nothing_else() {
        // A type, two sizes, and a struct with a number; then three bytes.
        let page = [0x15, 0x00, 0x15, 0x08, 0x15, 0x06, 0x2c, 0x15, 0x02, 0x00, 0x00, 1, 2, 3];
        assert!(pages_are_bounded(&[]));
        assert!(pages_are_bounded(&page));
        assert!(pages_are_bounded(&[page, page].concat()));
        for cut in 1..page.len() {
            assert!(!pages_are_bounded(&page[..cut]), "{cut} bytes of it");
        }
        let with_field = |field: &[u8]| [&page[..10], field, &page[10..]].concat();
        assert!(pages_are_bounded(&with_field(&[0x15, 0x02])), "one that is not known");
        assert!(
            !pages_are_bounded(&with_field(&[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07])),
            "2³¹-1 booleans"
        );
        assert!(!pages_are_bounded(&[0x15, 0x00, 0x00]), "no size");
        assert!(!pages_are_bounded(&[0x35, 0x05, 0x00]), "a size below zero");
    }
}
