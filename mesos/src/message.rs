//! Messages that read and write themselves both as protobuf and as Mesos's JSON.
//!
//! The fields are listed as in a `.proto` file. An enumeration stands in quotes, for the attributes behind it want a text.

/// Declares one message.
macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($fields:tt)* }) => {
        message!(@ ($(#[$meta])* $name) () $($fields)*);
    };
    (@ ($(#[$meta:meta])* $name:ident) ($($done:tt)*)) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, ::prost::Message, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default)]
        pub struct $name { $($done)* }
    };
    (@ $head:tt ($($done:tt)*) $field:ident: bytes = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(bytes = "vec", required, tag = $tag)]
            #[serde(with = "crate::json::base64")]
            pub $field: Vec<u8>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: optional bytes = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(bytes = "vec", optional, tag = $tag)]
            #[serde(with = "crate::json::base64", skip_serializing_if = "Option::is_none")]
            pub $field: Option<Vec<u8>>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: enum $kind:tt = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(enumeration = $kind, required, tag = $tag)]
            #[serde(with = $kind)]
            pub $field: i32,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: optional enum $kind:tt = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(enumeration = $kind, optional, tag = $tag)]
            #[serde(with = $kind, skip_serializing_if = "Option::is_none")]
            pub $field: Option<i32>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: map $value:ident = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(btree_map = "string, message", tag = $tag)]
            #[serde(skip_serializing_if = "::std::collections::BTreeMap::is_empty")]
            pub $field: ::std::collections::BTreeMap<String, $value>,
        ) $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: string = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field string String = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: double = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field double f64 = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: bool = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field bool bool = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: uint64 = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field uint64 u64 = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: uint32 = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field uint32 u32 = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: int32 = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field int32 i32 = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: int64 = $tag:tt; $($rest:tt)*) => {
        message!(@required $head $done $field int64 i64 = $tag; $($rest)*);
    };
    (@required $head:tt ($($done:tt)*) $field:ident $proto:ident $rust:ty = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost($proto, required, tag = $tag)]
            #[serde(deserialize_with = "crate::json::lenient")]
            pub $field: $rust,
        ) $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: optional string = $tag:tt; $($rest:tt)*) => {
        message!(@optional $head $done $field string String = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: optional double = $tag:tt; $($rest:tt)*) => {
        message!(@optional $head $done $field double f64 = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: optional bool = $tag:tt; $($rest:tt)*) => {
        message!(@optional $head $done $field bool bool = $tag; $($rest)*);
    };
    (@ $head:tt $done:tt $field:ident: optional int32 = $tag:tt; $($rest:tt)*) => {
        message!(@optional $head $done $field int32 i32 = $tag; $($rest)*);
    };
    (@optional $head:tt ($($done:tt)*) $field:ident $proto:ident $rust:ty = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost($proto, optional, tag = $tag)]
            #[serde(deserialize_with = "crate::json::lenient", skip_serializing_if = "Option::is_none")]
            pub $field: Option<$rust>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: repeated string = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(string, repeated, tag = $tag)]
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub $field: Vec<String>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: repeated $kind:ident = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(message, repeated, tag = $tag)]
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub $field: Vec<$kind>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: optional $kind:ident = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(message, optional, tag = $tag)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<$kind>,
        ) $($rest)*);
    };
    (@ $head:tt ($($done:tt)*) $field:ident: $kind:ident = $tag:tt; $($rest:tt)*) => {
        message!(@ $head ($($done)*
            #[prost(message, required, tag = $tag)]
            pub $field: $kind,
        ) $($rest)*);
    };
}

/// Declares an enumeration: each of its words as JSON has it, with its number.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $word:literal = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ::prost::Enumeration)]
        #[repr(i32)]
        pub enum $name { $($variant = $number,)* }

        impl $name {
            /// As JSON has it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(crate) fn of_word(word: &str) -> Option<i32> {
                match word { $($word => Some($number),)* _ => None }
            }

            pub(crate) fn serialize<T: crate::json::Word, S: ::serde::Serializer>(field: &T, out: S) -> Result<S::Ok, S::Error> {
                crate::json::write_word(field, out, |number| Self::try_from(number).map(Self::word).ok())
            }

            pub(crate) fn deserialize<'de, T: crate::json::Word, D: ::serde::Deserializer<'de>>(from: D) -> Result<T, D::Error> {
                crate::json::read_word(from, stringify!($name), Self::of_word)
            }
        }
    };
}
