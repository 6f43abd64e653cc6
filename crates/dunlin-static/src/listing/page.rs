//! Formats a list. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use percent_encoding::utf8_percent_encode;
use serde_json::json;

use super::Item;
use crate::respond::SEGMENT;

const STYLE: &str = include_str!("page.css");

/// Formats a list as an HTML page without scripts. It is readable on a phone.
pub(super) fn html(path: &str, items: &[Item], more: bool) -> String {
    let title = escape(if path.is_empty() { "/" } else { path });
    let mut page = String::with_capacity(1500 + 200 * items.len());
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n<ul>\n"
    );
    if !path.is_empty() {
        page.push_str("<li><a href=\"../\">..</a>\n");
    }
    for item in items {
        let slash = if item.folder { "/" } else { "" };
        let size = if item.folder { String::new() } else { human(item.len) };
        let (href, name, time) =
            (utf8_percent_encode(&item.name, SEGMENT), escape(&item.name), timestamp(item.modified));
        // RFC 3986 §4.2: the dot segment keeps a colon in a name from making it a scheme.
        let _ = writeln!(
            page,
            "<li><a href=\"./{href}{slash}\">{name}{slash}</a><span>{size}</span><time datetime=\"{time}\">{day}</time>",
            day = time.get(..16).unwrap_or_default().replace('T', " "),
        );
    }
    page.push_str("</ul>\n");
    match (items.len(), more) {
        (0, _) => page.push_str("<p>This folder is empty.\n"),
        (n, true) => drop(writeln!(page, "<p>There are more: only {n} are listed.")),
        _ => {}
    }
    page
}

/// Formats a list as JSON.
pub(super) fn json(path: &str, items: &[Item], more: bool) -> String {
    let item = |item: &Item| {
        let modified = timestamp(item.modified);
        if item.folder {
            json!({"name": item.name, "type": "folder", "modified": modified})
        } else {
            json!({"name": item.name, "type": "file", "size": item.len, "modified": modified})
        }
    };
    json!({"path": path, "items": items.iter().map(item).collect::<Vec<_>>(), "truncated": more}).to_string()
}

/// Escapes text for HTML content and attribute values.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Formats a length with up to three digits and a unit.
fn human(len: u64) -> String {
    if len < 1000 {
        return format!("{len} B");
    }
    let mut value = len as f64;
    for unit in ["kB", "MB", "GB", "TB", "PB"] {
        value /= 1000.0;
        if value < 9.95 {
            return format!("{value:.1} {unit}");
        }
        if value < 999.5 {
            return format!("{value:.0} {unit}");
        }
    }
    format!("{value:.0} PB")
}

/// Formats a time by RFC 3339, in UTC, to the second.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Year, month and day of the proleptic Gregorian calendar. It counts by eras of 400 years that
/// begin on the first of March (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
const fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let name = "<img src=x onerror=alert(1)> \"&'?#%.txt";
        let item = Item { name: name.to_owned(), folder: false, len: 1, modified: SystemTime::UNIX_EPOCH };
        let page = html("a<b>/", &[item], false);
        assert!(!page.contains("<img") && !page.contains("a<b>"));
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; &quot;&amp;&#39;?#%.txt</a>"));
        assert!(page.contains("href=\"./%3Cimg%20src=x%20onerror=alert(1)%3E%20%22&'%3F%23%25.txt\""), "{page}");
    }

    #[test]
    fn sizes_and_times() {
        for (len, expect) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (88_176, "88 kB")] {
            assert_eq!(human(len), expect);
        }
        assert_eq!(
            (human(999_499), human(999_500), human(u64::MAX)),
            ("999 kB".into(), "1.0 MB".into(), "18447 PB".into())
        );
        let at = |seconds| timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(at(784_111_777), "1994-11-06T08:49:37Z");
    }
}
