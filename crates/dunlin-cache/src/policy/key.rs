//! The primary key (RFC 9111 §2): scheme, authority, path, the query as far as it counts, and on
//! some routes the client.
//!
//! A key is a text. It is written into a buffer on the stack unless it is uncommonly long, so that
//! a hit allocates nothing for it.

use std::hash::{BuildHasher, Hasher};

use dunlin_http::{fields, query};
use foldhash::quality::FixedState;
use http::header::HOST;

use crate::request::RequestHead;
use crate::{QueryKey, RoutePolicy};

/// The target of a request, and the client whose entries it uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) secure: bool,
    pub(crate) authority: &'a str,
    /// The part of the path that an outer router has removed.
    pub(crate) prefix: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Query<'a>,
    /// The client's subject, if it has entries of its own.
    pub(crate) subject: Option<&'a str>,
}

/// The part of the query that belongs to the key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query<'a> {
    /// The whole query, byte for byte.
    Whole(Option<&'a str>),
    /// The values of these parameters, in this order.
    Declared(&'a str, &'a [String]),
    /// The canonical query that `No-Vary-Search` leaves.
    Reduced(&'a str),
}

/// A key as the bytes of its text.
#[derive(Debug)]
pub(crate) struct KeyBytes {
    /// A key that fits.
    inline: [u8; INLINE],
    length: usize,
    /// The whole of a longer key.
    spilled: Vec<u8>,
}

/// The longest key that stays on the stack.
const INLINE: usize = 120;

/// The hash of a key. Its seeds are random for each cache, so that no client can make two keys
/// collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyHash(pub(crate) u128);

/// The seeds of the hashes.
#[derive(Clone, Debug)]
pub(crate) struct Seeds(FixedState, FixedState);

// === impl Target ===

impl<'a> Target<'a> {
    /// The target of a request: the authority of its URI, or else of `Host`.
    pub(crate) fn of(request: &RequestHead<'a>, policy: &'a RoutePolicy) -> Self {
        let uri = request.uri;
        let host = || fields::first(request.headers, &HOST).and_then(|host| host.to_str().ok());
        let scheme = uri.scheme().or_else(|| request.extensions.get::<http::uri::Scheme>());
        let whole = uri.query();
        Self {
            secure: scheme.is_some_and(|scheme| *scheme == http::uri::Scheme::HTTPS),
            authority: uri.authority().map(|authority| authority.as_str()).or_else(host).unwrap_or_default(),
            prefix: &policy.prefix,
            path: uri.path(),
            query: match &policy.query {
                QueryKey::Whole => Query::Whole(whole),
                QueryKey::Only(names) => Query::Declared(whole.unwrap_or_default(), names),
            },
            subject: request.client.subject(),
        }
    }

    /// The target of a path and query on an origin, for every client.
    pub(crate) fn of_url(secure: bool, authority: &'a str, target: &'a str) -> Self {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Self { secure, authority, prefix: "", path, query: Query::Whole(query), subject: None }
    }

    /// Writes the key in pieces. Equal keys give equal pieces.
    fn write(&self, sink: &mut impl FnMut(&str)) {
        self.write_path(sink);
        match self.query {
            Query::Whole(None) => {}
            Query::Whole(Some(query)) => {
                sink("?");
                sink(query);
            }
            Query::Declared(query, names) => {
                sink("#");
                for name in names {
                    for (_, value) in query::pairs(query).filter(|(other, _)| other == name) {
                        let mut pair = String::new();
                        push_pair(&mut pair, name, &value);
                        sink(&pair);
                    }
                }
            }
            Query::Reduced(rest) => {
                sink("##");
                sink(rest);
            }
        }
        if let Some(subject) = self.subject {
            // Unambiguous: a whole query has no line break, and other queries end with `#` or an
            // unescaped `&`, which an escaped subject does not.
            let mut text = String::from("\n@");
            push_escaped(&mut text, subject);
            sink(&text);
        }
    }

    fn write_path(&self, sink: &mut impl FnMut(&str)) {
        sink(if self.secure { "https://" } else { "http://" });
        // Without a branch for each byte, so that the compiler can vectorise it.
        if self.authority.bytes().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
            sink(&self.authority.to_ascii_lowercase());
        } else {
            sink(self.authority);
        }
        sink(self.prefix);
        sink(self.path);
    }

    /// The key's hash.
    pub(crate) fn hash(&self, seeds: &Seeds) -> KeyHash {
        seeds.hash(&self.bytes())
    }

    /// The hash of [`Target::path_text`].
    pub(crate) fn path_hash(&self, seeds: &Seeds) -> KeyHash {
        seeds.hash(self.path_text().as_bytes())
    }

    /// A text that all keys of this path have in common. It is not itself a key.
    pub(crate) fn path_text(&self) -> String {
        let mut text = String::new();
        self.write_path(&mut |piece| text.push_str(piece));
        text.push_str("#path");
        text
    }

    /// The origin, which is the scope of group names (RFC 9875 §2).
    pub(crate) fn origin(&self) -> String {
        format!("{}{}", if self.secure { "https://" } else { "http://" }, self.authority.to_ascii_lowercase())
    }

    /// The key as a text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(16 + self.authority.len() + self.path.len() + 16);
        self.write(&mut |piece| text.push_str(piece));
        text
    }

    /// The key as the bytes of its text.
    pub(crate) fn bytes(&self) -> KeyBytes {
        let mut bytes = KeyBytes { inline: [0; INLINE], length: 0, spilled: Vec::new() };
        self.write(&mut |piece| bytes.push(piece.as_bytes()));
        bytes
    }

    /// Returns `true` if a URL alone does not determine the key.
    pub(crate) fn is_partial(&self) -> bool {
        self.subject.is_some() || !matches!(self.query, Query::Whole(_))
    }
}

// === impl KeyBytes ===

impl KeyBytes {
    #[inline]
    fn push(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        match self.inline.get_mut(self.length..end) {
            Some(room) if self.spilled.is_empty() => room.copy_from_slice(piece),
            _ => {
                if self.spilled.is_empty() {
                    self.spilled.extend_from_slice(&self.inline[..self.length]);
                }
                self.spilled.extend_from_slice(piece);
            }
        }
        self.length = end;
    }
}

impl std::ops::Deref for KeyBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.length] } else { &self.spilled }
    }
}

// === impl Seeds ===

impl Seeds {
    /// Seeds that no other cache has.
    pub(crate) fn random() -> Self {
        let random = || std::hash::RandomState::new().hash_one(0_u8);
        Self(FixedState::with_seed(random()), FixedState::with_seed(random()))
    }

    /// The hash of a key.
    pub(crate) fn hash(&self, key: &[u8]) -> KeyHash {
        let half = |seed: &FixedState| {
            let mut hasher = seed.build_hasher();
            hasher.write(key);
            u128::from(hasher.finish())
        };
        KeyHash(half(&self.0) << 64 | half(&self.1))
    }

    /// The hash of a name.
    pub(crate) fn name(&self, name: &str) -> u64 {
        self.0.hash_one(name)
    }
}

/// Writes a pair so that different lists of pairs give different texts.
pub(crate) fn push_pair(out: &mut String, name: &str, value: &str) {
    push_escaped(out, name);
    out.push('=');
    push_escaped(out, value);
    out.push('&');
}

/// Writes a text so that it contains none of `&`, `=` and `%` without a `%` before it.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        if matches!(c, '&' | '=' | '%') {
            out.push('%');
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(query: Query<'_>) -> Target<'_> {
        Target { secure: false, authority: "Example.com", prefix: "", path: "/a", query, subject: None }
    }

    #[test]
    fn a_key_of_any_length_is_its_text() {
        for length in (0..20).chain(INLINE - 40..INLINE + 5).chain([1000]) {
            let (path, query) = (format!("/{}", "a".repeat(length)), "b".repeat(length % 7));
            let target = Target { path: &path, ..target(Query::Whole(Some(&query))) };
            assert_eq!(*target.bytes(), *target.text().as_bytes(), "{length}");
        }
    }

    #[test]
    fn keys_differ_exactly_where_targets_do() {
        let seeds = Seeds::random();
        let names = ["x".to_owned(), "y".to_owned()];
        let same = [Query::Declared("y=2&x=1&utm=7", &names), Query::Declared("x=%31&y=2", &names)];
        assert_eq!(target(same[0]).hash(&seeds), target(same[1]).hash(&seeds));
        assert_eq!(target(same[0]).text(), target(same[1]).text());
        let clients = [None, Some("ada"), Some("ada&"), Some("")];
        for (at, one) in clients.iter().enumerate() {
            let of = |subject| Target { subject, ..target(Query::Whole(None)) };
            assert!(clients[at + 1..].iter().all(|other| of(*one).text() != of(*other).text()), "{one:?}");
        }
        let different = [
            Query::Whole(None),
            Query::Whole(Some("")),
            Query::Whole(Some("x=1&y=2")),
            Query::Declared("x=1", &names),
            Query::Declared("x=1&y=", &names),
            Query::Declared("x=1%26y=2", &names),
            Query::Declared("x=1&y=2", &names),
            Query::Reduced("x=1&"),
        ];
        for (at, one) in different.iter().enumerate() {
            assert_eq!(*target(*one).bytes(), *target(*one).text().as_bytes());
            for other in &different[at + 1..] {
                assert_ne!(target(*one).hash(&seeds), target(*other).hash(&seeds), "{one:?} {other:?}");
                assert_ne!(target(*one).text(), target(*other).text(), "{one:?} {other:?}");
            }
        }
    }
}
