//! Encodes content that is complete in memory: on the event loop, in a thread, or as a stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dunlin_http::BodyId;
use dunlin_http::negotiate::Coding;
use tokio::sync::oneshot;

use crate::encoder::{BUDGET, Effort, whole};
use crate::shared::Shared;
use crate::store::{Joined, Kept, Store};

/// Longer content is encoded as a stream, so that its client need not wait for the end, and memory
/// does not hold all of it twice. In bytes.
const MAX_WHOLE: usize = 8 << 20;

/// The state of a content's encoding.
pub(crate) enum Encoded {
    /// The encoding is ready.
    Now(Arc<Kept>),
    /// A thread sends the encoding. If it fails, the content has to be encoded as a stream.
    Later(oneshot::Receiver<Arc<Kept>>),
    /// The content has to be encoded as a stream.
    AsStream,
}

/// Encodes `content`. Content with an id gets a kept encoding.
pub(crate) fn encode(shared: &Arc<Shared>, coding: Coding, content: &Bytes, id: Option<BodyId>) -> Encoded {
    match (&shared.store, id) {
        (Some(store), Some(id)) => encode_to_keep(shared, store, coding, content, id),
        _ => encode_once(shared, coding, content),
    }
}

fn encode_to_keep(shared: &Arc<Shared>, store: &Arc<Store>, coding: Coding, content: &Bytes, id: BodyId) -> Encoded {
    let key = (id, coding);
    if let Some(kept) = store.get(key) {
        if kept.claim_improvement() {
            improve(shared, coding, content, id, &kept);
        }
        return Encoded::Now(kept);
    }
    let leader = match store.join(key) {
        Joined::Kept(kept) => return Encoded::Now(kept),
        Joined::Follower(receiver) => return Encoded::Later(receiver),
        Joined::Leader(leader) => leader,
    };
    if content.len() > MAX_WHOLE {
        return Encoded::AsStream;
    }
    let effort = Effort::kept(coding, shared.config.level.of(coding));
    if effort.cost(content.len()) <= BUDGET {
        return match whole(effort, content) {
            Ok(encoded) => Encoded::Now(leader.finish(Kept::quick(encoded))),
            Err(_) => Encoded::AsStream,
        };
    }
    // The job goes on if this client leaves, because other clients will request the content.
    let (receiver, content) = (leader.follow(), content.clone());
    let job = move || {
        if let Ok(encoded) = whole(effort, &content) {
            leader.finish(Kept::quick(encoded));
        }
    };
    submit(shared, job, receiver)
}

fn encode_once(shared: &Shared, coding: Coding, content: &Bytes) -> Encoded {
    if content.len() > MAX_WHOLE {
        return Encoded::AsStream;
    }
    let effort = Effort::once(coding, shared.config.level.of(coding), content.len());
    if effort.cost(content.len()) <= BUDGET {
        return whole(effort, content)
            .map_or(Encoded::AsStream, |encoded| Encoded::Now(Arc::new(Kept::quick(encoded))));
    }
    let (sender, receiver) = oneshot::channel();
    let content = content.clone();
    let job = move || {
        if !sender.is_closed()
            && let Ok(encoded) = whole(effort, &content)
        {
            let _ = sender.send(Arc::new(Kept::quick(encoded)));
        }
    };
    submit(shared, job, receiver)
}

fn submit(shared: &Shared, job: impl FnOnce() + Send + 'static, receiver: oneshot::Receiver<Arc<Kept>>) -> Encoded {
    if shared.workers.submit(job).is_ok() {
        return Encoded::Later(receiver);
    }
    shared.overflowed.fetch_add(1, Ordering::Relaxed);
    Encoded::AsStream
}

/// Submits the work for a better encoding to the background thread. If its queue is full, a later
/// request tries again.
fn improve(shared: &Arc<Shared>, coding: Coding, content: &Bytes, id: BodyId, known: &Arc<Kept>) {
    let effort = Effort::kept(coding, shared.config.kept_level.of(coding));
    let (background, rejected) = (&shared.background, known);
    let (shared, content, known) = (Arc::clone(shared), content.clone(), Arc::clone(known));
    let job = move || {
        let (Some(store), key) = (&shared.store, (id, coding)) else { return };
        if !store.contains(key) {
            return;
        }
        // If the owner has dropped the content, it is either gone for good, or a later request
        // comes with another copy of it.
        if content.is_unique() {
            return known.release_improvement();
        }
        if let Ok(Some(encoded)) = whole(effort, &content)
            && known.is_longer_than(&encoded)
        {
            store.replace(key, Kept::best(encoded));
            shared.improved.fetch_add(1, Ordering::Relaxed);
        }
    };
    if background.submit(job).is_err() {
        rejected.release_improvement();
    }
}
