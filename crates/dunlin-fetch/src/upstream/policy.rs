//! The decisions about servers, as pure functions.

/// A set of servers, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u128);

/// The state of a server, as far as the choice depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// `true` if active checks fail.
    pub(super) is_unhealthy: bool,
    /// The time in milliseconds until which it is ejected.
    pub(super) ejected_until: u64,
}

/// The way to choose one of the candidates.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Of two candidates, the one with fewer requests under way. The number is random.
    LeastPending(u64),
    /// The candidate whose turn it is.
    RoundRobin(usize),
    /// The candidate with the greatest weight for a key (rendezvous hashing).
    Hash(u64),
}

/// The results of checks in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streak {
    pub(super) is_healthy: bool,
    /// The number of results in a row that speak against `is_healthy`.
    contrary: u32,
}

/// The servers that a request may try next: those that are up and were not tried.
///
/// If there are none, these are the ejected ones, because one of them may have recovered.
pub(super) fn candidates(standings: impl Iterator<Item = Standing>, tried: Set, now: u64) -> Set {
    let (mut open, mut ejected) = (Set::EMPTY, Set::EMPTY);
    for (index, standing) in standings.enumerate() {
        if tried.contains(index) || standing.is_unhealthy {
            continue;
        }
        if standing.is_open(now) { open.insert(index) } else { ejected.insert(index) }
    }
    if open.is_empty() { ejected } else { open }
}

/// The candidates without some that came back a short time ago. The shorter ago, the more often a
/// server is left out. Never leaves out all of them.
///
/// `age` is the time since a server came back, if it was away, and `random` a random number below
/// its argument. All times are in milliseconds.
pub(super) fn slow_start(
    candidates: Set,
    duration: u64,
    age: impl Fn(usize) -> Option<u64>,
    mut random: impl FnMut(u64) -> u64,
) -> Set {
    let mut kept = Set::EMPTY;
    for index in candidates.iter() {
        // A tenth of the share from the start, so that there is something to learn from.
        let is_kept = |age: u64, random: u64| random < age.max(duration / 10);
        if age(index).is_none_or(|age| age >= duration || is_kept(age, random(duration))) {
            kept.insert(index);
        }
    }
    if kept.is_empty() { candidates } else { kept }
}

/// The candidates with fewer than `max` requests under way.
pub(super) fn with_room(candidates: Set, max: usize, pending: impl Fn(usize) -> usize) -> Set {
    let mut kept = Set::EMPTY;
    candidates.iter().filter(|&index| pending(index) < max).for_each(|index| kept.insert(index));
    kept
}

/// Returns `true` if a server may be ejected: it fails, and another one is open.
pub(super) fn may_eject(standings: impl Iterator<Item = Standing>, server: usize, now: u64) -> bool {
    standings.enumerate().any(|(index, standing)| index != server && standing.is_open(now))
}

/// Chooses one of the candidates. `pending` is the number of requests under way, and `weight` the
/// weight of a key, both for a server.
pub(super) fn choose(
    candidates: Set,
    rule: Rule,
    pending: impl Fn(usize) -> usize,
    weight: impl Fn(u64, usize) -> u64,
) -> Option<usize> {
    let len = candidates.len();
    if len <= 1 {
        return candidates.nth(0);
    }
    match rule {
        Rule::LeastPending(random) => {
            // Two different ones: the second is any of the others.
            let first = (random as u32) as usize % len;
            let second = (first + 1 + (random >> 32) as usize % (len - 1)) % len;
            let (first, second) = (candidates.nth(first)?, candidates.nth(second)?);
            Some(if pending(second) < pending(first) { second } else { first })
        }
        Rule::RoundRobin(turn) => candidates.nth(turn % len),
        Rule::Hash(key) => candidates.iter().max_by_key(|&index| weight(key, index)),
    }
}

// === impl Set ===

impl Set {
    pub(super) const EMPTY: Self = Self(0);
    /// The limit of servers.
    pub(super) const MAX: usize = u128::BITS as usize;

    pub(super) const fn insert(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    pub(super) const fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(index)
        })
    }

    fn nth(self, n: usize) -> Option<usize> {
        self.iter().nth(n)
    }
}

// === impl Standing ===

impl Standing {
    /// Returns `true` if requests may go to the server.
    pub(super) const fn is_open(self, now: u64) -> bool {
        !self.is_unhealthy && self.ejected_until <= now
    }
}

// === impl Streak ===

impl Streak {
    /// The state of a server before its first check.
    pub(super) const fn new() -> Self {
        Self { is_healthy: true, contrary: 0 }
    }

    /// Notes a result. Returns `true` if it changes the state.
    pub(super) const fn note(&mut self, success: bool, healthy: u32, unhealthy: u32) -> bool {
        if success == self.is_healthy {
            self.contrary = 0;
            return false;
        }
        self.contrary = self.contrary.saturating_add(1);
        let needed = if success { healthy } else { unhealthy };
        if self.contrary < needed {
            return false;
        }
        *self = Self { is_healthy: success, contrary: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hash::weight;
    use super::*;

    fn set(indices: &[usize]) -> Set {
        let mut set = Set::EMPTY;
        indices.iter().for_each(|&index| set.insert(index));
        set
    }

    fn standings(states: &[(bool, u64)]) -> impl Iterator<Item = Standing> {
        states.iter().map(|&(is_unhealthy, ejected_until)| Standing { is_unhealthy, ejected_until })
    }

    fn pick(candidates: Set, rule: Rule) -> Option<usize> {
        choose(candidates, rule, |_| 0, |key, index| weight(key, index as u64))
    }

    #[test]
    fn ejected_servers_are_the_last_resort_and_unhealthy_ones_are_none() {
        let check = |states: &[(bool, u64)], tried: &[usize], expect: &[usize]| {
            assert_eq!(candidates(standings(states), set(tried), 100), set(expect), "{states:?} {tried:?}");
        };
        check(&[(false, 0), (false, 0)], &[], &[0, 1]);
        check(&[(false, 0), (false, 101), (true, 0)], &[], &[0]);
        check(&[(false, 0), (false, 100)], &[], &[0, 1]);
        check(&[(false, 0), (false, 101), (true, 0)], &[0], &[1]);
        check(&[(false, 0), (false, 101), (true, 0)], &[0, 1], &[]);
        check(&[(true, 0)], &[], &[]);
    }

    #[test]
    fn the_last_server_is_not_ejected() {
        assert!(!may_eject(standings(&[(false, 0)]), 0, 100));
        assert!(may_eject(standings(&[(false, 0), (false, 0)]), 0, 100));
        assert!(!may_eject(standings(&[(false, 0), (false, 101)]), 0, 100));
        assert!(!may_eject(standings(&[(false, 0), (true, 0)]), 0, 100));
    }

    #[test]
    fn the_share_of_a_server_that_is_back_grows() {
        let ages = [None, Some(0), Some(500), Some(1000)];
        let mut counts = [0; 4];
        for random in 0..1000 {
            let kept = slow_start(set(&[0, 1, 2, 3]), 1000, |index| ages[index], |_| random);
            kept.iter().for_each(|index| counts[index] += 1);
        }
        assert_eq!(counts, [1000, 100, 500, 1000]);
        let alone = slow_start(set(&[1]), 1000, |index| ages[index], |_| 999);
        assert_eq!(alone, set(&[1]), "the last one is not left out");
    }

    #[test]
    fn full_servers_get_nothing() {
        let pending = [3, 1, 2];
        assert_eq!(with_room(set(&[0, 1, 2]), 3, |index| pending[index]), set(&[1, 2]));
        assert!(with_room(set(&[0, 1, 2]), 1, |index| pending[index]).is_empty());
    }

    #[test]
    fn the_lesser_load_of_two_wins() {
        let pending = [5, 1, 3];
        for random in 0..50 {
            let random = random * 0x1_0000_0001;
            let chosen = choose(set(&[0, 1, 2]), Rule::LeastPending(random), |index| pending[index], |_, _| 0).unwrap();
            assert_ne!(chosen, 0, "a comparison with any other server rules it out");
        }
    }

    #[test]
    fn turns_are_even_among_the_candidates() {
        let turns: Vec<_> = (0..6).filter_map(|turn| pick(set(&[1, 3, 127]), Rule::RoundRobin(turn))).collect();
        assert_eq!(turns, [1, 3, 127, 1, 3, 127]);
    }

    #[test]
    fn streaks() {
        let mut streak = Streak::new();
        let mut note = |success| (streak.note(success, 2, 3), streak.is_healthy);
        let noted = [true, false, false, true, false, false, false, true, false, true, true].map(&mut note);
        let changes: Vec<_> = noted.iter().map(|(changed, _)| *changed).collect();
        assert_eq!(changes, [false, false, false, false, false, false, true, false, false, false, true]);
        assert!(noted[10].1);
    }

    proptest! {
        #[test]
        fn every_rule_chooses_a_candidate(bits in 1_u128.., random: u64, turn: usize, key: u64) {
            let candidates = Set(bits);
            for rule in [Rule::LeastPending(random), Rule::RoundRobin(turn), Rule::Hash(key)] {
                prop_assert!(pick(candidates, rule).is_some_and(|index| candidates.contains(index)));
            }
            prop_assert_eq!(candidates.iter().count(), candidates.len());
        }

        #[test]
        fn only_the_keys_of_a_lost_server_move(bits in 1_u128.., lost in 0..128_usize, key: u64) {
            let before = Set(bits | 1 << lost);
            let after = Set(before.0 & !(1 << lost));
            let (was, is) = (pick(before, Rule::Hash(key)), pick(after, Rule::Hash(key)));
            prop_assert!(was == is || was == Some(lost));
        }

        #[test]
        fn some_server_stays_open(failing in proptest::collection::vec(0..4_usize, 0..40), step in 0..500_u64) {
            let mut states = [Standing::default(); 4];
            for (at, server) in failing.into_iter().enumerate() {
                let now = at as u64 * step;
                if may_eject(states.into_iter(), server, now) {
                    states[server].ejected_until = now + 1000;
                }
                prop_assert!(states.iter().any(|standing| standing.is_open(now)));
            }
        }
    }
}
