//! What goes to the second level, and what comes from it.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use foldhash::quality::FixedState;

use super::{Saved, record};
use crate::core::Core;
use crate::entry::{Entry, Times};
use crate::fill::Fill;
use crate::flights::{Manner, Outcome};
use crate::keep::{Answer, Kept};
use crate::policy::s4_1_key::{self, Selecting};
use crate::policy::s5_2_request::{Verdict, judge};
use crate::status::Forward;

/// A name for the variant of these fields, the same in every process.
fn variant_name(selecting: &Selecting) -> String {
    let mut hasher = FixedState::with_seed(0x6475_6e6c_696e).build_hasher();
    for (name, value) in selecting {
        hasher.write(name.as_str().as_bytes());
        hasher.write(&[0, u8::from(value.is_some())]);
        hasher.write(value.as_deref().unwrap_or_default().as_bytes());
    }
    format!("{:016x}", hasher.finish())
}

// === impl Answer ===

impl Answer<'_> {
    /// Gives an entry to the second level too, if that could be asked when its fill began.
    pub(crate) fn share(&self, core: &Core, entry: &Entry, kept: &Kept) {
        let (Some(second), Some(stood), None) = (&core.second, self.times.stood, entry.part) else { return };
        let left = entry.rules.lifetime.saturating_sub(entry.age(self.times.received));
        let stale = entry.rules.while_revalidate.max(entry.rules.if_error.unwrap_or_default());
        let ttl = left.saturating_add(stale);
        if ttl.is_zero() {
            return;
        }
        let target = self.key.place.target(&self.policy.query);
        let origin = target.origin();
        let both = |group: &str| [group.to_owned(), Core::group_at(&origin, group)];
        let mut groups: Vec<_> = entry.groups.iter().flat_map(|group| both(group)).collect();
        groups.push(Core::path_anywhere(target.prefix, target.path));
        if kept.of_path {
            groups.push(target.path_text());
        }
        let variant = variant_name(&entry.selecting);
        second.save(&kept.key, Saved { variant, stood, groups, ttl, entry: record::write(entry) });
    }

    /// An entry of the second level, if this request selects it.
    fn recalled(&self, core: &Core, record: Bytes) -> Option<Entry> {
        let mut entry = record::read(record, self.times.since, self.key.slots.clone())?;
        let origin = self.key.place.target(&self.policy.query).origin();
        let slots: Vec<_> = entry.groups.iter().flat_map(|group| core.group_slots(&origin, group)).collect();
        entry.head.slots.extend(slots);
        s4_1_key::selects(&entry.selecting, &entry.headers, self.request).then_some(entry)
    }
}

// === impl Fill ===

impl<S> Fill<S> {
    /// Asks the second level. What it has is the outcome when it is fresh, and what the origin is
    /// asked about when it is not.
    pub(crate) async fn recall(&mut self, since: u64) -> Option<Outcome> {
        let second = self.core.second.as_ref()?;
        let text = self.core.key_text(&self.key, &self.policy);
        let loaded = second.load(&text, &self.core.counters.store_failures).await?;
        self.stood = Some(loaded.stands);
        let answer = self.answer_at(self.core.clock.now(), since);
        let mut entries: Vec<_> =
            loaded.variants.into_iter().filter_map(|record| answer.recalled(&self.core, record)).collect();
        entries.sort_by_key(|entry| entry.received);
        let entry = entries.pop()?;
        if !self.core.generations.is_current(since, &entry.slots) {
            return None;
        }
        let verdict = judge(entry.reuse(self.core.clock.now()), &self.asked);
        if verdict == Verdict::Fresh {
            self.core.counters.shared.add();
            let (entry, _) = answer.keep_here(&self.core, entry);
            let manner = Manner { forward: None, status: None, stored: false, detail: Some("shared") };
            return Some(Outcome::Entry(entry, manner));
        }
        if self.stored.as_ref().is_none_or(|stored| stored.received < entry.received) {
            self.stored = Some(Arc::new(entry));
            self.why = Forward::Stale;
        }
        None
    }

    fn answer_at(&self, now: SystemTime, since: u64) -> Answer<'_> {
        let times = Times { requested: now, received: now, since, stood: None };
        Answer { key: &self.key, policy: &self.policy, request: &self.request.headers, times }
    }
}
