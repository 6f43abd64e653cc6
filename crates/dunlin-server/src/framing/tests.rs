use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 20, target: 256 };

/// Feeds `bytes` cut at `size`, as the gate does: what was not let through comes again. Gives what was let through, and
/// the verdict.
fn feed(bytes: &[u8], size: usize) -> (Vec<u8>, Option<Reject>, u64) {
    let mut framer = Framer::new(LIMITS, 0);
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(size.max(1)) {
        let seen = held.len();
        held.extend_from_slice(piece);
        let scan = framer.scan(&held, seen);
        passed.extend(held.drain(..scan.passed));
        if scan.reject.is_some() {
            return (passed, scan.reject, framer.heads());
        }
        assert!(held.len() <= LIMITS.bytes + size, "more is held than a head may have");
    }
    (passed, None, framer.heads())
}

#[test]
fn cuts_do_not_matter() {
    let stream = b"\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\n\r\
        PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nGET /\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.0\r\n\r\n";
    for size in 1..=stream.len() {
        assert_eq!(feed(stream, size), (stream.to_vec(), None, 4), "{size}");
    }
}

#[test]
fn a_later_minor_version_is_found_where_it_stands() {
    let head = b"\r\nGET / HTTP/1.7\r\nHost: a\r\n\r\n";
    let mut framer = Framer::new(LIMITS, 0);
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut bytes = [&good[..], head].concat();
    assert_eq!(framer.scan(&bytes, 0), Scan { passed: good.len(), reject: None });
    let at = good.len() + framer.take_later_minor().unwrap();
    assert_eq!(bytes[at], b'7');
    bytes[at] = b'1';
    assert_eq!(framer.scan(&bytes[good.len()..], 0), Scan { passed: head.len(), reject: None });
    assert_eq!((framer.heads(), framer.take_later_minor()), (2, None));
    // One that has not come to its end may still turn out malformed.
    assert_eq!(framer.scan(b"GET / HTTP/1.2", 0), Scan { passed: 0, reject: None });
    assert_eq!(framer.scan(b"GET / HTTP/1.10\r\n", 0).reject.unwrap().status, 400);
}

#[test]
fn nothing_of_a_bad_head_is_let_through() {
    for size in [1, 7, 1000] {
        let good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let (passed, reject, heads) =
            feed(format!("{good}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").as_bytes(), size);
        assert_eq!((passed.len(), heads), (good.len(), 1));
        assert_eq!(reject.unwrap().status, 400);
    }
}

#[test]
fn an_upgrade_holds_what_follows_until_it_is_decided() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut framer = Framer::new(LIMITS, 0);
    let bytes = [&head[..], b"\0\x01"].concat();
    assert_eq!(framer.scan(&bytes, 0), Scan { passed: head.len(), reject: None });
    assert!(framer.is_undecided());
    framer.decline_upgrade();
    assert_eq!(framer.scan(b"\0\x01", 2).reject.map(|reject| reject.status.as_u16()), None);
    assert_eq!(framer.scan(b"\0\x01\r\n", 2).reject.unwrap().status, 400);
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
    fn any_bytes_are_judged_the_same_whatever_the_cuts(mut bytes in pieces(), size in 1usize..40) {
        // A head is judged line by line when it comes in pieces.
        bytes.extend_from_slice(b"\r\n");
        let whole = feed(&bytes, bytes.len());
        let cut = feed(&bytes, size);
        prop_assert_eq!(whole.2, cut.2);
        prop_assert_eq!(whole.1.map(|reject| reject.status), cut.1.map(|reject| reject.status));
        // Let through is a beginning of what came, and the same one unless a body broke off in the middle.
        prop_assert!(bytes.starts_with(&whole.0) && bytes.starts_with(&cut.0));
    }

    #[test]
    fn what_is_let_through_is_what_the_parser_of_hyper_takes(bytes in pieces()) {
        let (passed, _, heads) = feed(&bytes, bytes.len());
        if heads > 0 {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut fields);
            prop_assert!(request.parse(&passed).is_ok_and(|status| status.is_complete()));
        }
    }
}
