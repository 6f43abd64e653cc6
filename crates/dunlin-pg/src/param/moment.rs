//! Dates and times in the forms of ISO 8601 and RFC 3339, and as PostgreSQL prints them.
//!
//! Other forms that PostgreSQL reads, such as `tomorrow`, `22/11/2026` and `Nov 22`, are refused,
//! because they depend on settings or on the day.

use super::Refused;
use crate::json::days_of;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 4714-11-24 BC, the first Julian day, counted from 2000-01-01.
const FIRST_DAY: i64 = -2_451_545;
/// The day after the last `date`, 5874897-12-31.
const END_OF_DATES: i64 = 2_145_031_949;
/// The day after the last `timestamp`, 294276-12-31.
const END_OF_TIMESTAMPS: i64 = 106_751_983;

struct Moment {
    /// Days since 2000-01-01.
    day: i64,
    /// Microseconds since midnight.
    time: i64,
    /// Seconds east of UTC.
    zone: i64,
}

/// Reads a date, in days since 2000-01-01. A time and a zone may follow and are ignored.
pub(super) fn date(text: &str) -> Result<i32, Refused> {
    match infinite(text) {
        Some(true) => return Ok(i32::MAX),
        Some(false) => return Ok(i32::MIN),
        None => {}
    }
    let moment = moment(text)?;
    if !(FIRST_DAY..END_OF_DATES).contains(&moment.day) {
        return Err(Refused::OutOfRange);
    }
    i32::try_from(moment.day).map_err(|_| Refused::OutOfRange)
}

/// Reads a timestamp, in microseconds since 2000-01-01. If `zoned` is `true`, the zone counts, and
/// it is UTC by default.
pub(super) fn timestamp(text: &str, zoned: bool) -> Result<i64, Refused> {
    match infinite(text) {
        Some(true) => return Ok(i64::MAX),
        Some(false) => return Ok(i64::MIN),
        None => {}
    }
    let moment = moment(text)?;
    let zone = if zoned { moment.zone * SECOND } else { 0 };
    let micros = i128::from(moment.day) * i128::from(DAY) + i128::from(moment.time - zone);
    let bounds = i128::from(FIRST_DAY) * i128::from(DAY)..i128::from(END_OF_TIMESTAMPS) * i128::from(DAY);
    if !bounds.contains(&micros) {
        return Err(Refused::OutOfRange);
    }
    i64::try_from(micros).map_err(|_| Refused::OutOfRange)
}

/// Reads a time: microseconds since midnight, and the zone in seconds west of UTC.
pub(super) fn time(text: &str) -> Result<(i64, i32), Refused> {
    let (time, rest) = clock(text)?;
    let zone = zone(rest)?;
    if time > DAY {
        return Err(Refused::OutOfRange);
    }
    Ok((time, -(zone as i32)))
}

fn infinite(text: &str) -> Option<bool> {
    let (positive, word) = match text.strip_prefix(['-', '+']) {
        Some(word) => (text.starts_with('+'), word),
        None => (true, text),
    };
    word.eq_ignore_ascii_case("infinity").then_some(positive)
}

fn moment(text: &str) -> Result<Moment, Refused> {
    let (text, is_bc) = match text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) {
        Some((rest, era)) if era.eq_ignore_ascii_case(" bc") => (rest, true),
        _ => (text, false),
    };
    let (year, rest) = digits(text, 4, 7)?;
    let (month, rest) = digits(rest.strip_prefix('-').ok_or(Refused::Invalid)?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-').ok_or(Refused::Invalid)?, 1, 2)?;
    // There is no year 0: 1 BC comes before AD 1.
    let year = match (year, is_bc) {
        (0, _) => return Err(Refused::OutOfRange),
        (year, true) => 1 - year,
        (year, false) => year,
    };
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return Err(Refused::OutOfRange);
    }
    let day = days_of(year, month, day);
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return if rest.is_empty() { Ok(Moment { day, time: 0, zone: 0 }) } else { Err(Refused::Invalid) };
    };
    let (time, rest) = clock(rest)?;
    Ok(Moment { day, time, zone: zone(rest)? })
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads `10:00`, `10:00:00` or `10:00:00.123456`, up to `24:00:00`. A 60th second is valid.
fn clock(text: &str) -> Result<(i64, &str), Refused> {
    let (hour, rest) = digits(text, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':').ok_or(Refused::Invalid)?, 2, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2, 2)?,
        None => (0, rest),
    };
    let (micros, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let value: f64 = format!("0.{}", &fraction[..end]).parse().map_err(|_| Refused::Invalid)?;
            ((value * 1e6).round_ties_even() as i64, &fraction[end..])
        }
        None => (0, rest),
    };
    let time = ((hour * 60 + minute) * 60 + second) * SECOND + micros;
    if hour > 24 || minute > 59 || second > 60 || time > DAY {
        return Err(Refused::OutOfRange);
    }
    Ok((time, rest))
}

/// Reads a zone, in seconds east of UTC: `Z`, `+02`, `+02:00`, `+0200`, `-00:00:30`. Without one it
/// is UTC.
fn zone(text: &str) -> Result<i64, Refused> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    if text.is_empty() || ["z", "utc"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Ok(0);
    }
    let offset = text.strip_prefix(['+', '-']).ok_or(Refused::Invalid)?;
    // Each part has two digits, so that `+0530` needs no colons.
    let mut parts = [0; 3];
    let mut rest = offset;
    for (i, part) in parts.iter_mut().enumerate() {
        if i > 0 && rest.is_empty() {
            break;
        }
        let pair = if i > 0 { rest.strip_prefix(':').unwrap_or(rest) } else { rest };
        let (pair, tail) = pair.split_at_checked(2).ok_or(Refused::Invalid)?;
        (*part, _) = digits(pair, 2, 2)?;
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(Refused::Invalid);
    }
    let [hours, minutes, seconds] = parts;
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Refused::OutOfRange);
    }
    let east = (hours * 60 + minutes) * 60 + seconds;
    Ok(if text.starts_with('-') { -east } else { east })
}

/// Reads a number with a limited number of digits, and returns the rest.
fn digits(text: &str, min: usize, max: usize) -> Result<(i64, &str), Refused> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if !(min..=max).contains(&end) {
        return Err(Refused::Invalid);
    }
    Ok((text[..end].parse().map_err(|_| Refused::Invalid)?, &text[end..]))
}
