//! For any path: the target that the upstream receives begins with the path of the upstream's URL,
//! and stays below it after any number of decodings.

#![no_main]

use dunlin_fetch::{Body, Client, Config, Context, Handler as _, Proxy, ProxyConfig};
use dunlin_fetch_fuzz::Harness;
use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static HARNESS: Harness = Harness::new();
}

fuzz_target!(|text: &str| {
    let Ok(uri) = format!("/{text}").parse::<Uri>() else { return };
    HARNESS.with(|harness| {
        let client = async {
            let client = Client::new(Config::default()).unwrap();
            let proxy = Proxy::new(client, &harness.uri("/base"), ProxyConfig::default()).unwrap();
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = uri.clone();
            let reply = proxy.handle(request, &Context::default()).await.unwrap();
            reply.status().as_u16()
        };
        let (status, head) = harness.run(&[b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], client);
        if head.is_empty() {
            assert!(matches!(status, 400 | 404), "{status}");
            return;
        }
        assert_eq!(status, 200);
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap();
        let path = target.split('?').next().unwrap();
        assert!(path == "/base" || path.starts_with("/base/"), "{path}");
        let mut path = path.as_bytes().to_vec();
        for _ in 0..3 {
            assert!(stays_below(&path), "{target}");
            path = decode(&path);
        }
    });
});

/// Returns `true` if no dot segment leads above the first segment.
fn stays_below(path: &[u8]) -> bool {
    let mut depth = 0_i32;
    path.split(|byte| matches!(byte, b'/' | b'\\')).skip(2).all(|segment| {
        match segment {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        depth >= 0
    })
}

/// Decodes percent-encoding once.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut index = 0;
    while index < path.len() {
        let escape = path.get(index..index + 3).filter(|escape| escape[0] == b'%');
        let digits = escape.and_then(|escape| std::str::from_utf8(&escape[1..]).ok());
        let octet =
            digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet {
            Some(octet) => {
                decoded.push(octet);
                index += 3;
            }
            None => {
                decoded.push(path[index]);
                index += 1;
            }
        }
    }
    decoded
}
