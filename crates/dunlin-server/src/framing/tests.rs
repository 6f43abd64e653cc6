use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 20, target: 256 };

/// The result of a [`Framer`]: each request's target and the data of its body, and the verdict.
type Found = (Vec<(String, Vec<u8>)>, Option<u16>);

/// Feeds `bytes` cut at `size`.
fn feed(bytes: &[u8], size: usize) -> Found {
    let mut framer = Framer::new(BytesMut::new(), LIMITS);
    let (mut found, mut in_body) = (Vec::new(), false);
    for piece in bytes.chunks(size.max(1)) {
        framer.held().extend_from_slice(piece);
        loop {
            let step = if in_body {
                framer.piece().map(|piece| match piece {
                    None => false,
                    Some(Piece::Data(data)) => {
                        let (_, body): &mut (String, Vec<u8>) = found.last_mut().unwrap();
                        body.extend_from_slice(&data);
                        in_body = framer.in_body();
                        true
                    }
                    Some(Piece::End(_)) => {
                        in_body = false;
                        true
                    }
                })
            } else {
                let mut request = Request::new(());
                framer.head(&mut request).map(|head| {
                    if head.is_none() {
                        return false;
                    }
                    found.push((request.uri().to_string(), Vec::new()));
                    in_body = framer.in_body();
                    true
                })
            };
            match step {
                Ok(true) => {}
                Ok(false) => break,
                Err(reject) => return (found, Some(reject.status.as_u16())),
            }
        }
        assert!(framer.len() <= LIMITS.bytes + size, "more is held than a head may have");
    }
    (found, None)
}

fn request(target: &str, body: &str) -> (String, Vec<u8>) {
    (target.into(), body.into())
}

#[test]
fn requests_are_the_same_at_any_cuts() {
    let stream = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\n\r\
        PUT /c HTTP/1.7\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nGET /\r\n0\r\nA: b\r\n\r\nGET /d HTTP/1.0\r\n\r\n";
    let expect = vec![request("/a", ""), request("/b", "ab\r\n\r"), request("/c", "GET /"), request("/d", "")];
    for size in 1..=stream.len() {
        assert_eq!(feed(stream, size), (expect.clone(), None), "{size}");
    }
}

#[test]
fn a_later_minor_version_is_read_as_1_1() {
    let (found, reject) = feed(b"GET / HTTP/1.7\r\nHost: a\r\n\r\nGET / HTTP/1.2", 1000);
    assert_eq!((found, reject), (vec![request("/", "")], None));
    assert_eq!(feed(b"GET / HTTP/1.10\r\n", 1000).1, Some(400));
    assert_eq!(feed(b"GET / HTTP/2.1\r\n", 1000).1, Some(505));
}

#[test]
fn a_rejected_head_is_not_consumed() {
    for size in [1, 7, 1000] {
        let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let found = feed(format!("{good}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").as_bytes(), size);
        assert_eq!(found, (vec![request("/", "")], Some(400)));
    }
}

#[test]
fn a_head_is_checked_line_by_line() {
    for bytes in ["GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nX : y\r\n", "\u{16}\u{3}\u{1}", "GET /\r\n"] {
        assert_eq!(feed(bytes.as_bytes(), 1000).1, Some(400), "{bytes:?}");
        assert_eq!(feed(bytes.as_bytes(), 1).1, Some(400), "{bytes:?}");
    }
}

#[test]
fn connection_options() {
    #[track_caller]
    fn check(version: &str, fields: &str, persists: bool, upgrade: bool, takes_trailers: bool) {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        let mut framer = Framer::new(bytes.as_bytes().into(), LIMITS);
        let head = framer.head(&mut Request::new(())).unwrap().unwrap();
        assert_eq!((head.persists, head.takes_trailers), (persists, takes_trailers), "{bytes}");
        assert_eq!(head.upgrade, upgrade.then(|| bytes.into_bytes().into()));
    }
    check("1.1", "", true, false, false);
    check("1.0", "", false, false, false);
    check("1.1", "Connection: x, CLOSE\r\n", false, false, false);
    check("1.0", "Connection: Keep-Alive\r\n", true, false, false);
    check("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false, false, false);
    check("1.1", "Connection: Upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n", true, true, true);
    check("1.1", "Upgrade: websocket\r\n", true, false, false);
    check("1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", true, false, false);
    check("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false, false, false);
    check("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", true, false, false);
}

/// Pieces of requests, good and bad, in any order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"POST /x HTTP/1.1\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"abc".to_vec()),
        Just(b"3\r\nabc\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_verdict_is_the_same_at_any_cuts(mut bytes in pieces(), size in 1usize..40) {
        // A head is judged line by line when it comes in pieces.
        bytes.extend_from_slice(b"\r\n");
        let whole = feed(&bytes, bytes.len());
        let cut = feed(&bytes, size);
        prop_assert_eq!(whole.1, cut.1);
        prop_assert_eq!(whole.0.len(), cut.0.len());
        // The body of the last may break off earlier or later.
        let last = whole.0.len().saturating_sub(1);
        prop_assert_eq!(&whole.0[..last], &cut.0[..last]);
    }
}
