//! HTTP dates (RFC 9110 §5.6.7).

use std::time::SystemTime;

use http::HeaderValue;

/// Parses an HTTP date in any of its three forms.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Formats a time as IMF-fixdate, in whole seconds. Times outside the years 1970 to 9999 become the
/// nearest time within.
#[must_use]
pub fn format(time: SystemTime) -> HeaderValue {
    let last = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    let text = httpdate::fmt_http_date(time.clamp(SystemTime::UNIX_EPOCH, last));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Rounds a time down to whole seconds, the precision of a header field.
#[must_use]
pub fn truncate(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_equal() {
        let at = parse(&HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")).unwrap();
        for form in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(&HeaderValue::from_static(form)), Some(at));
        }
        assert_eq!(format(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse(&HeaderValue::from_static("0")), None);
    }
}
