//! The PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt` defines it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1 (§2.1).
const MAX_V1: usize = 107;

/// Reads a header, and no byte more. Returns the address of the client. `None`: the connection is
/// the proxy's own (LOCAL), or its client is unknown (UNKNOWN).
pub(crate) async fn read<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; 12];
    from.read_exact(&mut start).await?;
    if start != SIGNATURE {
        let mut line = start.to_vec();
        while !line.ends_with(b"\r\n") {
            if line.len() == MAX_V1 {
                return Err(malformed());
            }
            line.push(from.read_u8().await?);
        }
        return parse_v1(&line);
    }
    let mut head = [0; 4];
    from.read_exact(&mut head).await?;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    from.read_exact(&mut rest).await?;
    parse_v2(head[0], head[1], &rest)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY protocol header")
}

/// §2.1: `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n`.
fn parse_v1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(malformed)?;
    let parts: Vec<&str> = line.split(' ').collect();
    match *parts {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, port, destination_port] => {
            let ip = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (family == "TCP4"));
            let port_of = |text: &str| text.parse::<u16>().ok();
            match (ip(source), ip(destination), port_of(port), port_of(destination_port)) {
                (Some(ip), Some(_), Some(port), Some(_)) => Ok(Some((ip, port).into())),
                _ => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}

/// §2.2: version and command, family and protocol, then the addresses and what else there is.
fn parse_v2(version: u8, family: u8, rest: &[u8]) -> io::Result<Option<SocketAddr>> {
    match (version, family) {
        // LOCAL: the proxy's own connection, such as a health check.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => match *rest {
            [a, b, c, d, _, _, _, _, high, low, _, _, ..] => {
                Ok(Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
            }
            _ => Err(malformed()),
        },
        (0x21, 0x21) => match (rest.first_chunk::<16>(), rest.get(32..36)) {
            (Some(ip), Some([high, low, ..])) => {
                Ok(Some((Ipv6Addr::from(*ip), u16::from_be_bytes([*high, *low])).into()))
            }
            _ => Err(malformed()),
        },
        // UNSPEC, datagrams and Unix sockets have no address of a TCP client.
        (0x21, _) => Ok(None),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[u8], expect: Option<Option<&str>>) {
        let input = [header, b"GET"].concat();
        let mut input = &input[..];
        let read = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(read(&mut input));
        assert_eq!(read.ok(), expect.map(|addr| addr.map(|addr| addr.parse().unwrap())), "{header:?}");
        if expect.is_some() {
            assert_eq!(input, b"GET", "{header:?}");
        }
    }

    #[test]
    fn version_1() {
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", Some(Some("192.0.2.1:56324")));
        check(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Some(Some("[2001:db8::1]:1")));
        check(b"PROXY UNKNOWN\r\n", Some(None));
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Some(None));
        check(b"PROXY TCP4 ::1 ::1 1 2\r\n", None);
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 443\r\n", None);
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", None);
        check(b"GET / HTTP/1.1\r\n", None);
        check(&[b'P'; 200], None);
    }

    #[test]
    fn version_2() {
        let header = |version, family, rest: &[u8]| {
            [&SIGNATURE[..], &[version, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
        };
        check(&header(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0x1f, 0x90, 0, 80]), Some(Some("192.0.2.1:8080")));
        check(&header(0x21, 0x11, &[192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 80, 4, 0, 1, 0]), Some(Some("192.0.2.1:1")));
        let mut v6 = [0; 36];
        (v6[15], v6[33]) = (1, 7);
        check(&header(0x21, 0x21, &v6), Some(Some("[::1]:7")));
        check(&header(0x20, 0, &[]), Some(None));
        check(&header(0x21, 0x31, &[0; 216]), Some(None));
        check(&header(0x21, 0x11, &[1, 2, 3]), None);
        check(&header(0x11, 0x11, &[0; 12]), None);
    }
}
