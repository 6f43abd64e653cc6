//! The keys of requests, and the weights of servers for them.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::config::HashKey;

/// The parts of a request that a key may come from.
#[derive(Clone, Copy)]
pub(crate) struct KeySource<'r> {
    pub(crate) headers: &'r HeaderMap,
    /// The path for the server.
    pub(crate) path: &'r str,
    pub(crate) client: Option<IpAddr>,
}

/// The number of a server, from its address. It is the same in every process.
pub(super) fn seed(server: &str) -> u64 {
    xxh3_64(server.as_bytes())
}

/// The weight of a server for a key.
pub(super) fn weight(key: u64, seed: u64) -> u64 {
    xxh3_64_with_seed(&key.to_le_bytes(), seed)
}

/// The number of a request's key. `None` if it has none.
pub(super) fn key(by: &HashKey, source: KeySource<'_>) -> Option<u64> {
    match by {
        HashKey::Client => match source.client?.to_canonical() {
            IpAddr::V4(ip) => Some(xxh3_64(&ip.octets())),
            IpAddr::V6(ip) => Some(xxh3_64(&ip.octets())),
        },
        HashKey::Cookie(name) => cookie(source.headers, name).map(|value| xxh3_64(value.as_bytes())),
        HashKey::Header(name) => source.headers.get(name).map(|value| xxh3_64(value.as_bytes())),
        HashKey::Path => Some(xxh3_64(source.path.as_bytes())),
    }
}

/// The value of the first cookie with this name (RFC 6265 §4.2.1).
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn keys() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; session=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        headers.insert("x-tenant", HeaderValue::from_static("t"));
        let client = Some([192, 0, 2, 1].into());
        let source = KeySource { headers: &headers, path: "/p", client };
        let of = |by: HashKey| key(&by, source);
        assert_eq!(of(HashKey::Cookie("session".into())), Some(xxh3_64(b"x=y")));
        assert_eq!(of(HashKey::Cookie("b".into())), Some(xxh3_64(b"2")));
        assert_eq!(of(HashKey::Cookie("c".into())), None);
        assert_eq!(of(HashKey::Header(HeaderName::from_static("x-tenant"))), Some(xxh3_64(b"t")));
        assert_eq!(of(HashKey::Header(HeaderName::from_static("x-other"))), None);
        assert_eq!(of(HashKey::Path), Some(xxh3_64(b"/p")));
        let mapped = KeySource { client: Some("::ffff:192.0.2.1".parse().unwrap()), ..source };
        assert_eq!(key(&HashKey::Client, mapped), of(HashKey::Client));
        assert_eq!(key(&HashKey::Client, KeySource { client: None, ..source }), None);
    }

    #[test]
    fn keys_spread_over_the_servers() {
        let seeds: Vec<u64> = (0..4).map(|port| seed(&format!("http://10.0.0.1:800{port}"))).collect();
        let mut counts = [0; 4];
        for number in 0..4000_u32 {
            let key = xxh3_64(&number.to_le_bytes());
            let best = (0..4).max_by_key(|&index: &usize| weight(key, seeds[index])).unwrap();
            counts[best] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
