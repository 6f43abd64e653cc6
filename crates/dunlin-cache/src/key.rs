//! [`Key`]: the place of a request's response in the cache.

use http::HeaderMap;
use smallvec::SmallVec;

use crate::config::{QueryKey, RoutePolicy};
use crate::core::Core;
use crate::entry::Entry;
use crate::generations::Slot;
use crate::policy::client::Client;
use crate::policy::key::{KeyHash, Query, Target};
use crate::policy::s4_1_key::{self, Selecting};
use crate::request::RequestHead;

/// The place of a request's response, with all that is needed to store it later.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) hash: KeyHash,
    /// The key of the fill. Requests share it unless the variants known so far distinguish them.
    pub(crate) flight: u128,
    pub(crate) place: Place,
    /// The slots of the key and of the route's groups.
    pub(crate) slots: SmallVec<[Slot; 8]>,
    /// `true` if the client has a verified identity and no entries of its own, so that RFC 9111
    /// §3.5 applies.
    pub(crate) identified: bool,
}

/// The owned parts of a target.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    secure: bool,
    authority: String,
    path: String,
    query: Option<String>,
    subject: Option<String>,
}

/// The key under which a response is stored.
pub(crate) struct StorageKey {
    pub(crate) hash: KeyHash,
    pub(crate) text: String,
    /// The slot of the key itself, or of its path if the URL alone does not determine the key.
    pub(crate) slot: Slot,
}

// === impl Core ===

impl Core {
    /// The key of a request for which no stored response is known.
    pub(crate) fn plain_key(&self, request: &RequestHead<'_>, policy: &RoutePolicy) -> Key {
        let target = Target::of(request, policy);
        self.key(request, &target, target.hash(&self.seeds), None, policy)
    }

    /// The key of a request. `stored` is a response of the same key, if there is one.
    pub(crate) fn key(
        &self,
        request: &RequestHead<'_>,
        target: &Target<'_>,
        hash: KeyHash,
        stored: Option<&Entry>,
        policy: &RoutePolicy,
    ) -> Key {
        let variant = stored.map_or(0, |stored| self.variant_hash(&stored.head.selecting, request.headers));
        let place = Place {
            secure: target.secure,
            authority: target.authority.to_owned(),
            path: [target.prefix, target.path].concat(),
            query: request.uri.query().map(str::to_owned),
            subject: target.subject.map(str::to_owned),
        };
        let mut slots = SmallVec::new();
        slots.push(if target.is_partial() { target.path_hash(&self.seeds).into() } else { hash.into() });
        slots.push(self.seeds.name(&path_group(target.prefix, target.path)).into());
        if let Some(scope) = &policy.scope {
            slots.push(self.seeds.name(scope).into());
        }
        if !policy.groups.is_empty() {
            let origin = target.origin();
            slots.extend(policy.groups.iter().flat_map(|group| self.group_slots(&origin, group)));
        }
        let identified = request.client == Client::Identified;
        Key { hash, flight: hash.0 ^ u128::from(variant), place, slots, identified }
    }

    /// The hash of the request fields that select a variant.
    pub(crate) fn variant_hash(&self, selecting: &Selecting, request: &HeaderMap) -> u64 {
        let mut text = String::new();
        for (name, _) in selecting {
            text.push_str(name.as_str());
            if let Some(value) = s4_1_key::normalised(name, request) {
                text.push(':');
                text.push_str(&value);
            }
            text.push('\n');
        }
        if text.is_empty() { 0 } else { self.seeds.name(&text) }
    }

    /// The slots of a group: one for its name everywhere, one for its name at this origin (RFC 9875
    /// §2).
    pub(crate) fn group_slots(&self, origin: &str, group: &str) -> [Slot; 2] {
        [self.seeds.name(group).into(), self.seeds.name(&group_at(origin, group)).into()]
    }

    /// The key as a text, as far as it is known before the response.
    pub(crate) fn key_text(&self, key: &Key, policy: &RoutePolicy) -> String {
        let mut target = key.place.target(&policy.query);
        let reduced = self.reduced_query(&target);
        if let Some(reduced) = &reduced {
            target.query = Query::Reduced(reduced);
        }
        target.text()
    }

    /// The key under which a response with these fields is stored. It notes the response's
    /// `No-Vary-Search` for the next requests.
    pub(crate) fn storage_key(&self, key: &Key, headers: &HeaderMap, policy: &RoutePolicy) -> StorageKey {
        let mut target = key.place.target(&policy.query);
        let path = target.path_hash(&self.seeds);
        let reduced = self.search_rules.note(path, &target, headers);
        if let Some(reduced) = &reduced {
            target.query = Query::Reduced(reduced);
        }
        let hash = target.hash(&self.seeds);
        let slot = if target.is_partial() { path.into() } else { hash.into() };
        StorageKey { hash, text: target.text(), slot }
    }
}

/// The name of the group of all that is stored for a path, with any host and any query.
pub(crate) fn path_group(prefix: &str, path: &str) -> String {
    format!("*{prefix}{path}#path")
}

/// The name of a group at one origin.
pub(crate) fn group_at(origin: &str, group: &str) -> String {
    format!("{origin}\n{group}")
}

// === impl Place ===

impl Place {
    /// Returns `true` if the entries of the place belong to one client.
    pub(crate) const fn has_subject(&self) -> bool {
        self.subject.is_some()
    }

    pub(crate) fn target<'a>(&'a self, rule: &'a QueryKey) -> Target<'a> {
        let query = match rule {
            QueryKey::Whole => Query::Whole(self.query.as_deref()),
            QueryKey::Only(names) => Query::Declared(self.query.as_deref().unwrap_or_default(), names),
        };
        Target {
            secure: self.secure,
            authority: &self.authority,
            prefix: "",
            path: &self.path,
            query,
            subject: self.subject.as_deref(),
        }
    }
}
