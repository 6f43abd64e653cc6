//! The choice of a format by `Accept` (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

use crate::json::Format;
use crate::query::Formats;

/// Returns the format with the highest weight among those that are offered. JSON wins a tie. A
/// client that accepts none of them gets JSON as well: RFC 9110 §12.5.1 allows that, and it is more
/// useful than 406.
pub(super) fn choose(formats: Formats, headers: &HeaderMap) -> Format {
    if formats == Formats::default() {
        return Format::Json;
    }
    let lines: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok()).collect();
    let mut best = (Format::Json, weight(&lines, "application", "json"));
    let others =
        [(formats.csv, Format::Csv, "text", "csv"), (formats.ndjson, Format::Ndjson, "application", "x-ndjson")];
    for (_, format, kind, subtype) in others.into_iter().filter(|other| other.0) {
        let weight = weight(&lines, kind, subtype);
        if weight > best.1 {
            best = (format, weight);
        }
    }
    best.0
}

/// The weight of a media type, in thousandths. The most specific range that matches decides.
fn weight(lines: &[&str], kind: &str, subtype: &str) -> u32 {
    let mut best = (0, 0);
    for range in lines.iter().flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let specific = match name.split_once('/') {
            Some((a, b)) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) => 3,
            Some((a, "*")) if a.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let q = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let q = q.map_or(Some(1.0), |q| q.parse::<f32>().ok()).unwrap_or(0.0).clamp(0.0, 1.0);
        if specific > best.0 {
            best = (specific, (q * 1000.0) as u32);
        }
    }
    if lines.is_empty() { 1 } else { best.1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: Option<&str>, expect: Format) {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        assert_eq!(choose(Formats { csv: true, ndjson: true }, &headers), expect, "{accept:?}");
        assert_eq!(choose(Formats::default(), &headers), Format::Json);
    }

    #[test]
    fn the_client_chooses() {
        check(None, Format::Json);
        check(Some("*/*"), Format::Json);
        check(Some("text/csv"), Format::Csv);
        check(Some("text/*"), Format::Csv);
        check(Some("application/x-ndjson"), Format::Ndjson);
        check(Some("application/json, text/csv"), Format::Json);
        check(Some("application/json;q=0.5, text/csv;q=0.6"), Format::Csv);
        check(Some("text/csv;q=0, */*"), Format::Json);
        check(Some("image/png"), Format::Json);
        check(Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Json);
    }
}
