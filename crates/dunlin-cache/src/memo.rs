//! [`Memo`]: the fields of a hit that change from second to second, made once for each.

use http::HeaderValue;
use parking_lot::Mutex;

/// `Age` and `Cache-Status` as they were last made, with the age and the time to live that they tell.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<Option<((u64, i64), Fields)>>);

/// The values of `Age` and `Cache-Status`.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) age: HeaderValue,
    pub(crate) status: HeaderValue,
}

// === impl Memo ===

impl Memo {
    /// The fields for this age and time to live. Nobody waits for the lock: who does not get it makes them.
    pub(crate) fn get(&self, told: (u64, i64), make: impl FnOnce() -> Fields) -> Fields {
        let Some(mut last) = self.0.try_lock() else { return make() };
        match &*last {
            Some((of, fields)) if *of == told => fields.clone(),
            _ => last.insert((told, make())).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_made_once_for_each_second() {
        let memo = Memo::default();
        let mut made = 0;
        for told in [(1, 9), (1, 9), (2, 8), (2, 8), (1, 9)] {
            let fields = memo.get(told, || {
                made += 1;
                Fields { age: told.0.into(), status: told.1.into() }
            });
            assert_eq!(fields.age, told.0.to_string());
        }
        assert_eq!(made, 3);
    }
}
