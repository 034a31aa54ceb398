//! As much of DER as certificates and requests need: elements with a tag and a length, one after another.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;

/// Reads elements from the front.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    /// With tag and length.
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element; `None` when there is none, or it is cut short.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        let (&[tag, first], _) = self.rest.split_first_chunk::<2>()?;
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            // As many bytes of length; more than three are longer than anything that is read here.
            0x81..=0x83 => {
                let bytes = usize::from(first & 0x7f);
                let length = self.rest.get(2..2 + bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (2 + bytes, length)
            }
            _ => return None,
        };
        let whole = self.rest.get(..header + length)?;
        self.rest = &self.rest[header + length..];
        Some(Element { tag, whole, content: &whole[header..] })
    }

    /// The next element, which must have this tag.
    pub(crate) fn one(&mut self, tag: u8) -> Option<Element<'a>> {
        self.any().filter(|element| element.tag == tag)
    }

    /// What is in the next element, which must have this tag.
    pub(crate) fn inside(&mut self, tag: u8) -> Option<Self> {
        self.one(tag).map(|element| Self::new(element.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_one_after_another_and_into_each_other() {
        let mut reader = Reader::new(&[SEQUENCE, 3, INTEGER, 1, 7, BIT_STRING, 0x81, 1, 9]);

        let mut inside = reader.inside(SEQUENCE).unwrap();

        assert_eq!(inside.one(INTEGER).unwrap().content, [7]);
        assert!(inside.is_empty() && inside.any().is_none());
        assert_eq!(reader.one(BIT_STRING).unwrap().whole, [BIT_STRING, 0x81, 1, 9]);
    }

    #[test]
    fn what_is_cut_short_or_endless_is_nothing() {
        for bytes in [
            &[][..],
            &[SEQUENCE],
            &[SEQUENCE, 1],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x82, 1],
            &[SEQUENCE, 0x84, 0, 0, 0, 0],
        ] {
            assert!(Reader::new(bytes).any().is_none(), "{bytes:?}");
        }
    }
}
