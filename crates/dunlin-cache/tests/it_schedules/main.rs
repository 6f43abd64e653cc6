//! Fills and invalidations under a scheduler that tries thousands of interleavings. It compiles the
//! source of `generations` with the scheduler's atomics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]
#![allow(unreachable_pub, dead_code, reason = "the test uses only a part of the tested source")]

#[path = "../../src/generations.rs"]
mod generations;

mod policy {
    pub mod key {
        pub struct KeyHash(pub u128);
    }
}

mod sync {
    pub use shuttle::sync::atomic::AtomicU64;
    pub const SLOTS: usize = 4;
}

use generations::{Generations, Slot};
use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

/// An origin, and a cache with one key that belongs to two groups.
struct World {
    generations: Generations,
    origin: AtomicU64,
    /// The stored value, with the generation in which its fill began.
    stored: Mutex<Option<(u64, u64)>>,
}

/// The slot of a name, which shares its second place with all others.
fn slot(name: u64) -> Slot {
    Slot::from(name << 40)
}

/// The slots of the key's groups.
fn slots() -> [Slot; 2] {
    [slot(1), slot(2)]
}

// === impl World ===

impl World {
    fn new() -> Arc<Self> {
        let stored = Mutex::new(None);
        Arc::new(Self { generations: Generations::new(), origin: AtomicU64::new(0), stored })
    }

    /// One request: a hit, or a fill that is stored if it is still current.
    fn get(&self) -> u64 {
        if let Some((value, since)) = *self.stored.lock().unwrap()
            && self.generations.is_current(since, &slots())
        {
            return value;
        }
        let since = self.generations.now();
        let value = self.origin.load(SeqCst);
        // Checked without the lock, as in the cache: a later invalidation shows at the look-up.
        if self.generations.is_current(since, &slots()) {
            *self.stored.lock().unwrap() = Some((value, since));
        }
        value
    }

    fn change(&self, value: u64, how: u64) {
        self.origin.store(value, SeqCst);
        match how {
            0 => self.generations.flush(),
            group => {
                self.generations.invalidate([slot(group)]);
            }
        }
    }
}

/// A request gets every change that was made and invalidated before it began, in every
/// interleaving.
fn never_stale() {
    let world = World::new();
    let readers = [(); 2].map(|()| {
        let world = world.clone();
        thread::spawn(move || {
            world.get();
            world.get();
        })
    });
    for (value, how) in [(1, 1), (2, 0), (3, 2)] {
        world.change(value, how);
        assert!(world.get() >= value, "the change {value} was lost");
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(world.get(), 3);
}

/// As [`never_stale`], with two writers at a time: each reads its own change or a later one.
fn two_writers() {
    let world = World::new();
    let writers = [1, 2].map(|group| {
        let world = world.clone();
        thread::spawn(move || {
            let value = world.origin.fetch_add(1, SeqCst) + 1;
            world.generations.invalidate([slot(group)]);
            assert!(world.get() >= value);
        })
    });
    world.get();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(world.get(), 2);
}

#[test]
fn a_fill_from_before_an_invalidation_is_not_current() {
    shuttle::check_random(
        || {
            let generations = Generations::new();
            let [a, b] = slots();
            let before = generations.now();
            generations.invalidate([a]);
            let after = generations.now();
            assert!(!generations.is_current(before, &[a, b]));
            assert!(generations.is_current(before, &[b]));
            assert!(generations.is_current(after, &[a, b]));
            generations.flush();
            assert!(!generations.is_current(after, &[]));
            assert!(generations.is_current(generations.now(), &[a]));
        },
        1,
    );
}

#[test]
fn schedules_at_random() {
    shuttle::check_random(never_stale, 1_000);
    shuttle::check_random(two_writers, 1_000);
}

#[test]
fn schedules_that_prefer_rare_orders() {
    shuttle::check_pct(never_stale, 1_000, 3);
    shuttle::check_pct(two_writers, 1_000, 3);
}

#[test]
#[should_panic(expected = "was lost")]
fn the_scheduler_finds_a_fault() {
    shuttle::check_random(
        || {
            let world = World::new();
            let reader = {
                let world = world.clone();
                // The fault: the generation is read after the response.
                thread::spawn(move || {
                    let value = world.origin.load(SeqCst);
                    *world.stored.lock().unwrap() = Some((value, world.generations.now()));
                })
            };
            world.change(1, 1);
            reader.join().unwrap();
            assert!(world.get() >= 1, "the change was lost");
        },
        1_000,
    );
}
