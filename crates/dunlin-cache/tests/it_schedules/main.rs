//! Fills and invalidations under a scheduler that tries thousands of interleavings: the source of
//! `generations` itself, on its atomics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]
#![allow(unreachable_pub, dead_code, reason = "of the source that is tested not all is used")]

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
    /// What is stored: the value, and the number that stood when its fill began.
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

    /// One request: a hit, or a fill that is kept if it still may be.
    fn get(&self) -> u64 {
        if let Some((value, since)) = *self.stored.lock().unwrap()
            && self.generations.is_current(since, &slots())
        {
            return value;
        }
        let since = self.generations.now();
        let value = self.origin.load(SeqCst);
        // Checked without the lock, as the cache does: what comes in between shows when it is
        // looked up.
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

/// What was changed and invalidated before a request began is in its answer, however the steps fall
/// together.
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
        assert!(world.get() >= value, "the change {value} was forgotten");
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(world.get(), 3);
}

/// The same with two who change at one time: each reads its own change, or a later one.
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
fn a_fill_that_began_before_is_not_current() {
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
fn schedules_that_look_for_rare_orders() {
    shuttle::check_pct(never_stale, 1_000, 3);
    shuttle::check_pct(two_writers, 1_000, 3);
}

#[test]
#[should_panic(expected = "was forgotten")]
fn the_scheduler_finds_what_is_wrong() {
    shuttle::check_random(
        || {
            let world = World::new();
            let reader = {
                let world = world.clone();
                // Takes its number when the answer is there, which is too late.
                thread::spawn(move || {
                    let value = world.origin.load(SeqCst);
                    *world.stored.lock().unwrap() = Some((value, world.generations.now()));
                })
            };
            world.change(1, 1);
            reader.join().unwrap();
            assert!(world.get() >= 1, "the change was forgotten");
        },
        1_000,
    );
}
