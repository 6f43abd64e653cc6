//! Answers whose head was written before: what is sent in its place is written once, too.

use std::sync::Arc;

use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, Change, Lines, StoredReply, vary};
use http::{HeaderValue, Response};

use crate::assess::{Verdict, assess};
use crate::future::Asked;
use crate::head;
use crate::layer::Shared;
use crate::recode;
use crate::store::{Encoding, Kept};

/// The line by which an answer says that it varies.
const VARIES: &str = "vary: accept-encoding\r\n";

/// The answer with its content encoded, if that is kept, or as it is if that is what is asked for.
/// In every other case the response, for there is more to do.
#[allow(clippy::result_large_err, reason = "it is a response, not an error")]
pub(crate) fn respond(shared: &Shared, asked: &Asked, ready: StoredReply) -> Result<StoredReply, Response<Body>> {
    if asked.head || asked.connect {
        return Err(ready.into_response());
    }
    let Some(coding) = asked.coding else { return identity(shared, ready) };
    let Some(kept) = kept(shared, coding, &ready) else {
        let stays = verdict(shared, &ready) == Verdict::Leave && !recode::concerns(ready.head().headers());
        return if stays { Ok(ready) } else { Err(ready.into_response()) };
    };
    match &kept.encoding {
        None => identity(shared, ready),
        Some(_) if kept.is_improvable() => Err(ready.into_response()),
        Some(encoding) => match lines(shared, coding, &ready, &kept, encoding) {
            Some(lines) => Ok(ready.with_lines(lines, encoding.body(), change(coding))),
            None => Err(ready.into_response()),
        },
    }
}

#[allow(clippy::result_large_err, reason = "it is a response, not an error")]
fn identity(shared: &Shared, ready: StoredReply) -> Result<StoredReply, Response<Body>> {
    match verdict(shared, &ready) {
        Verdict::Leave if recode::concerns(ready.head().headers()) => Err(ready.into_response()),
        Verdict::Encode if !vary::contains(ready.head().headers(), "accept-encoding") => {
            Ok(ready.with_last_line(VARIES, |headers, _| head::varies(headers)))
        }
        _ => Ok(ready),
    }
}

/// What is kept of the content.
fn kept(shared: &Shared, coding: Coding, ready: &StoredReply) -> Option<Arc<Kept>> {
    shared.store.as_ref()?.get((ready.body().id()?, coding))
}

/// The lines that an encoding goes out with: remembered, or made.
fn lines(shared: &Shared, coding: Coding, ready: &StoredReply, kept: &Kept, encoding: &Encoding) -> Option<Lines> {
    let of = ready.head().lines()?.id();
    if let Some(lines) = kept.lines(of) {
        return Some(lines.clone());
    }
    if verdict(shared, ready) != Verdict::Encode {
        return None;
    }
    let lines = ready.lines_after(change(coding), &encoding.body())?;
    if let (Some(store), Some(id)) = (&shared.store, ready.body().id()) {
        store.remember((id, coding), encoding, of, lines.clone());
    }
    Some(lines)
}

fn verdict(shared: &Shared, ready: &StoredReply) -> Verdict {
    let head = ready.head();
    assess(&shared.listed, shared.config.min_size, (head.status(), head.headers()), ready.body().len())
}

/// What is changed in the head of content that is encoded so.
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
