//! `Accept-Encoding`, whatever it says. Run with `cargo +nightly fuzz run accept_encoding` in
//! `crates/dunlin-compress`.
//!
//! Invariants: it never panics; a coding that is refused, or not on offer, is never chosen; a
//! chosen coding has the greatest weight of those on offer, and no less than identity's; and
//! reading a line in two parts at a comma gives what reading it whole does.

#![no_main]

use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&str, u8)| {
    let (line, offer) = data;
    let accept = AcceptEncoding::parse(line);
    let offered: Vec<_> = (0..3).filter(|bit| offer >> bit & 1 == 1).map(|at| Coding::ALL[at]).collect();
    match accept.choose(&offered) {
        Choice::Coding(coding) => {
            let weight = accept.weight(coding);
            assert!(weight > 0 && offered.contains(&coding));
            assert!(offered.iter().all(|other| accept.weight(*other) <= weight));
            assert!(accept.identity_weight().is_none_or(|identity| identity <= weight));
        }
        Choice::Identity => assert_ne!(accept.identity_weight(), Some(0)),
        Choice::Nothing => {
            assert_eq!(accept.identity_weight(), Some(0));
            assert!(offered.iter().all(|other| accept.weight(*other) == 0));
        }
    }
    if let Some((first, second)) = line.split_once(',')
        && let (Ok(first), Ok(second)) = (HeaderValue::from_str(first), HeaderValue::from_str(second))
        && line.is_ascii()
    {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, first);
        headers.append(ACCEPT_ENCODING, second);
        assert_eq!(AcceptEncoding::of(&headers), accept);
    }
});
