//! JSON as Mesos reads and writes it.
//!
//! It is lenient in what it reads: `null` is not there, numbers and truth may be texts, and what it does not know it passes over. What it
//! writes is one line of plain ASCII, for clients count characters where they should count bytes, and cut at line ends.

use std::io;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Reads one message.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    if !value.is_object() {
        return Err(serde_json::Error::custom("a call is a JSON object"));
    }
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

/// Writes one message.
pub(crate) fn write(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
    message.serialize(&mut writer).expect("a message is plain data");
    bytes
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return out.write_all(fragment.as_bytes());
        }
        for letter in fragment.chars() {
            if letter.is_ascii() {
                out.write_all(&[letter as u8])?;
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, out: &mut W, escape: CharEscape) -> io::Result<()> {
        CompactFormatter.write_char_escape(out, escape)
    }
}

/// A plain value, be it as a text.
pub(crate) fn lenient<'de, T: Plain, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    T::of(&value).ok_or_else(|| D::Error::custom(format_args!("{value} is no {}", T::WHAT)))
}

/// What [`lenient`] reads.
pub(crate) trait Plain: Sized {
    const WHAT: &str;

    fn of(value: &Value) -> Option<Self>;
}

impl Plain for String {
    const WHAT: &str = "text";

    fn of(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Plain for bool {
    const WHAT: &str = "truth";

    fn of(value: &Value) -> Option<Self> {
        value.as_bool().or_else(|| value.as_str()?.parse().ok())
    }
}

impl Plain for f64 {
    const WHAT: &str = "number";

    fn of(value: &Value) -> Option<Self> {
        // `Infinity` among the texts.
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

macro_rules! whole {
    ($($number:ty)*) => {
        $(impl Plain for $number {
            const WHAT: &str = "whole number";

            fn of(value: &Value) -> Option<Self> {
                let number = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                let as_double = || value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i128);
                let number = number.or_else(as_double).or_else(|| value.as_str()?.parse().ok())?;
                Self::try_from(number).ok()
            }
        })*
    };
}

whole! { i32 i64 u32 u64 }

impl<T: Plain> Plain for Option<T> {
    const WHAT: &str = T::WHAT;

    fn of(value: &Value) -> Option<Self> {
        T::of(value).map(Some)
    }
}

/// A field that holds the number of a word.
pub(crate) trait Word: Sized {
    fn number(&self) -> Option<i32>;

    /// `None` when a word must be there and is none that is known.
    fn of(number: Option<i32>) -> Option<Self>;
}

impl Word for i32 {
    fn number(&self) -> Option<i32> {
        Some(*self)
    }

    fn of(number: Option<i32>) -> Option<Self> {
        number
    }
}

impl Word for Option<i32> {
    fn number(&self) -> Option<i32> {
        *self
    }

    fn of(number: Option<i32>) -> Option<Self> {
        Some(number)
    }
}

pub(crate) fn write_word<S: Serializer>(
    field: &impl Word,
    out: S,
    word: impl Fn(i32) -> Option<&'static str>,
) -> Result<S::Ok, S::Error> {
    field.number().and_then(word).serialize(out)
}

pub(crate) fn read_word<'de, T: Word, D: Deserializer<'de>>(
    from: D,
    what: &str,
    number: impl Fn(&str) -> Option<i32>,
) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    let known = value.as_str().and_then(number);
    T::of(known).ok_or_else(|| D::Error::custom(format_args!("{value} is no {what}")))
}

/// Bytes, as base64.
pub(crate) mod base64 {
    use base64::Engine;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );

    /// Bytes that are there, or may be.
    pub(crate) trait Bytes: Sized {
        fn bytes(&self) -> Option<&[u8]>;
        fn of(bytes: Vec<u8>) -> Self;
    }

    impl Bytes for Vec<u8> {
        fn bytes(&self) -> Option<&[u8]> {
            Some(self)
        }

        fn of(bytes: Vec<u8>) -> Self {
            bytes
        }
    }

    impl Bytes for Option<Vec<u8>> {
        fn bytes(&self) -> Option<&[u8]> {
            self.as_deref()
        }

        fn of(bytes: Vec<u8>) -> Self {
            Some(bytes)
        }
    }

    pub(crate) fn serialize<S: Serializer>(field: &impl Bytes, out: S) -> Result<S::Ok, S::Error> {
        field.bytes().map(|bytes| BASE64.encode(bytes)).serialize(out)
    }

    pub(crate) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        // Some write a line end behind it.
        BASE64.decode(text.trim()).map(T::of).map_err(D::Error::custom)
    }
}
