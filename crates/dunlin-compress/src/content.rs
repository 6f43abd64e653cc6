//! Content that is complete in memory: kept, made here, made by a thread, or not encoded as a whole
//! at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use dunlin_http::BodyId;
use dunlin_http::negotiate::Coding;
use tokio::sync::oneshot;

use crate::encoder::{BUDGET, Effort, whole};
use crate::layer::Shared;
use crate::store::{Joined, Kept, Store};

/// Content above this many bytes is encoded as a stream, so that its client need not wait for the
/// end, nor memory hold all of it twice.
const WHOLE: usize = 8 << 20;

/// Where an encoding comes from.
pub(crate) enum Source {
    /// It is here.
    Ready(Arc<Kept>),
    /// A thread sends it; when that cannot be, the content is to be encoded in slices.
    Later(oneshot::Receiver<Arc<Kept>>),
    /// The content is to be encoded in slices.
    Slices,
}

/// Looks `content` up or has it encoded.
pub(crate) fn encode(shared: &Arc<Shared>, coding: Coding, content: &Bytes, id: Option<BodyId>) -> Source {
    match (&shared.store, id) {
        (Some(store), Some(id)) => kept(shared, store, coding, content, id),
        _ => passing(shared, coding, content),
    }
}

/// Content that will be asked for again.
fn kept(shared: &Arc<Shared>, store: &Arc<Store>, coding: Coding, content: &Bytes, id: BodyId) -> Source {
    let key = (id, coding);
    if let Some(kept) = store.get(key) {
        if kept.deserves_better() {
            improve(shared, coding, content, id, &kept);
        }
        return Source::Ready(kept);
    }
    let lead = match store.join(key) {
        Joined::Kept(kept) => return Source::Ready(kept),
        Joined::Follow(receiver) => return Source::Later(receiver),
        Joined::Lead(lead) => lead,
    };
    if content.len() > WHOLE {
        return Source::Slices;
    }
    let effort = Effort::kept(coding, shared.config.level.of(coding));
    if effort.cost(content.len()) <= BUDGET {
        return match whole(effort, content) {
            Ok(encoded) => Source::Ready(lead.land(Kept::first(encoded))),
            Err(_) => Source::Slices,
        };
    }
    // It is made even if this client goes away: others will ask.
    let (receiver, content) = (lead.follow(), content.clone());
    let job = move || {
        if let Ok(encoded) = whole(effort, &content) {
            lead.land(Kept::first(encoded));
        }
    };
    submit(shared, job, receiver)
}

/// Content that nobody will ask for again.
fn passing(shared: &Shared, coding: Coding, content: &Bytes) -> Source {
    if content.len() > WHOLE {
        return Source::Slices;
    }
    let effort = Effort::once(coding, shared.config.level.of(coding), content.len());
    if effort.cost(content.len()) <= BUDGET {
        return whole(effort, content).map_or(Source::Slices, |encoded| Source::Ready(Arc::new(Kept::first(encoded))));
    }
    let (sender, receiver) = oneshot::channel();
    let content = content.clone();
    let job = move || {
        if !sender.is_closed()
            && let Ok(encoded) = whole(effort, &content)
        {
            let _ = sender.send(Arc::new(Kept::first(encoded)));
        }
    };
    submit(shared, job, receiver)
}

fn submit(shared: &Shared, job: impl FnOnce() + Send + 'static, receiver: oneshot::Receiver<Arc<Kept>>) -> Source {
    if shared.workers.submit(job).is_ok() {
        return Source::Later(receiver);
    }
    shared.overflowed.fetch_add(1, Ordering::Relaxed);
    Source::Slices
}

/// Has a better encoding made when there is time for it. If the queue is full, a later request will
/// ask again.
fn improve(shared: &Arc<Shared>, coding: Coding, content: &Bytes, id: BodyId, known: &Arc<Kept>) {
    let effort = Effort::kept(coding, shared.config.kept_level.of(coding));
    let (background, again) = (&shared.background, known);
    let (shared, content, known) = (Arc::clone(shared), content.clone(), Arc::clone(known));
    let job = move || {
        let (Some(store), key) = (&shared.store, (id, coding)) else { return };
        if !store.holds(key) {
            return;
        }
        // The owner of the content may have let go of it by now. Then nobody can ask for it again,
        // or else it has another copy, which comes with the next who ask.
        if content.is_unique() {
            return known.try_again();
        }
        if let Ok(Some(encoded)) = whole(effort, &content)
            && known.is_longer_than(&encoded)
        {
            store.improve(key, Kept::best(encoded));
            shared.improved.fetch_add(1, Ordering::Relaxed);
        }
    };
    if background.submit(job).is_err() {
        again.try_again();
    }
}
