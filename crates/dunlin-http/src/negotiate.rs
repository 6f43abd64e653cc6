//! The negotiation of content codings (RFC 9110 §12.5.3).
//!
//! ```
//! use dunlin_http::negotiate::{AcceptEncoding, Choice, Coding};
//!
//! let accept = AcceptEncoding::parse("gzip;q=0.8, br, *;q=0.1");
//! assert_eq!(accept.choose(&Coding::ALL), Choice::Coding(Coding::Brotli));
//! assert_eq!(accept.choose(&[Coding::Zstd, Coding::Gzip]), Choice::Coding(Coding::Gzip));
//! assert_eq!(accept.choose(&[]), Choice::Identity);
//! ```

mod recent;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU16;

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::{fields, list};

/// A content coding (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// `zstd` (RFC 8878; windows of at most 8 MiB by RFC 9659).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952), also named `x-gzip`.
    Gzip,
}

/// The codings that a client accepts: a parsed `Accept-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    /// Indexed by `Coding as usize`. `None` for a coding that the field does not name.
    codings: [Option<Weight>; Coding::ALL.len()],
    identity: Option<Weight>,
    any: Option<Weight>,
}

/// A weight, stored as thousandths plus one, so that an optional weight takes two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight(NonZeroU16);

/// The result of a negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best coding of those on offer.
    Coding(Coding),
    /// The content without a coding.
    Identity,
    /// Nothing on offer is acceptable. A server may respond with 406 or 415, or send the content
    /// without a coding (RFC 9110 §12.5.3 leaves that to the server).
    Nothing,
}

// === impl Coding ===

impl Coding {
    /// All codings, in an order of preference that suits most services: the least CPU time for the
    /// size first.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The token in `Content-Encoding`.
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

    /// The extension of files in this coding, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// The coding with this name, case-insensitively. `x-gzip` is `gzip` (RFC 9110 §8.4.1.3).
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
    /// Parses the `Accept-Encoding` of a request, with all its lines.
    ///
    /// A request without the field accepts no coding here, as with other servers, because the
    /// client may know none. RFC 9110 §12.5.3 would allow any coding.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        if !fields::has(headers, &ACCEPT_ENCODING) {
            return Self::default();
        }
        let mut lines = headers.get_all(ACCEPT_ENCODING).iter();
        match (lines.next(), lines.next()) {
            (None, _) => Self::default(),
            (Some(line), None) => recent::get_or_parse(line, Self::parse_value),
            (Some(_), Some(_)) => {
                let mut accept = Self::default();
                headers.get_all(ACCEPT_ENCODING).iter().for_each(|line| accept.add(line.to_str().unwrap_or_default()));
                accept
            }
        }
    }

    fn parse_value(line: &HeaderValue) -> Self {
        Self::parse(line.to_str().unwrap_or_default())
    }

    /// Parses one line. Invalid elements are ignored. Of a repeated element, the smallest weight
    /// counts, so that a refusal is never missed.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut accept = Self::default();
        accept.add(line);
        accept
    }

    /// Adds the elements of a line.
    fn add(&mut self, line: &str) {
        // The field has no quoted strings, so each comma separates elements.
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

    /// The weight of `coding` in thousandths. 0 is a refusal. A coding that is not named has the
    /// weight of `*`, or else 0.
    #[must_use]
    pub fn weight(&self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.any).map_or(0, Weight::thousandths)
    }

    /// The weight of content without a coding, in thousandths. 0 is a refusal.
    ///
    /// RFC 9110 §12.5.3, rule 2: it is acceptable unless refused by `identity;q=0`, or by `*;q=0`
    /// without an element for `identity`. `None` means that it is not named. It is then acceptable,
    /// but comes after every coding that is named.
    #[must_use]
    pub fn identity_weight(&self) -> Option<u16> {
        self.identity.or(self.any).map(Weight::thousandths)
    }

    /// Chooses the best of the codings `offered`, which are in the server's order of preference.
    ///
    /// The greatest weight wins, then the coding that is offered first. With equal weights, a
    /// coding comes before identity, because it saves bytes.
    #[must_use]
    pub fn choose(&self, offered: &[Coding]) -> Choice {
        let mut best: Option<(u16, Coding)> = None;
        for &coding in offered {
            let weight = self.weight(coding);
            if weight > best.map_or(0, |(greatest, _)| greatest) {
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

/// The weight in an element's parameters, in thousandths, or 1000 if there is none. Other
/// parameters are ignored. Returns `None` if the weight is malformed.
fn weight(parameters: &str) -> Option<u16> {
    for parameter in parameters.split(';') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if list::trim(name).eq_ignore_ascii_case("q") {
            return qvalue(list::trim(value));
        }
    }
    Some(1000)
}

/// Parses a weight into thousandths (RFC 9110 §12.4.2): `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1"
/// [ "." 0*3("0") ] )`.
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
