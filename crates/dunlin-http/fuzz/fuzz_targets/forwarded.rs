//! For any fields and any peer: a client of an untrusted peer is the peer, and no field that names
//! another client is left. From a trusted peer, the `Host` stays a valid authority, a second pass
//! finds the same client, and no forged beginning of a list hides the address that a proxy has
//! appended.

#![no_main]

use std::net::IpAddr;

use dunlin_http::{ClientInfo, Network, forwarded};
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x_forwarded_for", "x-real-ip"];

/// The address that a trusted proxy appends.
const CLIENT: &str = "192.0.2.7";

fuzz_target!(|input: (Vec<(u8, &str)>, [u8; 4], &[u8])| {
    let (fields, octets, forged) = input;
    let mut received = HeaderMap::new();
    received.insert(HOST, HeaderValue::from_static("own.example"));
    for (index, value) in fields {
        let name = NAMES[usize::from(index) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_str(value) {
            received.append(HeaderName::from_static(name), value);
        }
    }
    let peer = ClientInfo::new(Some(IpAddr::from(octets)), false);

    let mut headers = received.clone();
    assert_eq!(forwarded::identify(&mut headers, peer, &[]), peer);
    assert_eq!(headers.len(), 1, "only Host is left");
    assert_eq!(headers[HOST], "own.example");

    let trusted = [Network::from(IpAddr::from(octets)), "10.0.0.0/8".parse().unwrap()];
    let mut headers = received;
    let client = forwarded::identify(&mut headers, peer, &trusted);
    assert!(!headers.contains_key("x_forwarded_for"));
    assert!(headers[HOST].to_str().unwrap().parse::<Authority>().is_ok());
    let host = headers[HOST].clone();
    assert_eq!(forwarded::identify(&mut headers, peer, &trusted), client);
    assert_eq!(headers[HOST], host);

    let trusted = [Network::from(IpAddr::from(octets))];
    if trusted[0].contains(CLIENT.parse().unwrap()) {
        return;
    }
    for (name, appended) in [("x-forwarded-for", CLIENT.to_owned()), ("forwarded", format!("for={CLIENT}"))] {
        let value = [forged, b", ", appended.as_bytes()].concat();
        let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        let client = forwarded::identify(&mut headers, peer, &trusted);
        assert_eq!(client.ip, CLIENT.parse().ok(), "{name}");
    }
});
