//! [`Encoder`]: the form of the values of one type, chosen once.

use tokio_postgres::types::{Kind, Type};

use super::reader::Malformed;
use super::scalar::Scalar;
use super::{container, geometry, quote, vector};

#[derive(Clone, Debug)]
pub(crate) enum Encoder {
    Scalar(Scalar),
    Array(Box<Encoder>),
    Composite(Box<[Field]>),
    Range(Scalar),
    Multirange(Scalar),
    Hstore,
    Geometry,
    Vector,
    HalfVector,
    SparseVector,
}

/// A field of a composite: its name as `"name":`, and its encoder.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) key: Box<[u8]>,
    pub(crate) oid: u32,
    pub(crate) encoder: Encoder,
}

/// A name as `"name":`.
pub(crate) fn key(name: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(name.len() + 3);
    // It cannot fail, because a `str` is UTF-8.
    let _ = quote::string(name.as_bytes(), &mut key);
    key.push(b':');
    key.into()
}

// === impl Encoder ===

impl Encoder {
    /// The encoder of `ty`, or `None` if there is none.
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
                    .map(|field| {
                        let (key, oid) = (key(field.name()), field.type_().oid());
                        Some(Field { key, oid, encoder: Encoder::of(field.type_())? })
                    })
                    .collect::<Option<_>>()?;
                Some(Encoder::Composite(fields))
            }
            Kind::Simple => Encoder::of_extension(ty.name()),
            _ => None,
        }
    }

    /// The encoder of a type of an extension, whose OID differs from one database to the next.
    fn of_extension(name: &str) -> Option<Encoder> {
        Some(match name {
            "hstore" => Encoder::Hstore,
            "geometry" | "geography" => Encoder::Geometry,
            "vector" => Encoder::Vector,
            "halfvec" => Encoder::HalfVector,
            "sparsevec" => Encoder::SparseVector,
            _ => return None,
        })
    }

    /// Writes a value as JSON.
    #[inline]
    pub(crate) fn json(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Encoder::Scalar(scalar) => scalar.json(raw, out),
            Encoder::Array(element) => container::array(raw, element, out),
            Encoder::Composite(fields) => container::composite(raw, fields, out),
            Encoder::Range(bound) => quote::quoted(out, |out| container::range(raw, *bound, out)),
            Encoder::Multirange(bound) => quote::quoted(out, |out| container::multirange(raw, *bound, out)),
            Encoder::Hstore => container::hstore(raw, out),
            Encoder::Geometry => geometry::geometry(raw, out),
            Encoder::Vector => vector::vector(raw, out),
            Encoder::HalfVector => vector::half(raw, out),
            Encoder::SparseVector => quote::quoted(out, |out| vector::sparse(raw, out)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes with many zeros and small numbers, like lengths and counts.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0u8), 0u8..6, Just(0xff), any::<u8>()], 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn whatever_comes_is_json_or_an_error(raw in bytes()) {
            for ty in (1..7000).filter_map(Type::from_oid) {
                let Some(encoder) = Encoder::of(&ty) else { continue };
                let mut out = Vec::new();
                // PostgreSQL guarantees the content of a json value.
                if encoder.json(&raw, &mut out).is_ok() && !ty.name().contains("json") {
                    let text = std::str::from_utf8(&out);
                    let json = text.map(serde_json::from_str::<serde::de::IgnoredAny>);
                    prop_assert!(matches!(json, Ok(Ok(_))), "{}: {:?}", ty, String::from_utf8_lossy(&out));
                }
            }
        }
    }
}
