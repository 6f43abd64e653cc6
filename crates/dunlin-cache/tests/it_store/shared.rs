//! The simplest store that fulfils the contract.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dunlin_cache::store::{Invalidation, Listener, Loaded, Saved, Store};
use dunlin_http::BoxError;

#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    number: u64,
    floor: u64,
    /// The number of the last invalidation of each name.
    last: HashMap<String, u64>,
    entries: HashMap<String, HashMap<String, Saved>>,
    listeners: Vec<Listener>,
    hangs: bool,
    loads: u32,
}

impl Shared {
    pub(crate) fn hang(&self, hangs: bool) {
        self.0.lock().unwrap().hangs = hangs;
    }

    pub(crate) fn loads(&self) -> u32 {
        self.0.lock().unwrap().loads
    }
}

impl State {
    fn is_valid(&self, key: &str, saved: &Saved) -> bool {
        let mut names = saved.groups.iter().map(String::as_str).chain([key]);
        self.floor <= saved.generation
            && names.all(|name| self.last.get(name).is_none_or(|last| *last <= saved.generation))
    }
}

impl Store for Shared {
    async fn load(&self, key: &str) -> Result<Option<Loaded>, BoxError> {
        let loaded = {
            let mut state = self.0.lock().unwrap();
            state.loads += 1;
            let valid = state.entries.get(key).into_iter().flat_map(HashMap::values);
            let valid = valid.filter(|saved| state.is_valid(key, saved)).map(|saved| saved.entry.clone());
            (!state.hangs).then(|| Loaded { generation: state.number, variants: valid.collect() })
        };
        match loaded {
            Some(loaded) => Ok(Some(loaded)),
            None => std::future::pending().await,
        }
    }

    fn save(&self, key: &str, saved: Saved) {
        let mut state = self.0.lock().unwrap();
        if state.is_valid(key, &saved) {
            state.entries.entry(key.to_owned()).or_default().insert(saved.variant.clone(), saved);
        }
    }

    fn invalidate(&self, invalidation: &Invalidation) {
        let listeners = {
            let mut state = self.0.lock().unwrap();
            state.number += 1;
            let number = state.number;
            if invalidation.all || !invalidation.prefixes.is_empty() {
                state.floor = number;
            }
            for name in invalidation.groups.iter().chain(&invalidation.keys) {
                state.last.insert(name.clone(), number);
            }
            state.listeners.clone()
        };
        listeners.iter().for_each(|listener| listener.invalidated(invalidation));
    }

    fn listen(&self, listener: Listener) {
        self.0.lock().unwrap().listeners.push(listener);
    }
}
