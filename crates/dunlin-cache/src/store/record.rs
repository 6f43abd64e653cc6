//! The binary form of an entry, for a second level.
//!
//! A record begins with its version, and a record of another version is ignored. So instances of
//! two versions can share a store, each with its own entries. Integers are big-endian. A text or a
//! body comes after its length.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use dunlin_http::BodyId;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use crate::client_freshness::ClientFreshness;
use crate::entry::Entry;
use crate::generations::Slot;
use crate::head::{Head, Rules};
use crate::policy::s4_1_key::Selecting;

/// The version. It changes with every change of the form.
const VERSION: &[u8; 4] = b"DLC3";

/// The record of a complete entry.
pub(crate) fn write(entry: &Entry) -> Bytes {
    let mut out = BytesMut::with_capacity(entry.body.len() + 1024);
    out.put_slice(VERSION);
    out.put_u16(entry.status.as_u16());
    let received = entry.received.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    duration(received, &mut out);
    duration(entry.initial_age, &mut out);
    let rules = &entry.rules;
    duration(rules.lifetime, &mut out);
    let flags = [rules.validate_always, rules.never_stale, rules.for_all_clients];
    out.put_u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    duration(rules.while_revalidate, &mut out);
    option(rules.if_error, &mut out, duration);
    match &entry.client_freshness {
        ClientFreshness::Unchanged => out.put_u8(0),
        ClientFreshness::Fixed(value) => {
            out.put_u8(1);
            text(value.as_bytes(), &mut out);
        }
        ClientFreshness::FromNow(time) => {
            out.put_u8(2);
            duration(*time, &mut out);
        }
        ClientFreshness::Inserted => out.put_u8(3),
    }
    option(entry.upstream_status.as_ref(), &mut out, |value, out| text(value.as_bytes(), out));
    out.put_u32(entry.selecting.len() as u32);
    for (name, value) in &entry.selecting {
        text(name.as_str().as_bytes(), &mut out);
        option(value.as_deref(), &mut out, |value, out| text(value.as_bytes(), out));
    }
    out.put_u32(entry.groups.len() as u32);
    entry.groups.iter().for_each(|group| text(group.as_bytes(), &mut out));
    out.put_u32(entry.headers.len() as u32);
    for (name, value) in &entry.headers {
        text(name.as_str().as_bytes(), &mut out);
        text(value.as_bytes(), &mut out);
    }
    text(&entry.body, &mut out);
    let trailers = entry.trailers.as_deref();
    out.put_u32(trailers.map_or(0, HeaderMap::len) as u32);
    for (name, value) in trailers.into_iter().flatten() {
        text(name.as_str().as_bytes(), &mut out);
        text(value.as_bytes(), &mut out);
    }
    out.freeze()
}

/// Parses a record. Returns `None` if it has another version or form. The reader gives the entry
/// its generation and its slots.
pub(crate) fn read(record: Bytes, since: u64, slots: SmallVec<[Slot; 8]>) -> Option<Entry> {
    let mut rest = Reader(record);
    if &rest.take(4)?[..] != VERSION {
        return None;
    }
    let status = StatusCode::from_u16(rest.u16()?).ok()?;
    let received = SystemTime::UNIX_EPOCH.checked_add(rest.duration()?)?;
    let initial_age = rest.duration()?;
    let lifetime = rest.duration()?;
    let flags = rest.u8()?;
    let rules = Rules {
        lifetime,
        validate_always: flags & 1 != 0,
        never_stale: flags & 2 != 0,
        for_all_clients: flags & 4 != 0,
        while_revalidate: rest.duration()?,
        if_error: rest.option(Reader::duration)?,
    };
    let client_freshness = match rest.u8()? {
        0 => ClientFreshness::Unchanged,
        1 => ClientFreshness::Fixed(rest.value()?),
        2 => ClientFreshness::FromNow(rest.duration()?),
        3 => ClientFreshness::Inserted,
        _ => return None,
    };
    let upstream_status = rest.option(Reader::value)?;
    let selecting =
        (0..rest.u32()?).map(|_| Some((rest.name()?, rest.option(Reader::string)?))).collect::<Option<Selecting>>()?;
    let groups = (0..rest.u32()?).map(|_| rest.string()).collect::<Option<_>>()?;
    let headers = rest.fields()?;
    let body = rest.text()?;
    let trailers = Some(rest.fields()?).filter(|trailers| !trailers.is_empty()).map(Arc::new);
    let head = Head {
        status,
        headers,
        upstream_status,
        client_freshness,
        selecting,
        received,
        initial_age,
        rules,
        groups,
        slots,
        since,
    };
    rest.0.is_empty().then(|| Entry::with_stored_body(head, body, BodyId::new(), None).with_trailers(trailers))
}

fn duration(duration: Duration, out: &mut BytesMut) {
    out.put_u64(duration.as_secs());
    out.put_u32(duration.subsec_nanos());
}

fn text(text: &[u8], out: &mut BytesMut) {
    out.put_u32(text.len() as u32);
    out.put_slice(text);
}

fn option<T>(value: Option<T>, out: &mut BytesMut, write: impl FnOnce(T, &mut BytesMut)) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

/// The rest of a record.
struct Reader(Bytes);

// === impl Reader ===

impl Reader {
    fn take(&mut self, n: usize) -> Option<Bytes> {
        (n <= self.0.len()).then(|| self.0.split_to(n))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?[..].try_into().ok()
    }

    fn fields(&mut self) -> Option<HeaderMap> {
        let mut fields = HeaderMap::new();
        for _ in 0..self.u32()? {
            fields.try_append(self.name()?, self.value()?).ok()?;
        }
        Some(fields)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn duration(&mut self) -> Option<Duration> {
        let seconds = self.array().map(u64::from_be_bytes)?;
        self.u32().filter(|nanos| *nanos < 1_000_000_000).map(|nanos| Duration::new(seconds, nanos))
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<Bytes> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn string(&mut self) -> Option<Box<str>> {
        std::str::from_utf8(&self.text()?).ok().map(Into::into)
    }

    fn name(&mut self) -> Option<HeaderName> {
        HeaderName::from_bytes(&self.text()?).ok()
    }

    fn value(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.text()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let seconds = || (0u64..1 << 40, 0u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n));
        let value = || "[ -~]{0,12}".prop_map(|text| HeaderValue::from_str(&text).unwrap());
        let name = || "[a-z]{1,8}".prop_map(|text| HeaderName::try_from(text).unwrap());
        let client_freshness = prop_oneof![
            Just(ClientFreshness::Unchanged),
            value().prop_map(ClientFreshness::Fixed),
            seconds().prop_map(ClientFreshness::FromNow),
        ];
        let rules = (seconds(), any::<[bool; 3]>(), seconds(), prop::option::of(seconds())).prop_map(
            |(lifetime, [validate_always, never_stale, for_all_clients], while_revalidate, if_error)| Rules {
                lifetime,
                validate_always,
                never_stale,
                for_all_clients,
                while_revalidate,
                if_error,
            },
        );
        let selecting = prop::collection::vec((name(), prop::option::of("\\PC{0,8}")), 0..3);
        let fields = prop::collection::vec((name(), value()), 0..6);
        let groups = prop::collection::vec("\\PC{0,8}", 0..3);
        let body = prop::collection::vec(any::<u8>(), 0..100);
        let body = (body, prop::collection::vec((name(), value()), 0..3));
        (
            (200u16..600, seconds(), seconds(), rules),
            client_freshness,
            prop::option::of(value()),
            selecting,
            fields,
            groups,
            body,
        )
            .prop_map(
                |(
                    (status, received, initial_age, rules),
                    client_freshness,
                    upstream_status,
                    selecting,
                    fields,
                    groups,
                    body,
                )| {
                    let head = Head {
                        status: StatusCode::from_u16(status).unwrap(),
                        headers: fields.into_iter().collect(),
                        upstream_status,
                        client_freshness,
                        selecting: selecting.into_iter().map(|(name, value)| (name, value.map(Into::into))).collect(),
                        received: SystemTime::UNIX_EPOCH + received,
                        initial_age,
                        rules,
                        groups: groups.into_iter().map(Into::into).collect(),
                        slots: SmallVec::new(),
                        since: 7,
                    };
                    let (body, trailers) = body;
                    let trailers = Some(HeaderMap::from_iter(trailers)).filter(|trailers| !trailers.is_empty());
                    let entry = Entry::with_stored_body(head, Bytes::from(body), BodyId::new(), None);
                    entry.with_trailers(trailers.map(Arc::new))
                },
            )
    }

    proptest! {
        #[test]
        fn a_record_reads_as_it_was_written(entry in entry()) {
            let record = write(&entry);
            let mut again = read(record.clone(), 7, SmallVec::new()).unwrap();
            again.id = entry.id;
            prop_assert_eq!(format!("{again:?}"), format!("{entry:?}"));
            for end in 0..record.len() {
                prop_assert!(read(record.slice(..end), 7, SmallVec::new()).is_none());
            }
        }

        #[test]
        fn reading_never_panics(
            entry in entry(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut record = write(&entry).to_vec();
            for (at, byte) in changes {
                let at = at.index(record.len());
                record[at] = byte;
            }
            let _ = read(record.into(), 7, SmallVec::new());
        }
    }
}
