//! Dates, times and intervals.

use super::number::integer;
use super::reader::{Malformed, Reader};

/// The days between 1970-01-01 and PostgreSQL's epoch, 2000-01-01.
const EPOCH: i64 = 10_957;
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The form of a timestamp: that of `to_json`, or that of its cast to text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `2026-11-22T10:00:00+00:00`
    Iso,
    /// `2026-11-22 10:00:00+00`
    Sql,
}

pub(crate) fn date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            let (year, month, day) = civil(i64::from(days));
            year_month_day(year, month, day, out);
            era(year, out);
        }
    }
}

/// Writes a timestamp. With `zone` it has the zone of UTC.
pub(crate) fn timestamp(micros: i64, zone: bool, style: Style, out: &mut Vec<u8>) {
    match micros {
        i64::MAX => return out.extend_from_slice(b"infinity"),
        i64::MIN => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let (year, month, day) = civil(micros.div_euclid(DAY));
    out.reserve(32);
    year_month_day(year, month, day, out);
    out.push(if style == Style::Iso { b'T' } else { b' ' });
    time(micros.rem_euclid(DAY), out);
    if zone {
        out.extend_from_slice(if style == Style::Iso { b"+00:00" } else { b"+00" });
    }
    era(year, out);
}

pub(crate) fn time(micros: i64, out: &mut Vec<u8>) {
    let micros = micros.max(0);
    let seconds = (micros / SECOND) as u32;
    let ([h, i], [m, n], [s, t]) = (pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60));
    out.extend_from_slice(&[h, i, b':', m, n, b':', s, t]);
    fraction((micros % SECOND) as u32, out);
}

/// Writes a time of day, and its zone in seconds west of UTC.
pub(crate) fn time_with_zone(micros: i64, west: i32, out: &mut Vec<u8>) {
    time(micros, out);
    out.push(if west > 0 { b'-' } else { b'+' });
    let zone = west.unsigned_abs();
    out.extend_from_slice(&pair(zone / 3600));
    let (minutes, seconds) = (zone / 60 % 60, zone % 60);
    if minutes != 0 || seconds != 0 {
        out.push(b':');
        out.extend_from_slice(&pair(minutes));
    }
    if seconds != 0 {
        out.push(b':');
        out.extend_from_slice(&pair(seconds));
    }
}

/// Writes an interval in ISO 8601, as `IntervalStyle` `iso_8601` does: each field has a sign of its
/// own.
pub(crate) fn interval(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let (micros, days, months) = (raw.i64()?, raw.i32()?, raw.i32()?);
    raw.end()?;
    match (micros, days, months) {
        (0, 0, 0) => out.extend_from_slice(b"PT0S"),
        // Only PostgreSQL 17 and later have infinite intervals.
        (i64::MAX, i32::MAX, i32::MAX) => out.extend_from_slice(b"infinity"),
        (i64::MIN, i32::MIN, i32::MIN) => out.extend_from_slice(b"-infinity"),
        _ => {
            out.push(b'P');
            part(i64::from(months / 12), b'Y', out);
            part(i64::from(months % 12), b'M', out);
            part(i64::from(days), b'D', out);
            if micros != 0 {
                out.push(b'T');
                part(micros / (3600 * SECOND), b'H', out);
                part(micros / (60 * SECOND) % 60, b'M', out);
                seconds_part(micros % (60 * SECOND), out);
            }
        }
    }
    Ok(())
}

fn part(value: i64, unit: u8, out: &mut Vec<u8>) {
    if value != 0 {
        integer(value, out);
        out.push(unit);
    }
}

fn seconds_part(micros: i64, out: &mut Vec<u8>) {
    if micros != 0 {
        if micros < 0 {
            out.push(b'-');
        }
        integer(micros.abs() / SECOND, out);
        fraction((micros.abs() % SECOND) as u32, out);
        out.push(b'S');
    }
}

/// Writes the microseconds of a second, without trailing zeros.
fn fraction(micros: u32, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    let ([a, b], [c, d], [e, f]) = (pair(micros / 10_000), pair(micros / 100 % 100), pair(micros % 100));
    let digits = [b'.', a, b, c, d, e, f];
    let zeros = digits.iter().rev().take_while(|&&d| d == b'0').count();
    out.extend_from_slice(&digits);
    out.truncate(out.len() - zeros);
}

fn year_month_day(year: i64, month: u32, day: u32, out: &mut Vec<u8>) {
    // There is no year 0: 1 BC comes before AD 1.
    let year = if year > 0 { year } else { 1 - year };
    let ([m, n], [d, e]) = (pair(month), pair(day));
    if year < 10_000 {
        let ([a, b], [c, f]) = (pair(year as u32 / 100), pair(year as u32 % 100));
        out.extend_from_slice(&[a, b, c, f, b'-', m, n, b'-', d, e]);
    } else {
        integer(year, out);
        out.extend_from_slice(&[b'-', m, n, b'-', d, e]);
    }
}

fn era(year: i64, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// The last two digits.
fn pair(n: u32) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[0; 2]; 100];
        let mut n = 0;
        while n < 100 {
            pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
            n += 1;
        }
        pairs
    };
    PAIRS[n as usize % 100]
}

/// The year, month and day of a day counted from 2000-01-01, in the proleptic Gregorian calendar
/// with a year 0.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + EPOCH + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097) as u32;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = i64::from(yoe) + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day, counted from 2000-01-01, of a date with a year 0. It is the inverse of [`civil`].
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let yoe = year.rem_euclid(400);
    let mp = (month + 9) % 12;
    let doy = (153 * mp + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468 - EPOCH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_stand_in_both_styles() {
        let check = |micros: i64, iso: &str, sql: &str| {
            let write = |style| {
                let mut out = Vec::new();
                timestamp(micros, true, style, &mut out);
                String::from_utf8(out).unwrap()
            };
            assert_eq!((write(Style::Iso).as_str(), write(Style::Sql).as_str()), (iso, sql));
        };
        check(0, "2000-01-01T00:00:00+00:00", "2000-01-01 00:00:00+00");
        check(-1, "1999-12-31T23:59:59.999999+00:00", "1999-12-31 23:59:59.999999+00");
        check(i64::MAX, "infinity", "infinity");
        check(days_of(-43, 3, 15) * DAY, "0044-03-15T00:00:00+00:00 BC", "0044-03-15 00:00:00+00 BC");
        check(days_of(12_000, 2, 29) * DAY + 500_000, "12000-02-29T00:00:00.5+00:00", "12000-02-29 00:00:00.5+00");
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -2_500_000i64..2_147_483_493) {
            let (year, month, day) = civil(days);
            prop_assert_eq!(days_of(year, i64::from(month), i64::from(day)), days);
        }

        #[test]
        fn no_moment_panics(micros: i64, days: i32, west: i32) {
            let mut out = Vec::new();
            timestamp(micros, true, Style::Iso, &mut out);
            date(days, &mut out);
            time_with_zone(micros, west, &mut out);
        }
    }
}
