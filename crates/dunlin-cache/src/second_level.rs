//! The exchange of entries with the second level.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::core::Core;
use crate::entry::Entry;
use crate::fill::Fill;
use crate::flights::{Outcome, Provenance};
use crate::head::Times;
use crate::key::{group_at, path_group};
use crate::policy::s4_1_key::{self, Selecting};
use crate::policy::s5_2_request::{Verdict, judge};
use crate::status::ForwardReason;
use crate::store::{Saved, record};
use crate::storing::{ResponseContext, StoredKey};

/// The name of a variant, the same in every process.
fn variant_name(selecting: &Selecting) -> String {
    let mut hasher = FixedState::with_seed(0x6475_6e6c_696e).build_hasher();
    for (name, value) in selecting {
        hasher.write(name.as_str().as_bytes());
        hasher.write(&[0, u8::from(value.is_some())]);
        hasher.write(value.as_deref().unwrap_or_default().as_bytes());
    }
    format!("{:016x}", hasher.finish())
}

// === impl ResponseContext ===

impl ResponseContext<'_> {
    /// Saves an entry in the second level, if that answered when the fill began.
    pub(crate) fn save(&self, core: &Core, entry: &Entry, key: &StoredKey) {
        let (Some(second), Some(generation), None) = (&core.second, self.times.store_generation, entry.part) else {
            return;
        };
        let fresh = entry.rules.lifetime.saturating_sub(entry.age(self.times.received));
        let stale = entry.rules.while_revalidate.max(entry.rules.if_error.unwrap_or_default());
        let ttl = fresh.saturating_add(stale);
        if ttl.is_zero() {
            return;
        }
        let target = self.key.place.target(&self.policy.query);
        let origin = target.origin();
        let both = |group: &str| [group.to_owned(), group_at(&origin, group)];
        let mut groups: Vec<_> = entry.groups.iter().flat_map(|group| both(group)).collect();
        groups.push(path_group(target.prefix, target.path));
        groups.extend(self.policy.scope.iter().map(|scope| scope.to_string()));
        if key.is_partial {
            groups.push(target.path_text());
        }
        let variant = variant_name(&entry.selecting);
        second.save(&key.text, Saved { variant, generation, groups, ttl, entry: record::write(entry) });
    }

    /// The entry of a record, if the request selects it.
    fn recalled(&self, core: &Core, record: Bytes) -> Option<Entry> {
        let mut entry = record::read(record, self.times.since, self.key.slots.clone())?;
        let origin = self.key.place.target(&self.policy.query).origin();
        let slots: Vec<_> = entry.groups.iter().flat_map(|group| core.group_slots(&origin, group)).collect();
        entry.head.slots.extend(slots);
        s4_1_key::selects(&entry.selecting, &entry.headers, self.request).then_some(entry)
    }
}

// === impl Fill ===

impl<H, C> Fill<H, C> {
    /// Looks in the second level. A fresh entry is the outcome. A stale one becomes the stored
    /// response of the fill, to be revalidated.
    pub(crate) async fn recall(&mut self, since: u64) -> Option<Outcome> {
        let core = &self.origin.core;
        let second = core.second.as_ref()?;
        let text = core.key_text(&self.key, &self.origin.policy);
        let loaded = second.load(&text, &core.counters.store_failures).await?;
        self.store_generation = Some(loaded.generation);
        let now = core.clock.now();
        let context = ResponseContext {
            key: &self.key,
            policy: &self.origin.policy,
            request: &self.request.headers,
            times: Times { requested: now, received: now, since, store_generation: None },
        };
        let mut entries: Vec<_> =
            loaded.variants.into_iter().filter_map(|record| context.recalled(core, record)).collect();
        entries.sort_by_key(|entry| entry.received);
        let entry = entries.pop()?;
        if !core.generations.is_current(since, &entry.slots) {
            return None;
        }
        // RFC 9111 §3.5, for an identity that no field of the request shows.
        if self.key.identified && !entry.rules.for_all_clients {
            return None;
        }
        if judge(entry.reuse(now), &self.directives) == Verdict::Fresh {
            core.counters.shared.increment();
            let (entry, _) = context.store_in_memory(core, entry);
            let provenance = Provenance { detail: Some("shared"), ..Provenance::HIT };
            return Some(Outcome::Entry(entry, provenance));
        }
        if self.stored.as_ref().is_none_or(|stored| stored.received < entry.received) {
            self.stored = Some(Arc::new(entry));
            self.reason = ForwardReason::Stale;
        }
        None
    }
}
