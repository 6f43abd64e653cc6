//! Durations and sizes with their units.

use std::time::Duration;

use toml::de::DeValue;

use super::value::{Read, Value};

/// A number of bytes.
pub(crate) struct Size(pub(crate) u64);

const DURATION_UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Other common spellings, and the units that they stand for.
const DURATION_ALIASES: &[(&str, &str)] = &[
    ("", "s"),
    ("msec", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const SIZE_ALIASES: &[(&str, &str)] = &[("k", "KiB"), ("m", "MiB"), ("g", "GiB"), ("bytes", "B")];

impl Read for Size {
    const EXPECTED: &'static str = "a size such as \"512KiB\", \"1MiB\" or \"10MB\"";

    fn read(value: Value<'_>) -> Option<Self> {
        match value.raw() {
            DeValue::Integer(_) => value.integer(0, u64::MAX >> 1, Self::EXPECTED).map(Self),
            DeValue::String(text) => parse_size(text)
                .map(Self)
                .or_else(|| value.wrong(format_args!("\"{text}\""), Self::EXPECTED, guess_size(text))),
            _ => value.wrong_type(Self::EXPECTED),
        }
    }
}

impl Read for Duration {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"75s\" or \"1h\"";

    fn read(value: Value<'_>) -> Option<Self> {
        match value.raw() {
            DeValue::String(text) => parse_duration(text)
                .or_else(|| value.wrong(format_args!("\"{text}\""), Self::EXPECTED, guess_duration(text))),
            DeValue::Integer(number) => {
                value.wrong(format_args!("{number} without a unit"), Self::EXPECTED, Some(format!("{number}s")))
            }
            _ => value.wrong_type(Self::EXPECTED),
        }
    }
}

/// A duration in the largest unit that gives a whole number.
pub(crate) fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    let whole = DURATION_UNITS.iter().rev().find(|(_, unit)| millis > 0 && millis.is_multiple_of(u128::from(*unit)));
    whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / u128::from(*unit)))
}

/// `500ms`, `75s`, `1.5h`, `1h30m`.
fn parse_duration(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let (number, unit, rest) = split(text)?;
        total = total.checked_add(Duration::from_millis(scale(number, find(DURATION_UNITS, unit)?)?))?;
        text = rest;
    }
    Some(total)
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit, rest) = split(text)?;
    rest.is_empty().then(|| scale(number, find(SIZE_UNITS, unit)?)).flatten()
}

/// The leading number, the letters after it, and the rest.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
    number.starts_with(|c: char| c.is_ascii_digit()).then_some((number, unit, rest))
}

/// `number` times `unit`, exact to three decimals.
fn scale(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 3 || fraction.contains('.') {
        return None;
    }
    let thousandths = fraction.parse::<u64>().ok()? * 10_u64.pow(3 - fraction.len() as u32);
    let total = whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(thousandths * unit / 1000)?;
    (total < u64::MAX >> 1).then_some(total)
}

fn find(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

fn guess_duration(text: &str) -> Option<String> {
    guess(text, DURATION_UNITS, DURATION_ALIASES, |guess| parse_duration(guess).is_some())
}

fn guess_size(text: &str) -> Option<String> {
    guess(text, SIZE_UNITS, SIZE_ALIASES, |guess| parse_size(guess).is_some())
}

/// Removes spaces and capitals, and inserts the right name of the unit.
fn guess(text: &str, units: &[(&str, u64)], aliases: &[(&str, &str)], right: impl Fn(&str) -> bool) -> Option<String> {
    let compact: String = text.split_whitespace().collect();
    let (number, unit, _) = split(&compact)?;
    let unit = unit.to_ascii_lowercase();
    let plain = units.iter().map(|(name, _)| *name).find(|name| name.to_ascii_lowercase() == unit);
    let name = plain.or_else(|| aliases.iter().find(|(alias, _)| *alias == unit).map(|(_, name)| *name))?;
    Some(format!("{number}{name}")).filter(|guess| right(guess))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        #[track_caller]
        fn check(text: &str, expect: Option<u64>) {
            assert_eq!(parse_duration(text), expect.map(Duration::from_millis), "{text:?}");
        }
        check("500ms", Some(500));
        check("75s", Some(75_000));
        check("0s", Some(0));
        check("1h30m", Some(5_400_000));
        check("1.5s", Some(1_500));
        check("7d", Some(604_800_000));
        for bad in ["", "75", "s", "-1s", "1 s", "1.s", ".5s", "1..5s", "75sec", "1e3s", "99999999999999999999s"] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes() {
        #[track_caller]
        fn check(text: &str, expect: Option<u64>) {
            assert_eq!(parse_size(text), expect, "{text:?}");
        }
        check("1MiB", Some(1 << 20));
        check("10MB", Some(10_000_000));
        check("1.5KiB", Some(1536));
        check("7B", Some(7));
        check("256", Some(256));
        for bad in ["", "MiB", "1M", "1mib", "1 MiB", "1MiB1MiB", "99999999999GiB"] {
            check(bad, None);
        }
    }

    #[test]
    fn durations_are_shown_in_their_largest_unit() {
        for text in ["500ms", "75s", "90m", "1h", "7d", "0s"] {
            assert_eq!(show(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn guesses() {
        assert_eq!(guess_duration("75 sec").as_deref(), Some("75s"));
        assert_eq!(guess_duration("5 Minutes").as_deref(), Some("5m"));
        assert_eq!(guess_duration("75").as_deref(), Some("75s"));
        assert_eq!(guess_duration("soon"), None);
        assert_eq!(guess_size("1 mib").as_deref(), Some("1MiB"));
        assert_eq!(guess_size("64M").as_deref(), Some("64MiB"));
        assert_eq!(guess_size("much"), None);
    }
}
