//! Vectors of pgvector: `vector` and `halfvec` as arrays of numbers, `sparsevec` as its text.

use super::number;
use super::reader::{Malformed, Reader};

/// Writes a `vector`: its length, a word that is zero, and numbers of four bytes.
pub(crate) fn vector(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    array(raw, out, |raw| raw.u32().map(f32::from_bits))
}

/// Writes a `halfvec`: as a `vector`, with numbers of two bytes.
pub(crate) fn half(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    array(raw, out, |raw| raw.u16().map(from_half))
}

fn array(
    raw: &[u8],
    out: &mut Vec<u8>,
    number: impl Fn(&mut Reader<'_>) -> Result<f32, Malformed>,
) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let count = raw.u16()?;
    raw.u16()?;
    out.push(b'[');
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        finite(number(&mut raw)?, out)?;
    }
    out.push(b']');
    raw.end()
}

/// Writes a `sparsevec`, such as `{1:1.5,3:2}/5`. Its indices are stored from zero, and written
/// from one.
pub(crate) fn sparse(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let (length, count) = (raw.i32()?, raw.count()?);
    raw.i32()?;
    let mut indices = Reader(raw.bytes(count.checked_mul(4).ok_or(Malformed)?)?);
    out.push(b'{');
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        number::integer(i64::from(indices.i32()?) + 1, out);
        out.push(b':');
        finite(raw.u32().map(f32::from_bits)?, out)?;
    }
    out.extend_from_slice(b"}/");
    number::integer(length, out);
    raw.end()
}

fn finite(number: f32, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if !number.is_finite() {
        return Err(Malformed);
    }
    number::float4(number, out);
    Ok(())
}

/// The value of an IEEE 754 number of two bytes.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1F), u32::from(bits & 0x3FF));
    match (exponent, fraction) {
        // A subnormal is a multiple of the smallest one, 2^-24.
        (0, _) => f32::from_bits(sign) + (fraction as f32) * 2f32.powi(-24) * if sign == 0 { 1.0 } else { -1.0 },
        (0x1F, _) => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Write = fn(&[u8], &mut Vec<u8>) -> Result<(), Malformed>;

    #[track_caller]
    fn check(write: Write, raw: &[u8], expect: Option<&str>) {
        let mut out = Vec::new();
        let text = write(raw, &mut out).ok().map(|()| String::from_utf8(out).unwrap());
        assert_eq!(text.as_deref(), expect, "{raw:?}");
    }

    #[test]
    fn vectors() {
        check(vector, &[0, 2, 0, 0, 0x3F, 0xC0, 0, 0, 0xC0, 0, 0, 0], Some("[1.5,-2]"));
        check(vector, &[0, 0, 0, 0], Some("[]"));
        check(vector, &[0, 1, 0, 0, 0x7F, 0xC0, 0, 0], None);
        check(vector, &[0, 1, 0, 0, 0x3F], None);
        check(vector, &[0, 0, 0, 0, 0], None);
        check(half, &[0, 3, 0, 0, 0x3E, 0, 0xC0, 0, 0x2E, 0x66], Some("[1.5,-2,0.099975586]"));
        check(half, &[0, 2, 0, 0, 0, 1, 0x80, 2], Some("[5.9604645e-08,-1.1920929e-07]"));
        check(half, &[0, 1, 0, 0, 0x7C, 0], None);
        let sparse_value =
            [0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x3F, 0xC0, 0, 0, 0x40, 0, 0, 0];
        check(sparse, &sparse_value, Some("{1:1.5,3:2}/5"));
        check(sparse, &sparse_value[..20], None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            for write in [vector as Write, half, sparse] {
                let _ = write(&raw, &mut Vec::new());
            }
        }
    }
}
