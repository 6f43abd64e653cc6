//! `Host` and the authority of a target (RFC 9110 §7.2, RFC 3986 §3.2).

/// Returns `true` if `text` is `uri-host [ ":" port ]` with a host that is not empty.
///
/// RFC 9110 §4.2.1: an http URI with an empty host is invalid and must be rejected.
pub(crate) fn is_host(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let (literal, port) = (&rest[..end], &rest[end + 1..]);
        return is_ip_literal(literal) && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port));
    }
    let (mut host_len, mut classes) = (0, 0);
    for byte in text {
        let class = REG_NAME[usize::from(*byte)];
        if class == 0 {
            break;
        }
        host_len += 1;
        classes |= class;
    }
    let (host, port) = match text.split_at(host_len) {
        ([], _) => return false,
        (host, []) => (host, &[][..]),
        (host, [b':', port @ ..]) => (host, port),
        _ => return false,
    };
    is_port(port) && (classes & ESCAPE == 0 || escapes_are_whole(host))
}

/// Returns `true` for `port = *DIGIT` (RFC 3986 §3.2.3) whose number is a valid port.
fn is_port(text: &[u8]) -> bool {
    let mut port = 0;
    for byte in text {
        port = port * 10 + u32::from(byte.wrapping_sub(b'0'));
        if !byte.is_ascii_digit() || port > 0xffff {
            return false;
        }
    }
    true
}

fn is_ip_literal(text: &[u8]) -> bool {
    match text {
        // IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
        [b'v' | b'V', rest @ ..] => {
            let Some(dot) = memchr::memchr(b'.', rest) else { return false };
            dot > 0
                && rest[..dot].iter().all(u8::is_ascii_hexdigit)
                && rest.len() > dot + 1
                && rest[dot + 1..].iter().all(|&byte| byte == b':' || REG_NAME[usize::from(byte)] == PLAIN)
        }
        _ => std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
    }
}

/// The class of a byte: `unreserved / sub-delims`, `%`, or zero for any other.
static REG_NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => PLAIN,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => PLAIN,
            b'%' => ESCAPE,
            _ => 0,
        };
        byte += 1;
    }
    table
};
const PLAIN: u8 = 1;
const ESCAPE: u8 = 2;

fn escapes_are_whole(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text)
        .all(|at| text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}
