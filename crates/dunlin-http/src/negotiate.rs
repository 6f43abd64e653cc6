//! Content negotiation of codings (RFC 9110 §12.5.3).
//!
//! ```
//! use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
//!
//! let accept = AcceptEncoding::parse("gzip;q=0.8, br, *;q=0.1");
//! assert_eq!(accept.choose(&[Coding::Zstd, Coding::Gzip, Coding::Brotli]), Choice::Coding(Coding::Brotli));
//! assert_eq!(accept.choose(&[Coding::Zstd, Coding::Gzip]), Choice::Coding(Coding::Gzip));
//! assert_eq!(accept.choose(&[]), Choice::Identity);
//! ```

mod memo;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU16;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::{fields, list};

/// A content coding (RFC 9110 §8.4.1) that dunlin knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// `zstd` (RFC 8878; windows of at most 8 MiB by RFC 9659).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952), which `x-gzip` is another name for.
    Gzip,
}

/// What a client says it takes: the field `Accept-Encoding`, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    /// By `Coding as usize`; `None` for a coding that the client does not name.
    codings: [Option<Weight>; Coding::ALL.len()],
    identity: Option<Weight>,
    any: Option<Weight>,
}

/// A weight. It holds the thousandths plus one, so that an optional weight takes two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight(NonZeroU16);

/// What came of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This coding is the best that is on offer.
    Coding(Coding),
    /// The content as it is.
    Identity,
    /// Nothing on offer is acceptable. A server may answer 415 or 406, or send what it has all the
    /// same (RFC 9110 §12.5.3 leaves it to the server).
    Nothing,
}

// === impl Coding ===

impl Coding {
    /// Every coding, in the order of preference that suits most services: the cheapest for its size
    /// first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The token of `Content-Encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The value of `Content-Encoding`.
    #[must_use]
    pub const fn to_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }

    /// How files in this coding end, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// The coding of this name, in any case. RFC 9110 §8.4.1.3: `x-gzip` is to be taken as `gzip`.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        if token.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| token.eq_ignore_ascii_case(coding.as_str()))
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl AcceptEncoding ===

impl AcceptEncoding {
    /// What the request's `Accept-Encoding` says, over all its lines.
    ///
    /// RFC 9110 §12.5.3 lets a server take a request without the field as one that accepts any
    /// coding. Here nothing is accepted that was not asked for, as everywhere in practice: such a
    /// client may not know any.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if !fields::has(headers, &ACCEPT_ENCODING) {
            return Self::default();
        }
        let mut lines = headers.get_all(ACCEPT_ENCODING).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Self::default(),
            (Some(line), None) => memo::remembered(line, Self::of_line),
            (Some(_), Some(_)) => {
                let mut accept = Self::default();
                headers.get_all(ACCEPT_ENCODING).iter().for_each(|line| accept.read(line.to_str().unwrap_or_default()));
                accept
            }
        }
    }

    fn of_line(line: &HeaderValue) -> Self {
        Self::parse(line.to_str().unwrap_or_default())
    }

    /// What one line says. An element that is none is passed over; of an element that comes twice
    /// the lesser weight counts, so that a refusal is never overlooked.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut accept = Self::default();
        accept.read(line);
        accept
    }

    fn read(&mut self, line: &str) {
        // No quoted string may stand in this field, so a comma always parts elements.
        for element in line.split(',') {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            let (name, Some(weight)) = (list::trim(name), weight(parameters).map(Weight::new)) else { continue };
            let slot = match Coding::from_token(name) {
                Some(coding) => &mut self.codings[coding as usize],
                None if name == "*" => &mut self.any,
                None if name.eq_ignore_ascii_case("identity") => &mut self.identity,
                None => continue,
            };
            *slot = Some(slot.map_or(weight, |known| known.min(weight)));
        }
    }

    /// The weight of `coding` in thousandths; 0 is a refusal. What is not named has the weight of
    /// `*`, or else none.
    #[must_use]
    pub fn weight(&self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.any).map_or(0, Weight::thousandths)
    }

    /// The weight of content without a coding; 0 is a refusal.
    ///
    /// RFC 9110 §12.5.3, rule 2: it is acceptable unless `identity;q=0`, or `*;q=0` without an
    /// entry for `identity`, says otherwise. Unnamed it comes after everything that is named, so
    /// its weight is then less than any that can be written: `None`.
    #[must_use]
    pub fn identity_weight(&self) -> Option<u16> {
        self.identity.or(self.any).map(Weight::thousandths)
    }

    /// The best of the codings `offered`, which stand in the server's order of preference: the
    /// greatest weight wins, then the one that is offered first. Among equals a coding comes before
    /// identity, which saves bytes and which the client has said it likes no less.
    #[must_use]
    pub fn choose(&self, offered: &[Coding]) -> Choice {
        let mut best: Option<(u16, Coding)> = None;
        for &coding in offered {
            let weight = self.weight(coding);
            if weight > best.map_or(0, |(most, _)| most) {
                best = Some((weight, coding));
            }
        }
        match (best, self.identity_weight()) {
            (Some((weight, _)), Some(identity)) if identity > weight => Choice::Identity,
            (Some((_, coding)), _) => Choice::Coding(coding),
            (None, Some(0)) => Choice::Nothing,
            (None, _) => Choice::Identity,
        }
    }
}

// === impl Weight ===

impl Weight {
    const fn new(thousandths: u16) -> Self {
        Self(NonZeroU16::MIN.saturating_add(thousandths))
    }

    const fn thousandths(self) -> u16 {
        self.0.get() - 1
    }
}

/// The weight among an element's parameters, in thousandths: 1000 if there is none, `None` if it is
/// malformed. Other parameters mean nothing here and are passed over.
fn weight(parameters: &str) -> Option<u16> {
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if list::trim(name).eq_ignore_ascii_case("q") {
            return qvalue(list::trim(value));
        }
    }
    Some(1000)
}

/// RFC 9110 §12.4.2: `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`, in
/// thousandths.
#[must_use]
pub fn qvalue(text: &str) -> Option<u16> {
    let (whole, decimals) = match text.as_bytes() {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let mut unit = 100;
    for digit in decimals {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * unit;
        unit /= 10;
    }
    (thousandths <= 1000).then_some(thousandths)
}
