//! Network addresses.

use super::number::integer;
use super::reader::{Malformed, Reader};

const IPV4: u8 = 2;
const IPV6: u8 = 3;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes an `inet` or a `cidr`. A `cidr` always has its prefix length.
pub(crate) fn address(raw: &[u8], cidr: bool, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let (family, bits, _is_cidr, len) = (raw.u8()?, raw.u8()?, raw.u8()?, raw.u8()?);
    let all = match (family, len) {
        (IPV4, 4) => {
            dotted(raw.bytes(4)?, out);
            32
        }
        (IPV6, 16) => {
            ipv6(raw.bytes(16)?, out);
            128
        }
        _ => return Err(Malformed),
    };
    if cidr || bits != all {
        out.push(b'/');
        integer(bits, out);
    }
    raw.end()
}

fn dotted(octets: &[u8], out: &mut Vec<u8>) {
    for (i, &octet) in octets.iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        integer(octet, out);
    }
}

/// Writes an IPv6 address as PostgreSQL's `inet_net_ntop` does. Deviates from RFC 5952 §5: an
/// address that embeds an IPv4 address shows it.
fn ipv6(octets: &[u8], out: &mut Vec<u8>) {
    let mut words = [0u16; 8];
    for (word, pair) in words.iter_mut().zip(octets.chunks_exact(2)) {
        *word = u16::from_be_bytes([pair[0], pair[1]]);
    }
    let (start, len) = longest_zeros(&words);
    let embeds = start == 0 && (len == 6 || (len == 7 && words[7] != 1) || (len == 5 && words[5] == 0xffff));
    for (i, &word) in words.iter().enumerate() {
        if (start..start + len).contains(&i) {
            if i == start {
                out.push(b':');
            }
            continue;
        }
        if i > 0 {
            out.push(b':');
        }
        if i == 6 && embeds {
            return dotted(&octets[12..], out);
        }
        hex_word(word, out);
    }
    if len > 0 && start + len == 8 {
        out.push(b':');
    }
}

/// The index and the length of the longest run of at least two zero words.
fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut start = 0;
    for (i, &word) in words.iter().chain(&[1]).enumerate() {
        if word != 0 {
            if i - start > best.1 {
                best = (start, i - start);
            }
            start = i + 1;
        }
    }
    if best.1 < 2 { (0, 0) } else { best }
}

fn hex_word(word: u16, out: &mut Vec<u8>) {
    let digits = [word >> 12, word >> 8 & 15, word >> 4 & 15, word & 15].map(|d| HEX[usize::from(d)]);
    let zeros = digits[..3].iter().take_while(|&&d| d == b'0').count();
    out.extend_from_slice(&digits[zeros..]);
}

/// Writes a `macaddr` or a `macaddr8`.
pub(crate) fn mac(octets: &[u8], out: &mut Vec<u8>) {
    for (i, &octet) in octets.iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        out.extend_from_slice(&hex_digits(octet));
    }
}

pub(crate) fn uuid(octets: &[u8; 16], out: &mut Vec<u8>) {
    let mut text = [b'-'; 36];
    for (i, &octet) in octets.iter().enumerate() {
        let hyphens = (i >= 4) as usize + (i >= 6) as usize + (i >= 8) as usize + (i >= 10) as usize;
        let at = i * 2 + hyphens;
        text[at..at + 2].copy_from_slice(&hex_digits(octet));
    }
    out.extend_from_slice(&text);
}

/// Writes a `bytea`, such as `\xdeadbeef`.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 + bytes.len() * 2);
    out.extend_from_slice(b"\\x");
    for &byte in bytes {
        out.extend_from_slice(&hex_digits(byte));
    }
}

fn hex_digits(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// Writes a `bit` or a `varbit`, such as `1010`.
pub(crate) fn bits(raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut raw = Reader(raw);
    let count = raw.count()?;
    let bytes = raw.bytes(count.div_ceil(8))?;
    raw.end()?;
    out.extend((0..count).map(|i| b'0' + (bytes[i / 8] >> (7 - i % 8) & 1)));
    Ok(())
}
