//! The primary key (RFC 9111 §2): scheme, authority, path, and what of the query counts.
//!
//! A key is a text that tells all that counts. It is written into a buffer on the stack, unless it
//! is uncommonly long, so that a hit allocates nothing for it.

use std::hash::{BuildHasher, Hasher};

use dunlin_http::{fields, query};
use foldhash::quality::FixedState;
use http::header::HOST;
use http::request::Parts;

use crate::{QueryKey, RoutePolicy};

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) secure: bool,
    pub(crate) authority: &'a str,
    /// The part of the path that an outer router has removed.
    pub(crate) prefix: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Query<'a>,
}

/// What of the query is part of the key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query<'a> {
    /// All of it, as it stands.
    Whole(Option<&'a str>),
    /// The values of these parameters, in this order.
    Declared(&'a str, &'a [String]),
    /// What is left of it by `No-Vary-Search`.
    Reduced(&'a str),
}

/// A key as the bytes of its text.
#[derive(Debug)]
pub(crate) struct KeyBytes {
    /// What there is room for.
    near: [u8; NEAR],
    length: usize,
    /// All of a longer one.
    far: Vec<u8>,
}

/// The longest key that lies on the stack.
const NEAR: usize = 120;

/// A key's hash. Its seeds are random for each cache, so that nobody outside can make two keys
/// meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyHash(pub(crate) u128);

/// The seeds of the hashes.
#[derive(Clone, Debug)]
pub(crate) struct Seeds(FixedState, FixedState);

// === impl Target ===

impl<'a> Target<'a> {
    /// The target of a request: the authority of its URI, else of `Host`.
    pub(crate) fn of(parts: &'a Parts, policy: &'a RoutePolicy) -> Self {
        let uri = &parts.uri;
        let host = || fields::first(&parts.headers, &HOST).and_then(|host| host.to_str().ok());
        let scheme = uri.scheme().or_else(|| parts.extensions.get::<http::uri::Scheme>());
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
        }
    }

    /// Writes the key in pieces; equal keys give equal pieces.
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
    }

    fn write_path(&self, sink: &mut impl FnMut(&str)) {
        sink(if self.secure { "https://" } else { "http://" });
        // Without a branch for each byte, so that it is done many bytes at a time.
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

    /// The hash of what all keys of this path have in common. No key has it itself.
    pub(crate) fn path_hash(&self, seeds: &Seeds) -> KeyHash {
        seeds.hash(self.path_text().as_bytes())
    }

    /// What all keys of this path have in common, as a text. No key is it itself.
    pub(crate) fn path_text(&self) -> String {
        let mut text = String::new();
        self.write_path(&mut |piece| text.push_str(piece));
        text.push_str("#path");
        text
    }

    /// The origin, as group names are scoped by it (RFC 9875 §2).
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
        let mut bytes = KeyBytes { near: [0; NEAR], length: 0, far: Vec::new() };
        self.write(&mut |piece| bytes.push(piece.as_bytes()));
        bytes
    }

    /// Whether the key is made from a part of the query, so that one URL does not tell it.
    pub(crate) fn is_partial(&self) -> bool {
        !matches!(self.query, Query::Whole(_))
    }
}

// === impl KeyBytes ===

impl KeyBytes {
    #[inline]
    fn push(&mut self, piece: &[u8]) {
        let end = self.length + piece.len();
        match self.near.get_mut(self.length..end) {
            Some(room) if self.far.is_empty() => room.copy_from_slice(piece),
            _ => {
                if self.far.is_empty() {
                    self.far.extend_from_slice(&self.near[..self.length]);
                }
                self.far.extend_from_slice(piece);
            }
        }
        self.length = end;
    }
}

impl std::ops::Deref for KeyBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.far.is_empty() { &self.near[..self.length] } else { &self.far }
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

/// Writes a pair so that no two different lists of pairs come out the same.
pub(crate) fn push_pair(out: &mut String, name: &str, value: &str) {
    for (text, end) in [(name, '='), (value, '&')] {
        for c in text.chars() {
            match c {
                '&' | '=' | '%' => {
                    out.push('%');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
        out.push(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(query: Query<'_>) -> Target<'_> {
        Target { secure: false, authority: "Example.com", prefix: "", path: "/a", query }
    }

    #[test]
    fn a_key_of_any_length_is_its_text() {
        for length in (0..20).chain(NEAR - 40..NEAR + 5).chain([1000]) {
            let (path, query) = (format!("/{}", "a".repeat(length)), "b".repeat(length % 7));
            let target = Target { path: &path, ..target(Query::Whole(Some(&query))) };
            assert_eq!(*target.bytes(), *target.text().as_bytes(), "{length}");
        }
    }

    #[test]
    fn keys_are_told_apart_and_together() {
        let seeds = Seeds::random();
        let names = ["x".to_owned(), "y".to_owned()];
        let same = [Query::Declared("y=2&x=1&utm=7", &names), Query::Declared("x=%31&y=2", &names)];
        assert_eq!(target(same[0]).hash(&seeds), target(same[1]).hash(&seeds));
        assert_eq!(target(same[0]).text(), target(same[1]).text());
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
