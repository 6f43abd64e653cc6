//! Encodes stored replies, whose header lines are written already. The lines of the encoded reply
//! are written once, too.

use std::sync::Arc;

use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, Change, Lines, StoredReply, vary};
use http::{HeaderValue, Response};

use crate::assess::{Head, Verdict, assess};
use crate::facts::HeadFacts;
use crate::head;
use crate::recode;
use crate::request::RequestInfo;
use crate::shared::Shared;
use crate::store::{Encoding, Kept};

/// The line that an identity response gets.
const VARY_LINE: &str = "vary: accept-encoding\r\n";

/// The outcome for a stored reply.
pub(crate) enum StoredOutcome {
    /// The reply is finished.
    Reply(StoredReply),
    /// The reply has to be handled as a response.
    Response(Response<Body>),
}

/// Encodes a stored reply if its best encoding is kept already, or finishes it in identity if that
/// was negotiated.
pub(crate) fn encode(shared: &Shared, request: &RequestInfo, reply: StoredReply) -> StoredOutcome {
    if request.is_head || request.is_connect {
        return StoredOutcome::Response(reply.into_response());
    }
    let Some(coding) = request.coding else { return identity(shared, reply) };
    let Some(kept) = kept(shared, coding, &reply) else {
        let is_finished = verdict(shared, &reply, reply.body().len()) == Verdict::Leave
            && !recode::is_encoded(reply.head().headers());
        return match is_finished {
            true => StoredOutcome::Reply(reply),
            false => StoredOutcome::Response(reply.into_response()),
        };
    };
    match &kept.encoding {
        None => identity(shared, reply),
        Some(_) if kept.is_improvable() => StoredOutcome::Response(reply.into_response()),
        Some(encoding) => match lines(shared, coding, &reply, &kept, encoding) {
            Some(lines) => StoredOutcome::Reply(reply.with_lines(lines, encoding.body(), change(coding))),
            None => StoredOutcome::Response(reply.into_response()),
        },
    }
}

fn identity(shared: &Shared, reply: StoredReply) -> StoredOutcome {
    let examine = || {
        let headers = reply.head().headers();
        // A size that is unknown is not too small.
        let is_listed = verdict(shared, &reply, None) == Verdict::Encode;
        HeadFacts {
            is_encoded: recode::is_encoded(headers),
            lacks_vary: is_listed && !vary::contains(headers, "accept-encoding"),
        }
    };
    let facts = match reply.head().lines() {
        Some(lines) => shared.facts.get_or_examine(lines.id(), examine),
        None => examine(),
    };
    let is_large = reply.body().len().is_none_or(|len| len >= shared.config.min_size);
    match facts {
        HeadFacts { is_encoded: true, .. } => StoredOutcome::Response(reply.into_response()),
        HeadFacts { lacks_vary: true, .. } if is_large => {
            StoredOutcome::Reply(reply.with_last_line(VARY_LINE, |headers, _| head::varies(headers)))
        }
        _ => StoredOutcome::Reply(reply),
    }
}

/// The kept encoding of the reply's content.
fn kept(shared: &Shared, coding: Coding, reply: &StoredReply) -> Option<Arc<Kept>> {
    shared.store.as_ref()?.get((reply.body().id()?, coding))
}

/// The header lines of the encoded reply: the stored ones, or new ones, which are stored.
fn lines(shared: &Shared, coding: Coding, reply: &StoredReply, kept: &Kept, encoding: &Encoding) -> Option<Lines> {
    let identity_lines = reply.head().lines()?.id();
    if let Some(lines) = kept.lines(identity_lines) {
        return Some(lines.clone());
    }
    if verdict(shared, reply, reply.body().len()) != Verdict::Encode {
        return None;
    }
    let lines = reply.lines_after(change(coding), &encoding.body())?;
    if let (Some(store), Some(id)) = (&shared.store, reply.body().id()) {
        store.set_lines((id, coding), encoding, identity_lines, lines.clone());
    }
    Some(lines)
}

/// Decides about a reply whose content has this size, in bytes.
fn verdict(shared: &Shared, reply: &StoredReply, size: Option<u64>) -> Verdict {
    let head = Head { status: reply.head().status(), headers: reply.head().headers() };
    assess(&shared.types, shared.config.min_size, head, size)
}

/// The change of the header for content in this coding.
const fn change(coding: Coding) -> Change {
    match coding {
        Coding::Zstd => |headers, body| head::encoded(headers, Coding::Zstd, length(body)),
        Coding::Brotli => |headers, body| head::encoded(headers, Coding::Brotli, length(body)),
        Coding::Gzip => |headers, body| head::encoded(headers, Coding::Gzip, length(body)),
    }
}

fn length(body: &Body) -> Option<HeaderValue> {
    body.len().map(HeaderValue::from)
}
