//! `request_id`: the identifier of a request, in logs, for upstreams and on the response.

use http::{HeaderValue, Request};

use crate::fields::REQUEST_ID;

/// The length of an identifier that is taken from a trusted proxy.
const MAX_LENGTH: usize = 128;

/// Gives the request an identifier, unless a trusted proxy gave it one.
pub(super) fn assign<B>(request: &mut Request<B>, is_trusted: bool) {
    let mut lines = request.headers().get_all(REQUEST_ID).iter();
    let has_one = is_trusted && lines.next().is_some_and(is_usable) && lines.next().is_none();
    if !has_one {
        let id = format!("{:032x}", fastrand::u128(..));
        // Hexadecimal digits are a valid value.
        if let Ok(id) = HeaderValue::from_str(&id) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

/// Returns `true` for an identifier that is safe in a log.
fn is_usable(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_taken_from_trusted_proxies_alone() {
        #[track_caller]
        fn check(sent: &[&str], is_trusted: bool, kept: bool) {
            let mut request = Request::new(());
            for id in sent {
                request.headers_mut().append(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            }
            assign(&mut request, is_trusted);
            let ids: Vec<_> = request.headers().get_all(REQUEST_ID).iter().map(|id| id.to_str().unwrap()).collect();
            assert_eq!(ids.len(), 1);
            assert_eq!(sent.contains(&ids[0]), kept, "{sent:?}");
            assert!(kept || ids[0].len() == 32);
        }
        check(&[], true, false);
        check(&["abc-1"], true, true);
        check(&["abc-1"], false, false);
        check(&["a b"], true, false);
        check(&["a", "b"], true, false);
        check(&[&"a".repeat(129)], true, false);
    }
}
