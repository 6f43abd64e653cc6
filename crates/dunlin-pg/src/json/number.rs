//! Numbers as PostgreSQL prints them.

use super::reader::{Malformed, Reader};

pub(crate) fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes a `double precision`, finite or not.
pub(crate) fn float8(value: f64, out: &mut Vec<u8>) {
    match not_finite(value) {
        Some(name) => out.extend_from_slice(name),
        None => shortest(ryu::Buffer::new().format_finite(value), 15, out),
    }
}

/// Writes a `real`, finite or not.
pub(crate) fn float4(value: f32, out: &mut Vec<u8>) {
    match not_finite(f64::from(value)) {
        Some(name) => out.extend_from_slice(name),
        None => shortest(ryu::Buffer::new().format_finite(value), 6, out),
    }
}

fn not_finite(value: f64) -> Option<&'static [u8]> {
    if value.is_finite() {
        None
    } else if value.is_nan() {
        Some(b"NaN")
    } else if value > 0.0 {
        Some(b"Infinity")
    } else {
        Some(b"-Infinity")
    }
}

/// Writes the shortest digits that read back as the same number, in PostgreSQL's layout. Numbers
/// below 1e-4, and from 10 to the `precision` on, have an exponent. A fraction of zero is left out.
fn shortest(ryu: &str, precision: i32, out: &mut Vec<u8>) {
    let (sign, ryu) = ryu.strip_prefix('-').map_or(("", ryu), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    if let Some(whole) = ryu.strip_suffix(".0")
        && whole.len() as i32 <= precision
    {
        return out.extend_from_slice(whole.as_bytes());
    }
    // In the common case both layouts are the same.
    if let Some(point) = ryu.find('.')
        && point as i32 <= precision
        && !ryu.ends_with(".0")
        && !ryu.starts_with("0.0000")
        && !ryu.contains('e')
    {
        return out.extend_from_slice(ryu.as_bytes());
    }
    let (mantissa, exponent) = ryu.split_once('e').unwrap_or((ryu, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or(0);

    // All digits from the first one that is not zero, and the power of ten of that digit.
    let mut digits = [0u8; 32];
    let mut len = 0;
    for &digit in whole.as_bytes().iter().chain(fraction.as_bytes()) {
        if (len > 0 || digit != b'0') && len < digits.len() {
            digits[len] = digit;
            len += 1;
        }
    }
    let leading = whole.len() + fraction.len() - len;
    let power = exponent + whole.len() as i32 - 1 - leading as i32;
    while len > 1 && digits[len - 1] == b'0' {
        len -= 1;
    }
    lay_out(&digits[..len], power, precision, out);
}

fn lay_out(digits: &[u8], power: i32, precision: i32, out: &mut Vec<u8>) {
    let len = digits.len() as i32;
    if power < -4 || power >= precision {
        out.push(digits[0]);
        if len > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if power < 0 { b"e-" } else { b"e+" });
        if power.abs() < 10 {
            out.push(b'0');
        }
        integer(power.abs(), out);
    } else if power < 0 {
        out.extend_from_slice(&b"0.0000"[..(1 - power) as usize]);
        out.extend_from_slice(digits);
    } else if power + 1 >= len {
        out.extend_from_slice(digits);
        out.resize(out.len() + (power + 1 - len) as usize, b'0');
    } else {
        let (whole, fraction) = digits.split_at((power + 1) as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// The sign word of a `numeric`.
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// Returns `true` if a `numeric` is neither `NaN` nor an infinity.
pub(crate) fn numeric_is_finite(raw: &[u8]) -> bool {
    raw.get(4).is_some_and(|sign| sign & 0xC0 != 0xC0)
}

/// Writes a `numeric`, whose digits have base 10,000, without loss.
pub(crate) fn numeric(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let count = i32::from(raw.u16()?);
    let weight = i32::from(raw.i16()?);
    let sign = raw.u16()?;
    let scale = usize::from(raw.u16()?);
    match sign {
        NAN => return ok(out, b"NaN"),
        INFINITY => return ok(out, b"Infinity"),
        NEGATIVE_INFINITY => return ok(out, b"-Infinity"),
        NEGATIVE => out.push(b'-'),
        0 => {}
        _ => return Err(Malformed),
    }
    let digits = raw.bytes(count as usize * 2)?;
    raw.end()?;
    let digit = |at: i32| -> u16 {
        let at = at as usize * 2;
        digits.get(at..at + 2).map_or(0, |d| u16::from_be_bytes([d[0], d[1]]))
    };

    if weight > 0 && digit(0) == 0 {
        // The server has no leading zeros, and JSON allows none.
        return Err(Malformed);
    }
    if weight < 0 {
        out.push(b'0');
    } else {
        integer(digit(0), out);
        for at in 1..=weight {
            four(digit(at), out);
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut at = weight + 1;
        while out.len() < end {
            four(if at < 0 { 0 } else { digit(at) }, out);
            at += 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn ok(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Malformed> {
    out.extend_from_slice(text);
    Ok(())
}

fn four(n: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[n / 1000 % 10, n / 100 % 10, n / 10 % 10, n % 10].map(|d| b'0' + d as u8));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_read_as_postgresql_prints_them() {
        let check = |value: f64, expect: &str| {
            let mut out = Vec::new();
            float8(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(1.5, "1.5");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(0.000012345, "1.2345e-05");
        check(100_000_000_000_000.0, "100000000000000");
        check(999_999_999_999_999.0, "999999999999999");
        check(1e15, "1e+15");
        check(1_234_567_890_123_456.7, "1.2345678901234568e+15");
        check(1e100, "1e+100");
        check(f64::MIN_POSITIVE, "2.2250738585072014e-308");
        check(f64::NEG_INFINITY, "-Infinity");
        check(f64::NAN, "NaN");
    }

    proptest! {
        #[test]
        fn floats_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut out = Vec::new();
            float8(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits, "{}", text);
        }

        #[test]
        fn short_floats_read_back(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut out = Vec::new();
            float4(value, &mut out);
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(text.parse::<f32>().unwrap().to_bits(), bits, "{}", text);
        }

        #[test]
        fn no_bytes_make_numeric_panic(raw in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = numeric(&raw, &mut Vec::new());
        }
    }
}
