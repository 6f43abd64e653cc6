//! How values of one type are written, chosen once.

use tokio_postgres::types::{Kind, Type};

use super::reader::Malformed;
use super::scalar::Scalar;
use super::{container, quote};

#[derive(Clone, Debug)]
pub(crate) enum Encoder {
    Scalar(Scalar),
    Array(Box<Encoder>),
    Composite(Box<[Field]>),
    /// A row whose type has no name: its fields carry their types' numbers, and are called `f1`, `f2`, …
    Record,
    Range(Scalar),
    Multirange(Scalar),
    Hstore,
}

/// A field of a composite: its name as `"name":`, and how it is written.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: Box<[u8]>,
    pub(crate) encoder: Encoder,
}

/// A name as `"name":`.
pub(crate) fn key(name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(name.len() + 3);
    // A `str` is UTF-8, which is all that can fail.
    let _ = quote::string(name.as_bytes(), &mut key);
    key.push(b':');
    key.into()
}

// === impl Encoder ===

impl Encoder {
    /// How values of `ty` are written; `None` when that is unknown.
    pub(crate) fn of(ty: &Type) -> Option<Encoder> {
        if let Some(scalar) = Scalar::of(ty) {
            return Some(Encoder::Scalar(scalar));
        }
        match ty.kind() {
            Kind::Array(element) => Some(Encoder::Array(Box::new(Encoder::of(element)?))),
            Kind::Domain(base) => Encoder::of(base),
            Kind::Range(bound) => Some(Encoder::Range(Scalar::of(bound)?)),
            Kind::Multirange(bound) => Some(Encoder::Multirange(Scalar::of(bound)?)),
            Kind::Composite(fields) => {
                let fields = fields
                    .iter()
                    .map(|field| Some(Field { key: key(field.name()), encoder: Encoder::of(field.type_())? }))
                    .collect::<Option<_>>()?;
                Some(Encoder::Composite(fields))
            }
            Kind::Pseudo if *ty == Type::RECORD => Some(Encoder::Record),
            Kind::Pseudo if *ty == Type::RECORD_ARRAY => Some(Encoder::Array(Box::new(Encoder::Record))),
            Kind::Simple if ty.name() == "hstore" => Some(Encoder::Hstore),
            _ => None,
        }
    }

    /// Writes a value as JSON.
    #[inline]
    pub(crate) fn json(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Encoder::Scalar(scalar) => scalar.json(raw, out),
            Encoder::Array(element) => container::array(raw, element, out),
            Encoder::Composite(fields) => container::composite(raw, fields, out),
            Encoder::Record => container::record(raw, out),
            Encoder::Range(bound) => quote::quoted(out, |out| container::range(raw, *bound, out)),
            Encoder::Multirange(bound) => quote::quoted(out, |out| container::multirange(raw, *bound, out)),
            Encoder::Hstore => container::hstore(raw, out),
        }
    }

    /// Writes a value, or `null`.
    #[inline]
    pub(crate) fn json_or_null(&self, raw: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match raw {
            Some(raw) => self.json(raw, out),
            None => {
                out.extend_from_slice(b"null");
                Ok(())
            }
        }
    }
}
