//! `Host` and the authority of a target (RFC 9110 §7.2, RFC 3986 §3.2).

/// Whether `text` is `uri-host [ ":" port ]` with a host that is not empty.
///
/// RFC 9110 §4.2.1: an http URI with an empty host is invalid and must be rejected.
pub(crate) fn is_host(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let (literal, port) = (&rest[..end], &rest[end + 1..]);
        return is_ip_literal(literal) && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port));
    }
    let host_len = text.iter().position(|&byte| !REG_NAME[byte as usize]).unwrap_or(text.len());
    let (host, rest) = text.split_at(host_len);
    let port = match rest {
        [] => b"",
        [b':', port @ ..] => port,
        _ => return false,
    };
    !host.is_empty() && escapes_are_whole(host) && is_port(port)
}

/// `port = *DIGIT` (RFC 3986 §3.2.3), and a number that a port can have.
fn is_port(text: &[u8]) -> bool {
    let digit = |port: u32, byte: &u8| Some(port * 10 + char::from(*byte).to_digit(10)?).filter(|&port| port <= 0xffff);
    text.iter().try_fold(0, digit).is_some()
}

fn is_ip_literal(text: &[u8]) -> bool {
    match text {
        // IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
        [b'v' | b'V', rest @ ..] => {
            let Some(dot) = memchr::memchr(b'.', rest) else { return false };
            dot > 0
                && rest[..dot].iter().all(u8::is_ascii_hexdigit)
                && rest.len() > dot + 1
                && rest[dot + 1..].iter().all(|&byte| byte == b':' || (REG_NAME[byte as usize] && byte != b'%'))
        }
        _ => std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
    }
}

/// `unreserved / sub-delims`, and `%`, of which the digits are checked apart.
static REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(byte as u8, b'-' | b'.' | b'_' | b'~')
            || matches!(byte as u8, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'%');
        byte += 1;
    }
    table
};

fn escapes_are_whole(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text)
        .all(|at| text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}
