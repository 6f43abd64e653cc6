//! The field `Expires` (RFC 9111 §5.3): a date in any of the three forms. The case of the letters
//! does not count, and neither does a wrong day of the week.

use std::time::SystemTime;

use dunlin_http::date;
use http::HeaderValue;

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Parses a date leniently, as RFC 9110 §5.6.7 recommends. Returns `None` for an invalid one, which
/// is in the past.
pub(crate) fn parse(value: &HeaderValue) -> Option<SystemTime> {
    date::parse(value).or_else(|| {
        let canonical = canonical(value.to_str().ok()?);
        let end = canonical.find([',', ' '])?;
        let (day, rest) = canonical.split_at(end);
        let long = DAYS.contains(&day);
        if !long && !DAYS.iter().any(|name| name[..3] == *day) {
            return None;
        }
        DAYS.iter().find_map(|name| {
            let name = if long { name } else { &name[..3] };
            date::parse(&HeaderValue::try_from(format!("{name}{rest}")).ok()?)
        })
    })
}

/// The text with its names in the case of their definitions.
fn canonical(text: &str) -> String {
    let mut inside = false;
    let capitalised = text.chars().map(|c| {
        let c = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        inside = c.is_ascii_alphabetic();
        c
    });
    capitalised.collect::<String>().replace(" Gmt", " GMT")
}
