//! Any `Accept-Encoding`. Run with `cargo +nightly fuzz run accept_encoding` in
//! `crates/dunlin-compress`.
//!
//! Invariants:
//! - Parsing never panics.
//! - A coding that is refused or not offered is never chosen.
//! - A chosen coding has the greatest weight of the offered ones, and at least that of identity.
//! - A line that is split at a comma means the same as two lines.

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
