//! The contract of `Store`, with one store and with two.

use std::time::Duration;

use bytes::Bytes;
use dunlin_cache::store::{Invalidation, Loaded, Saved, Store};
use dunlin_cache_redis::{Config, RedisStore};
use dunlin_testkit::{PATIENCE, Redis, eventually};
use tokio::runtime::{Builder, Runtime};

/// An instance of a service.
struct Instance {
    runtime: Runtime,
    store: RedisStore,
}

impl Instance {
    /// Opens a store that is connected and listens.
    fn open(redis: &Redis) -> Self {
        // A busy test machine must not look like a server that hangs.
        Self::with(Config { timeout: PATIENCE, ..Config::new(redis.url()) })
    }

    fn with(config: Config) -> Self {
        let store = RedisStore::open(config).unwrap();
        let instance = Self { runtime: Builder::new_current_thread().enable_all().build().unwrap(), store };
        instance.ready();
        instance
    }

    fn ready(&self) {
        eventually("it is connected and listens", || {
            let stats = self.store.stats();
            stats.connected && stats.listening
        });
    }

    fn load(&self, key: &str) -> Option<Loaded> {
        self.runtime.block_on(self.store.load(key)).unwrap()
    }

    fn generation(&self) -> u64 {
        self.load("nothing").expect("an answer").generation
    }

    fn has(&self, key: &str) -> bool {
        self.load(key).is_some_and(|loaded| !loaded.variants.is_empty())
    }

    fn save(&self, key: &str, groups: &[&str], generation: u64) {
        self.save_variant(key, "one", groups, generation);
    }

    fn save_variant(&self, key: &str, variant: &str, groups: &[&str], generation: u64) {
        let before = self.store.stats();
        let saved = Saved {
            variant: variant.into(),
            generation,
            groups: names(groups),
            ttl: Duration::from_secs(60),
            entry: Bytes::from(format!("{key} {variant}")),
        };
        self.store.save(key, saved);
        eventually("the server has stored or refused it", || {
            let now = self.store.stats();
            now.kept + now.overtaken > before.kept + before.overtaken
        });
    }

    fn invalidate(&self, groups: &[&str], keys: &[&str]) {
        self.store.invalidate(&Invalidation { groups: names(groups), keys: names(keys), ..Invalidation::default() });
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn one_store_finds_the_entries_of_another() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let generation = a.generation();
    assert_eq!(b.generation(), generation);
    a.save_variant("k", "one", &["g"], generation);
    a.save_variant("k", "two", &[], generation);
    a.save_variant("k", "two", &[], generation);
    let mut found = b.load("k").unwrap().variants;
    found.sort();
    assert_eq!(found, ["k one", "k two"]);
    assert!(!b.has("other"));
    assert_eq!((a.store.stats().kept, b.store.stats().hits), (3, 1));
}

#[test]
fn an_invalidation_reaches_all_instances_and_leaves_other_entries() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let generation = a.generation();
    a.save("of-g", &["g", "other"], generation);
    a.save("of-h", &["h"], generation);
    a.save("key", &[], generation);
    b.invalidate(&["g"], &["key"]);
    eventually("it is gone", || !a.has("of-g") && !a.has("key"));
    assert!(a.has("of-h"));
    eventually("the invalidation arrives", || a.store.stats().received == 1);
    a.store.invalidate(&Invalidation::all());
    eventually("all is gone", || b.load("of-h").is_some_and(|loaded| loaded.variants.is_empty()));
    eventually("the second invalidation arrives", || b.store.stats().received == 1);
    assert_eq!((a.store.stats().received, a.store.stats().gaps), (1, 1), "an instance ignores its own messages");
}

#[test]
fn a_fill_that_began_before_an_invalidation_is_not_stored() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let before = a.generation();
    a.save("before", &["g"], before);
    b.invalidate(&["g"], &["key"]);
    eventually("it counts", || a.generation() > before);
    let late = [("late", &["g"][..]), ("key", &[]), ("new", &["unknown"])];
    for (key, groups) in late {
        a.save(key, groups, before);
        assert!(!a.has(key), "{key}");
    }
    a.save("unconcerned", &[], before);
    assert!(a.has("unconcerned"));
    let generation = a.generation();
    for (key, groups) in late {
        a.save(key, groups, generation);
        assert!(b.has(key), "{key}");
    }
}

#[test]
fn entries_become_invalid_when_the_server_loses_their_numbers() {
    let redis = Redis::start();
    let a = Instance::open(&redis);
    let before = a.generation();
    a.save("k", &["g"], before);
    redis.command("DEL dunlin:g:g").unwrap();
    assert!(!a.has("k"), "without its group's number");
    a.save("k", &["g"], a.generation());
    assert!(a.has("k"));
    redis.command("DEL dunlin:floor").unwrap();
    assert!(!a.has("k"), "without the floor");
    a.save("k", &["g"], a.generation());
    redis.command("DEL dunlin:seq").unwrap();
    assert!(!a.has("k"), "without the number");
    assert!(a.generation() > before);
    a.save("k", &["g"], before);
    assert!(!a.has("k"), "a generation from before the loss");
}

#[test]
fn a_purge_by_prefix_reaches_all_instances_and_fills_in_flight() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let before = a.generation();
    let purge = |prefix: &str| {
        b.store.invalidate(&Invalidation { prefixes: names(&[prefix]), ..Invalidation::default() });
    };
    let keys = ["http://h/blog/1", "https://h/blog/2?x", "http://other/blog/1"];
    for key in keys.into_iter().chain(["http://h/blogger", "http://h/a/blog/"]) {
        a.save(key, &[], before);
    }
    purge("/blog/");
    eventually("they are gone", || !keys.into_iter().any(|key| a.has(key)));
    assert!(a.has("http://h/blogger") && a.has("http://h/a/blog/"));
    eventually("the invalidation arrives", || a.store.stats().received == 1);
    let after = a.generation();
    a.save("http://h/blog/3", &[], before);
    assert!(!a.has("http://h/blog/3"));
    a.save("http://h/blog/3", &[], after);
    assert!(a.has("http://h/blog/3"));
    purge("http://h/b");
    eventually("the origin's are gone", || !a.has("http://h/blogger") && !a.has("http://h/blog/3"));
    assert!(a.has("http://h/a/blog/"));
    for number in 0..64 {
        purge(&format!("/{number}/"));
        eventually("it is sent", || b.load("nothing").is_some());
    }
    assert!(!a.has("http://h/a/blog/"), "beyond the limit everything is invalid");
    a.save("http://h/a/blog/", &[], a.generation());
    assert!(a.has("http://h/a/blog/"));
}

#[test]
fn a_skipped_number_is_a_gap() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    for received in 1..=2 {
        a.invalidate(&["g"], &[]);
        eventually("it arrives", || b.store.stats().received == received);
    }
    assert_eq!(b.store.stats().gaps, 1, "the one of the first subscription");
    redis.command("INCR dunlin:seq").unwrap();
    a.invalidate(&["g"], &[]);
    eventually("it is noticed", || b.store.stats().gaps == 2);
    redis.command("PUBLISH dunlin:invalidations nonsense").unwrap();
    eventually("an unreadable message is a gap too", || b.store.stats().gaps == 3);
}

#[test]
fn a_stopped_server_is_a_miss_until_it_is_back() {
    let mut redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    a.save("k", &["g"], a.generation());
    redis.stop_hard();
    assert!(!a.has("k"));
    eventually("both notice", || !a.store.stats().connected && !b.store.stats().connected);
    a.invalidate(&["g"], &[]);
    assert!(a.load("k").is_none());
    redis.restart();
    a.ready();
    b.ready();
    eventually("it gets the invalidation from meanwhile", || a.load("k").is_some());
    a.save("k", &["g"], a.generation());
    assert!(b.has("k"));
    assert!(b.store.stats().gaps >= 2, "invalidations may have been lost");
}

#[test]
fn entries_from_before_a_restart_of_the_server_are_invalid() {
    let redis = Redis::start();
    let a = Instance::open(&redis);
    a.save("k", &[], a.generation());
    assert!(a.has("k"));
    redis.command("SET dunlin:run another").unwrap();
    let b = Instance::open(&redis);
    assert!(!b.has("k"));
}

#[test]
fn the_connection_to_a_server_that_hangs_is_given_up() {
    let redis = Redis::start();
    let a = Instance::with(Config { timeout: Duration::from_millis(500), ..Config::new(redis.url()) });
    eventually("it is stored", || {
        // A busy test machine may exceed the timeout as well.
        if let Some(loaded) = a.load("k") {
            a.save("k", &[], loaded.generation);
        }
        a.has("k")
    });
    redis.freeze(true);
    let mut lookups = 0;
    eventually("it is given up", || {
        assert!(!a.has("k"));
        lookups += 1;
        !a.store.stats().connected
    });
    assert!((1..=4).contains(&lookups), "{lookups}");
    redis.freeze(false);
    eventually("it is back", || a.has("k"));
}

#[test]
fn lookups_and_bytes_in_flight_are_limited() {
    let redis = Redis::start();
    let timeout = PATIENCE;
    let config = Config { max_lookups: 2, max_unsent: 4096, timeout, ..Config::new(redis.url()) };
    let store = RedisStore::open(config).unwrap();
    eventually("it is connected", || store.stats().connected);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let generation = runtime.block_on(store.load("k")).unwrap().unwrap().generation;
    let (a, b, c) = runtime.block_on(async { tokio::join!(store.load("a"), store.load("b"), store.load("c")) });
    assert!(a.unwrap().is_some() && b.unwrap().is_some() && c.unwrap().is_none());
    let entry = Bytes::from(vec![0; 5000]);
    let ttl = Duration::from_secs(60);
    store.save("large", Saved { variant: "one".into(), generation, groups: Vec::new(), ttl, entry });
    assert_eq!(store.stats().dropped, 2);
}

#[test]
fn names_may_contain_any_character() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let key = "http://ex\u{e4}mple/ \r\n{*}?a=%00&\"'";
    a.save(key, &["https://a\ngroup", "gr\u{fc}n *"], a.generation());
    assert!(b.has(key));
    b.invalidate(&["https://a\ngroup"], &[]);
    eventually("it is gone", || !a.has(key));
}

#[test]
fn an_invalid_url_is_an_error_and_a_password_is_not_shown() {
    assert!(RedisStore::open(Config::new("http://127.0.0.1/")).is_err());
    let config = Config::new("redis://user:secret@127.0.0.1:1/");
    assert!(!format!("{config:?}").contains("secret"));
    assert!(!format!("{:?}", RedisStore::open(config).unwrap()).contains("secret"));
}
