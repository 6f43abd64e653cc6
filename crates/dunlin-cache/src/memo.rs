//! The fields of a hit that change from second to second, made once for each.

use std::cell::RefCell;
use std::sync::Arc;

use dunlin_http::VolatileFields;
use http::HeaderValue;
use http::header::AGE;

use crate::entry::CACHE_STATUS;

/// How many are remembered; a power of two.
const PLACES: usize = 64;

/// The values of `Age` and `Cache-Status`.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) age: HeaderValue,
    pub(crate) status: HeaderValue,
}

/// The age and the time to live that fields tell.
type Told = (u64, i64);
/// What was told, and its lines.
type Place = Option<(Told, Fields, Arc<VolatileFields>)>;

thread_local! {
    /// What was told last. What was stored in the same second and is good for as long tells the
    /// same; and what is remembered by a thread alone has counts of references that no other one
    /// contends for.
    static LAST: RefCell<[Place; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// The fields of a plain hit in the cache of this name, for this age and time to live. They are
/// made by `make` when they are not remembered.
pub(crate) fn fields(name: &str, told: Told, make: impl FnOnce() -> Fields) -> Fields {
    remembered(name, told, make, |fields, _| fields.clone())
}

/// The same, with their lines.
pub(crate) fn ahead(name: &str, told: Told, make: impl FnOnce() -> Fields) -> Arc<VolatileFields> {
    remembered(name, told, make, |_, ahead| Arc::clone(ahead))
}

fn remembered<T>(
    name: &str,
    told: Told,
    make: impl FnOnce() -> Fields,
    take: impl FnOnce(&Fields, &Arc<VolatileFields>) -> T,
) -> T {
    LAST.with_borrow_mut(|last| {
        let place = &mut last[(told.0.wrapping_mul(31) ^ told.1 as u64) as usize % PLACES];
        match place {
            Some((of, fields, ahead)) if *of == told && is_of(&fields.status, name) => take(fields, ahead),
            _ => {
                let fields = make();
                let ahead = VolatileFields::new([(AGE, fields.age.clone()), (CACHE_STATUS, fields.status.clone())]);
                let (_, fields, ahead) = place.insert((told, fields, Arc::new(ahead)));
                take(fields, ahead)
            }
        }
    })
}

/// Whether a `Cache-Status` is that of the cache of this name.
fn is_of(status: &HeaderValue, name: &str) -> bool {
    status.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_made_once_for_each_second_and_name() {
        let mut made = 0;
        for (name, told) in [("a", (1, 9)), ("a", (1, 9)), ("a", (2, 8)), ("a", (1, 9)), ("ab", (1, 9)), ("ab", (1, 9))]
        {
            let fields = fields(name, told, || {
                made += 1;
                let status = HeaderValue::try_from(format!("{name}; hit; ttl={}", told.1)).unwrap();
                Fields { age: told.0.into(), status }
            });
            assert_eq!(fields.age, told.0.to_string());
            assert!(is_of(&fields.status, name));
            let ahead = ahead(name, told, || unreachable!("it is remembered"));
            assert_eq!(ahead.fields(), [(AGE, fields.age), (CACHE_STATUS, fields.status)]);
        }
        assert_eq!(made, 3);
    }
}
