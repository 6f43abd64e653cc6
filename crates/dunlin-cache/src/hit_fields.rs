//! The fields of a hit that change from second to second, cached for each thread.

use std::cell::RefCell;
use std::sync::Arc;

use dunlin_http::VolatileFields;
use http::HeaderValue;
use http::header::AGE;

use crate::field_names::CACHE_STATUS;

/// The number of cached pairs; a power of two.
const PLACES: usize = 64;

/// The values of `Age` and `Cache-Status`.
#[derive(Clone, Debug)]
pub(crate) struct HitFields {
    pub(crate) age: HeaderValue,
    pub(crate) status: HeaderValue,
}

/// The numbers that the fields of a plain hit contain, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    pub(crate) age: u64,
    /// The time to live; negative for a stale response.
    pub(crate) ttl: i64,
}

/// The last fields, each at the place that its numbers hash to.
///
/// Responses that were stored in the same second for the same time share their fields. A thread has
/// its own, so that threads do not contend for one reference count.
struct HitFieldCache([Option<CachedFields>; PLACES]);

struct CachedFields {
    freshness: Freshness,
    fields: HitFields,
    lines: Arc<VolatileFields>,
}

thread_local! {
    static CACHE: RefCell<HitFieldCache> = const { RefCell::new(HitFieldCache([const { None }; PLACES])) };
}

/// The fields of a plain hit of the cache with this name. `make` makes them if they are not cached.
pub(crate) fn fields(cache_name: &str, freshness: Freshness, make: impl FnOnce() -> HitFields) -> HitFields {
    CACHE.with_borrow_mut(|cache| cache.get(cache_name, freshness, make).fields.clone())
}

/// As [`fields`], with the lines of HTTP/1.1.
pub(crate) fn lines(cache_name: &str, freshness: Freshness, make: impl FnOnce() -> HitFields) -> Arc<VolatileFields> {
    CACHE.with_borrow_mut(|cache| Arc::clone(&cache.get(cache_name, freshness, make).lines))
}

// === impl HitFieldCache ===

impl HitFieldCache {
    fn get(&mut self, cache_name: &str, freshness: Freshness, make: impl FnOnce() -> HitFields) -> &CachedFields {
        let hash = freshness.age.wrapping_mul(31) ^ freshness.ttl as u64;
        let place = &mut self.0[hash as usize % PLACES];
        let is_match =
            |cached: &CachedFields| cached.freshness == freshness && is_of(&cached.fields.status, cache_name);
        if !place.as_ref().is_some_and(is_match) {
            *place = None;
        }
        place.get_or_insert_with(|| {
            let fields = make();
            let lines = VolatileFields::new([(AGE, fields.age.clone()), (CACHE_STATUS, fields.status.clone())]);
            CachedFields { freshness, fields, lines: Arc::new(lines) }
        })
    }
}

/// Returns `true` if a `Cache-Status` is by the cache with this name.
fn is_of(status: &HeaderValue, cache_name: &str) -> bool {
    status.as_bytes().strip_prefix(cache_name.as_bytes()).is_some_and(|rest| rest.starts_with(b";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_made_once_for_each_second_and_name() {
        let mut made = 0;
        for (name, age, ttl) in [("a", 1, 9), ("a", 1, 9), ("a", 2, 8), ("a", 1, 9), ("ab", 1, 9), ("ab", 1, 9)] {
            let freshness = Freshness { age, ttl };
            let fields = fields(name, freshness, || {
                made += 1;
                let status = HeaderValue::try_from(format!("{name}; hit; ttl={ttl}")).unwrap();
                HitFields { age: age.into(), status }
            });
            assert_eq!(fields.age, age.to_string());
            assert!(is_of(&fields.status, name));
            let lines = lines(name, freshness, || unreachable!("they are cached"));
            assert_eq!(lines.fields(), [(AGE, fields.age), (CACHE_STATUS, fields.status)]);
        }
        assert_eq!(made, 3);
    }
}
