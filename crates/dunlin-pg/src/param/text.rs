//! Texts as values of scalar types.

use std::num::IntErrorKind;
use std::str::FromStr;

use serde::de::IgnoredAny;
use tokio_postgres::types::{Format, Type};

use super::{Bound, Refused, moment};

/// Sends the text to PostgreSQL, which reads it.
fn unread(text: &str) -> Result<Bound, Refused> {
    if text.contains('\0') { Err(Refused::Invalid) } else { Ok(Bound::text(text)) }
}

/// Returns `true` if values of this type are sent in binary.
pub(super) fn is_binary(ty: &Type) -> bool {
    is_free(ty)
        || matches!(
            *ty,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::OID
                | Type::FLOAT4
                | Type::FLOAT8
                | Type::BYTEA
                | Type::UUID
                | Type::DATE
                | Type::TIME
                | Type::TIMETZ
                | Type::TIMESTAMP
                | Type::TIMESTAMPTZ
        )
}

/// Returns `true` if values of this type are read here, and not by PostgreSQL alone.
pub(super) fn is_read_here(ty: &Type) -> bool {
    is_binary(ty) || *ty == Type::NUMERIC
}

/// Returns `true` if every text is a value of this type.
pub(super) fn is_free(ty: &Type) -> bool {
    matches!(*ty, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::BYTEA)
}

/// Reads a text as a value of `ty`, which is not a domain.
pub(super) fn bind(ty: &Type, text: &str) -> Result<Bound, Refused> {
    let trimmed = text.trim_matches(is_space);
    match *ty {
        Type::BOOL => Ok(Bound::binary(&[u8::from(boolean(trimmed)?)])),
        Type::INT2 => Ok(Bound::binary(&integer::<i16>(trimmed)?.to_be_bytes())),
        Type::INT4 => Ok(Bound::binary(&integer::<i32>(trimmed)?.to_be_bytes())),
        Type::INT8 => Ok(Bound::binary(&integer::<i64>(trimmed)?.to_be_bytes())),
        Type::OID => Ok(Bound::binary(&integer::<u32>(trimmed)?.to_be_bytes())),
        Type::FLOAT4 => {
            let value: f32 = float(trimmed)?;
            in_range(trimmed, f64::from(value)).map(|()| Bound::binary(&value.to_be_bytes()))
        }
        Type::FLOAT8 => {
            let value: f64 = float(trimmed)?;
            in_range(trimmed, value).map(|()| Bound::binary(&value.to_be_bytes()))
        }
        Type::NUMERIC => numeric(trimmed).map(|()| Bound::text(trimmed)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::UNKNOWN if text.contains('\0') => Err(Refused::Invalid),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::UNKNOWN => Ok(Bound::binary(text.as_bytes())),
        Type::BYTEA => bytea(text).map(|bytes| Bound::from_vec(bytes, Format::Binary)),
        Type::UUID => Ok(Bound::binary(&uuid(text)?)),
        Type::DATE => Ok(Bound::binary(&moment::date(trimmed)?.to_be_bytes())),
        Type::TIME => Ok(Bound::binary(&moment::time(trimmed)?.0.to_be_bytes())),
        Type::TIMETZ => {
            let (micros, west) = moment::time(trimmed)?;
            let mut raw = [0; 12];
            raw[..8].copy_from_slice(&micros.to_be_bytes());
            raw[8..].copy_from_slice(&west.to_be_bytes());
            Ok(Bound::binary(&raw))
        }
        Type::TIMESTAMP => Ok(Bound::binary(&moment::timestamp(trimmed, false)?.to_be_bytes())),
        Type::TIMESTAMPTZ => Ok(Bound::binary(&moment::timestamp(trimmed, true)?.to_be_bytes())),
        Type::JSON | Type::JSONB => match serde_json::from_str::<IgnoredAny>(text) {
            Ok(IgnoredAny) => Ok(Bound::text(text)),
            Err(_) => Err(Refused::Invalid),
        },
        // PostgreSQL also reads enums, because their labels may have changed since the look-up.
        _ => unread(text),
    }
}

/// The white space of C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Reads a boolean as PostgreSQL does: unique prefixes of true, false, yes and no, on, off, 1, 0.
fn boolean(text: &str) -> Result<bool, Refused> {
    let is_prefix = |word: &str, least: usize| {
        text.len() >= least && word.get(..text.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(text))
    };
    if text == "1" || is_prefix("true", 1) || is_prefix("yes", 1) || is_prefix("on", 2) {
        Ok(true)
    } else if text == "0" || is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) {
        Ok(false)
    } else {
        Err(Refused::Invalid)
    }
}

fn integer<T: FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Refused::OutOfRange,
        // An unsigned type reports a minus sign as an invalid digit.
        _ if text.strip_prefix('-').is_some_and(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())) => {
            Refused::OutOfRange
        }
        _ => Refused::Invalid,
    })
}

fn float<T: FromStr>(text: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| Refused::Invalid)
}

/// Refuses a number that became infinite or zero, because it is out of range.
fn in_range(text: &str, value: f64) -> Result<(), Refused> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits = || mantissa.bytes().filter(u8::is_ascii_digit);
    let overflow = value.is_infinite() && digits().next().is_some();
    let underflow = value == 0.0 && digits().any(|digit| digit != b'0');
    if overflow || underflow { Err(Refused::OutOfRange) } else { Ok(()) }
}

/// Checks that PostgreSQL can read the text as a `numeric` and store it.
fn numeric(text: &str) -> Result<(), Refused> {
    // The limits of digits before and after the point.
    const WHOLE: i64 = 131_072;
    const FRACTION: i64 = 16_383;

    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text.eq_ignore_ascii_case("nan") || ["inf", "infinity"].iter().any(|w| unsigned.eq_ignore_ascii_case(w)) {
        return Ok(());
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
        return Err(Refused::Invalid);
    }
    let exponent = match exponent {
        None => 0,
        Some(exponent) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !all_digits(digits) {
                return Err(Refused::Invalid);
            }
            exponent.parse::<i32>().map_err(|_| Refused::OutOfRange)?.into()
        }
    };
    let leading = mantissa.bytes().filter(|&b| b != b'.').take_while(|&b| b == b'0').count();
    let is_zero = leading == whole.len() + fraction.len();
    let before = whole.len() as i64 - leading as i64 + exponent;
    let after = fraction.len() as i64 - exponent;
    if (!is_zero && before > WHOLE) || after > FRACTION { Err(Refused::OutOfRange) } else { Ok(()) }
}

/// Reads hexadecimal, or the older form: a backslash with three octal digits, or two backslashes.
fn bytea(text: &str) -> Result<Vec<u8>, Refused> {
    let bytes = text.as_bytes();
    if let Some(hex) = bytes.strip_prefix(b"\\x") {
        let mut out = Vec::with_capacity(hex.len() / 2);
        let mut rest = hex;
        loop {
            rest = match rest {
                [] => return Ok(out),
                [b' ' | b'\n' | b'\t' | b'\r', tail @ ..] => tail,
                [high, low, tail @ ..] => {
                    out.push(nibble(*high)? << 4 | nibble(*low)?);
                    tail
                }
                [_] => return Err(Refused::Invalid),
            };
        }
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                rest = tail;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            (b'\\', _) => return Err(Refused::Invalid),
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    Ok(out)
}

fn nibble(digit: u8) -> Result<u8, Refused> {
    char::from(digit).to_digit(16).map(|d| d as u8).ok_or(Refused::Invalid)
}

/// Reads a UUID. It may have braces, and hyphens after any group of four digits.
fn uuid(text: &str) -> Result<[u8; 16], Refused> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or(Refused::Invalid)?,
        None => text,
    };
    let mut rest = inner.as_bytes();
    let mut out = [0; 16];
    for (i, byte) in out.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return Err(Refused::Invalid) };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
        rest = match tail {
            [b'-', tail @ ..] if i % 2 == 1 && i < 15 => tail,
            _ => tail,
        };
    }
    if rest.is_empty() { Ok(out) } else { Err(Refused::Invalid) }
}
