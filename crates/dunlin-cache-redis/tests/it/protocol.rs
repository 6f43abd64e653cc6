//! What the contract of `Store` says, of one store and of two.

use std::time::Duration;

use bytes::Bytes;
use dunlin_cache::store::{Invalidation, Loaded, Saved, Store};
use dunlin_cache_redis::{Config, RedisStore};
use dunlin_testkit::{PATIENCE, Redis, eventually};
use tokio::runtime::{Builder, Runtime};

/// An instance of a service, as far as the store sees it.
struct Instance {
    runtime: Runtime,
    store: RedisStore,
}

impl Instance {
    /// One that is connected and listens.
    fn open(redis: &Redis) -> Self {
        // A machine that is busy with tests is not a server that hangs.
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

    fn stands(&self) -> u64 {
        self.load("nothing").expect("an answer").stands
    }

    fn has(&self, key: &str) -> bool {
        self.load(key).is_some_and(|loaded| !loaded.variants.is_empty())
    }

    fn save(&self, key: &str, groups: &[&str], stood: u64) {
        self.save_variant(key, "one", groups, stood);
    }

    fn save_variant(&self, key: &str, variant: &str, groups: &[&str], stood: u64) {
        let before = self.store.stats();
        let saved = Saved {
            variant: variant.into(),
            stood,
            groups: names(groups),
            ttl: Duration::from_secs(60),
            entry: Bytes::from(format!("{key} {variant}")),
        };
        self.store.save(key, saved);
        eventually("the server has judged it", || {
            let now = self.store.stats();
            now.kept + now.overtaken > before.kept + before.overtaken
        });
    }

    fn invalidate(&self, groups: &[&str], keys: &[&str]) {
        self.store.invalidate(&Invalidation { all: false, groups: names(groups), keys: names(keys) });
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn what_one_keeps_the_other_finds() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let stands = a.stands();
    assert_eq!(b.stands(), stands);
    a.save_variant("k", "one", &["g"], stands);
    a.save_variant("k", "two", &[], stands);
    a.save_variant("k", "two", &[], stands);
    let mut found = b.load("k").unwrap().variants;
    found.sort();
    assert_eq!(found, ["k one", "k two"]);
    assert!(!b.has("other"));
    assert_eq!((a.store.stats().kept, b.store.stats().hits), (3, 1));
}

#[test]
fn an_invalidation_reaches_all_and_spares_the_rest() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let stands = a.stands();
    a.save("of-g", &["g", "other"], stands);
    a.save("of-h", &["h"], stands);
    a.save("key", &[], stands);
    b.invalidate(&["g"], &["key"]);
    eventually("it is gone", || !a.has("of-g") && !a.has("key"));
    assert!(a.has("of-h"));
    eventually("the other hears of it", || a.store.stats().heard == 1);
    a.store.invalidate(&Invalidation { all: true, ..Invalidation::default() });
    eventually("all is gone", || b.load("of-h").is_some_and(|loaded| loaded.variants.is_empty()));
    eventually("the other hears of that too", || b.store.stats().heard == 1);
    assert_eq!((a.store.stats().heard, a.store.stats().gaps), (1, 1), "nobody hears of their own");
}

#[test]
fn a_fill_that_began_before_is_not_kept() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let stood = a.stands();
    a.save("before", &["g"], stood);
    b.invalidate(&["g"], &["key"]);
    eventually("it counts", || a.stands() > stood);
    let late = [("late", &["g"][..]), ("key", &[]), ("new", &["never-heard-of"])];
    for (key, groups) in late {
        a.save(key, groups, stood);
        assert!(!a.has(key), "{key}");
    }
    a.save("unconcerned", &[], stood);
    assert!(a.has("unconcerned"));
    let stands = a.stands();
    for (key, groups) in late {
        a.save(key, groups, stands);
        assert!(b.has(key), "{key}");
    }
}

#[test]
fn what_the_server_forgot_is_taken_for_the_worst() {
    let redis = Redis::start();
    let a = Instance::open(&redis);
    let stood = a.stands();
    a.save("k", &["g"], stood);
    redis.command("DEL dunlin:g:g").unwrap();
    assert!(!a.has("k"), "without its group's number");
    a.save("k", &["g"], a.stands());
    assert!(a.has("k"));
    redis.command("DEL dunlin:floor").unwrap();
    assert!(!a.has("k"), "without the floor");
    a.save("k", &["g"], a.stands());
    redis.command("DEL dunlin:seq").unwrap();
    assert!(!a.has("k"), "without the number");
    assert!(a.stands() > stood);
    a.save("k", &["g"], stood);
    assert!(!a.has("k"), "a number of another life");
}

#[test]
fn a_skipped_number_is_a_gap() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    for heard in 1..=2 {
        a.invalidate(&["g"], &[]);
        eventually("it is heard", || b.store.stats().heard == heard);
    }
    assert_eq!(b.store.stats().gaps, 1, "that of the beginning");
    redis.command("INCR dunlin:seq").unwrap();
    a.invalidate(&["g"], &[]);
    eventually("it is noticed", || b.store.stats().gaps == 2);
    redis.command("PUBLISH dunlin:invalidations nonsense").unwrap();
    eventually("so is nonsense", || b.store.stats().gaps == 3);
}

#[test]
fn a_server_that_is_gone_is_a_miss_and_comes_back() {
    let mut redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    a.save("k", &["g"], a.stands());
    redis.stop_hard();
    assert!(!a.has("k"));
    eventually("both notice", || !a.store.stats().connected && !b.store.stats().connected);
    a.invalidate(&["g"], &[]);
    assert!(a.load("k").is_none());
    redis.restart();
    a.ready();
    b.ready();
    eventually("it is told of what was invalidated meanwhile", || a.load("k").is_some());
    a.save("k", &["g"], a.stands());
    assert!(b.has("k"));
    assert!(b.store.stats().gaps >= 2, "what was not heard counts as missed");
}

#[test]
fn a_server_that_keeps_its_memory_over_a_restart_is_not_trusted_with_it() {
    let redis = Redis::start();
    let a = Instance::open(&redis);
    a.save("k", &[], a.stands());
    assert!(a.has("k"));
    redis.command("SET dunlin:run another").unwrap();
    let b = Instance::open(&redis);
    assert!(!b.has("k"));
}

#[test]
fn a_server_that_hangs_costs_some_timeouts_and_then_none() {
    let redis = Redis::start();
    let a = Instance::with(Config { timeout: Duration::from_millis(500), ..Config::new(redis.url()) });
    eventually("it is kept", || {
        // A machine that is busy with tests may hang as well.
        if let Some(loaded) = a.load("k") {
            a.save("k", &[], loaded.stands);
        }
        a.has("k")
    });
    redis.freeze(true);
    let mut asked = 0;
    eventually("it is given up", || {
        assert!(!a.has("k"));
        asked += 1;
        !a.store.stats().connected
    });
    assert!((1..=4).contains(&asked), "{asked}");
    redis.freeze(false);
    eventually("it is back", || a.has("k"));
}

#[test]
fn no_more_is_on_its_way_than_may_be() {
    let redis = Redis::start();
    let timeout = PATIENCE;
    let config = Config { max_lookups: 2, max_unsent: 4096, timeout, ..Config::new(redis.url()) };
    let store = RedisStore::open(config).unwrap();
    eventually("it is connected", || store.stats().connected);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stands = runtime.block_on(store.load("k")).unwrap().unwrap().stands;
    let (a, b, c) = runtime.block_on(async { tokio::join!(store.load("a"), store.load("b"), store.load("c")) });
    assert!(a.unwrap().is_some() && b.unwrap().is_some() && c.unwrap().is_none());
    let entry = Bytes::from(vec![0; 5000]);
    let ttl = Duration::from_secs(60);
    store.save("large", Saved { variant: "one".into(), stood: stands, groups: Vec::new(), ttl, entry });
    assert_eq!(store.stats().dropped, 2);
}

#[test]
fn names_may_have_anything_in_them() {
    let redis = Redis::start();
    let (a, b) = (Instance::open(&redis), Instance::open(&redis));
    let key = "http://ex\u{e4}mple/ \r\n{*}?a=%00&\"'";
    a.save(key, &["https://a\ngroup", "gr\u{fc}n *"], a.stands());
    assert!(b.has(key));
    b.invalidate(&["https://a\ngroup"], &[]);
    eventually("it is gone", || !a.has(key));
}

#[test]
fn a_url_that_is_none_is_an_error_and_a_password_is_not_shown() {
    assert!(RedisStore::open(Config::new("http://127.0.0.1/")).is_err());
    let config = Config::new("redis://user:secret@127.0.0.1:1/");
    assert!(!format!("{config:?}").contains("secret"));
    assert!(!format!("{:?}", RedisStore::open(config).unwrap()).contains("secret"));
}
