//! [`Scalar`]: types whose values are one text.

use tokio_postgres::types::{Kind, Type};

use super::reader::{Malformed, Reader, fixed};
use super::time::Style;
use super::{geometric, network, number, quote, search, time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Json,
    /// This and the next one have a version byte before the text.
    Jsonb,
    VersionedText,
    Text,
    Char,
    Void,
    Oid,
    Xid8,
    Lsn,
    Tid,
    Snapshot,
    Bytea,
    Uuid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    Inet,
    Cidr,
    Mac,
    Bits,
    Point,
    Segment,
    Path,
    Box,
    Polygon,
    Line,
    Circle,
    TsVector,
    TsQuery,
}

// === impl Scalar ===

impl Scalar {
    /// The scalar type of `ty`, if it is a known one.
    pub(crate) fn of(ty: &Type) -> Option<Scalar> {
        Some(match *ty {
            Type::BOOL => Scalar::Bool,
            Type::INT2 => Scalar::Int2,
            Type::INT4 => Scalar::Int4,
            Type::INT8 => Scalar::Int8,
            Type::FLOAT4 => Scalar::Float4,
            Type::FLOAT8 => Scalar::Float8,
            Type::NUMERIC => Scalar::Numeric,
            Type::JSON => Scalar::Json,
            Type::JSONB => Scalar::Jsonb,
            Type::JSONPATH => Scalar::VersionedText,
            Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::XML
            | Type::UNKNOWN
            | Type::CSTRING
            | Type::PG_NODE_TREE
            | Type::REFCURSOR => Scalar::Text,
            Type::CHAR => Scalar::Char,
            Type::VOID => Scalar::Void,
            Type::OID | Type::XID | Type::CID => Scalar::Oid,
            Type::XID8 => Scalar::Xid8,
            Type::PG_LSN => Scalar::Lsn,
            Type::TID => Scalar::Tid,
            Type::TXID_SNAPSHOT | Type::PG_SNAPSHOT => Scalar::Snapshot,
            Type::BYTEA => Scalar::Bytea,
            Type::UUID => Scalar::Uuid,
            Type::DATE => Scalar::Date,
            Type::TIME => Scalar::Time,
            Type::TIMETZ => Scalar::TimeTz,
            Type::TIMESTAMP => Scalar::Timestamp,
            Type::TIMESTAMPTZ => Scalar::TimestampTz,
            Type::INTERVAL => Scalar::Interval,
            Type::INET => Scalar::Inet,
            Type::CIDR => Scalar::Cidr,
            Type::MACADDR | Type::MACADDR8 => Scalar::Mac,
            Type::BIT | Type::VARBIT => Scalar::Bits,
            Type::POINT => Scalar::Point,
            Type::LSEG => Scalar::Segment,
            Type::PATH => Scalar::Path,
            Type::BOX => Scalar::Box,
            Type::POLYGON => Scalar::Polygon,
            Type::LINE => Scalar::Line,
            Type::CIRCLE => Scalar::Circle,
            Type::TS_VECTOR => Scalar::TsVector,
            Type::TSQUERY => Scalar::TsQuery,
            _ => return Scalar::of_other(ty),
        })
    }

    fn of_other(ty: &Type) -> Option<Scalar> {
        match (ty.kind(), ty.name()) {
            (Kind::Enum(_), _) => Some(Scalar::Text),
            (Kind::Domain(base), _) => Scalar::of(base),
            (Kind::Simple, "citext") => Some(Scalar::Text),
            (Kind::Simple, "ltree" | "lquery" | "ltxtquery") => Some(Scalar::VersionedText),
            _ => None,
        }
    }

    /// Writes a value as JSON.
    #[inline]
    pub(crate) fn json(self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Scalar::Text => quote::string(raw, out),
            _ if self.is_bare(raw) => self.text(raw, Style::Iso, out),
            // Digits and signs need no escapes.
            Scalar::Uuid | Scalar::Date | Scalar::Time | Scalar::Timestamp | Scalar::TimestampTz => {
                out.push(b'"');
                self.text(raw, Style::Iso, out)?;
                out.push(b'"');
                Ok(())
            }
            _ => quote::quoted(out, |out| self.text(raw, Style::Iso, out)),
        }
    }

    /// Returns `true` if the value is JSON without quotes.
    #[inline]
    pub(crate) fn is_bare(self, raw: &[u8]) -> bool {
        match self {
            Scalar::Bool | Scalar::Int2 | Scalar::Int4 | Scalar::Int8 | Scalar::Json | Scalar::Jsonb => true,
            Scalar::Float4 => fixed(raw).is_ok_and(|raw| f32::from_be_bytes(raw).is_finite()),
            Scalar::Float8 => fixed(raw).is_ok_and(|raw| f64::from_be_bytes(raw).is_finite()),
            Scalar::Numeric => number::numeric_is_finite(raw),
            _ => false,
        }
    }

    /// Writes a value as text.
    pub(crate) fn text(self, raw: &[u8], style: Style, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Scalar::Bool => out.extend_from_slice(if fixed::<1>(raw)? == [0] { b"false" } else { b"true" }),
            Scalar::Int2 => number::integer(i16::from_be_bytes(fixed(raw)?), out),
            Scalar::Int4 => number::integer(i32::from_be_bytes(fixed(raw)?), out),
            Scalar::Int8 => number::integer(i64::from_be_bytes(fixed(raw)?), out),
            Scalar::Float4 => number::float4(f32::from_be_bytes(fixed(raw)?), out),
            Scalar::Float8 => number::float8(f64::from_be_bytes(fixed(raw)?), out),
            Scalar::Numeric => number::numeric(raw, out)?,
            Scalar::Text | Scalar::Json => utf8(raw, out)?,
            Scalar::Jsonb | Scalar::VersionedText => utf8(raw.strip_prefix(&[1]).ok_or(Malformed)?, out)?,
            Scalar::Char => char(fixed::<1>(raw)?[0], out),
            Scalar::Void => {}
            Scalar::Oid => number::integer(u32::from_be_bytes(fixed(raw)?), out),
            Scalar::Xid8 => number::integer(u64::from_be_bytes(fixed(raw)?), out),
            Scalar::Lsn => lsn(u64::from_be_bytes(fixed(raw)?), out),
            Scalar::Tid => tid(raw, out)?,
            Scalar::Snapshot => snapshot(raw, out)?,
            Scalar::Bytea => network::hex(raw, out),
            Scalar::Uuid => network::uuid(&fixed(raw)?, out),
            Scalar::Date => time::date(i32::from_be_bytes(fixed(raw)?), out),
            Scalar::Time => time::time(i64::from_be_bytes(fixed(raw)?), out),
            Scalar::TimeTz => {
                let mut raw = Reader(raw);
                time::time_with_zone(raw.i64()?, raw.i32()?, out);
                raw.end()?;
            }
            Scalar::Timestamp => time::timestamp(i64::from_be_bytes(fixed(raw)?), false, style, out),
            Scalar::TimestampTz => time::timestamp(i64::from_be_bytes(fixed(raw)?), true, style, out),
            Scalar::Interval => time::interval(raw, out)?,
            Scalar::Inet => network::address(raw, false, out)?,
            Scalar::Cidr => network::address(raw, true, out)?,
            Scalar::Mac => network::mac(raw, out),
            Scalar::Bits => network::bits(raw, out)?,
            Scalar::Point => geometric::point(raw, out)?,
            Scalar::Segment => geometric::segment(raw, out)?,
            Scalar::Path => geometric::path(raw, out)?,
            Scalar::Box => geometric::rectangle(raw, out)?,
            Scalar::Polygon => geometric::polygon(raw, out)?,
            Scalar::Line => geometric::line(raw, out)?,
            Scalar::Circle => geometric::circle(raw, out)?,
            Scalar::TsVector => search::vector(raw, out)?,
            Scalar::TsQuery => search::query(raw, out)?,
        }
        Ok(())
    }
}

fn utf8(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    std::str::from_utf8(raw).map_err(|_| Malformed)?;
    out.extend_from_slice(raw);
    Ok(())
}

/// Writes a `"char"`: nothing for zero, and an octal escape beyond ASCII.
fn char(byte: u8, out: &mut Vec<u8>) {
    match byte {
        0 => {}
        1..=127 => out.push(byte),
        _ => out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
    }
}

fn lsn(at: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{:X}/{:X}", at >> 32, at & 0xffff_ffff).as_bytes());
}

fn tid(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    out.push(b'(');
    number::integer(raw.u32()?, out);
    out.push(b',');
    number::integer(raw.u16()?, out);
    out.push(b')');
    raw.end()
}

fn snapshot(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let running = raw.count()?;
    number::integer(raw.u64()?, out);
    out.push(b':');
    number::integer(raw.u64()?, out);
    out.push(b':');
    for i in 0..running {
        if i > 0 {
            out.push(b',');
        }
        number::integer(raw.u64()?, out);
    }
    raw.end()
}
