//! [`HeadFacts`]: what a stored head says about the coding of its content, kept for the next reply.

use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_http::BodyId;

/// The facts about a stored head that decide how a reply in identity is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadFacts {
    /// The origin has encoded the content.
    pub(crate) is_encoded: bool,
    /// The content could be encoded, and `Vary` does not say so yet.
    pub(crate) lacks_vary: bool,
}

/// The number of slots; a power of two.
const SLOTS: usize = 1024;

/// The facts about stored heads, by the id of their lines.
///
/// A stored head never changes, and it is replied with many times. A slot has the facts that were
/// written last, and the id that they are about, in one number. So a reader never sees a part.
#[derive(Debug)]
pub(crate) struct FactTable(Box<[AtomicU64]>);

// === impl FactTable ===

impl FactTable {
    /// The facts about the head with these lines. `examine` finds them if they are not here.
    #[inline]
    pub(crate) fn get_or_examine(&self, lines: BodyId, examine: impl FnOnce() -> HeadFacts) -> HeadFacts {
        let id = lines.get() << 2;
        let slot = &self.0[lines.get() as usize % SLOTS];
        let kept = slot.load(Ordering::Relaxed);
        if kept & !3 == id {
            return HeadFacts { is_encoded: kept & 1 != 0, lacks_vary: kept & 2 != 0 };
        }
        let facts = examine();
        slot.store(id | u64::from(facts.is_encoded) | u64::from(facts.lacks_vary) << 1, Ordering::Relaxed);
        facts
    }
}

impl Default for FactTable {
    fn default() -> Self {
        // Ids begin at one, so a zero is about no head.
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_has_its_own_facts() {
        let table = FactTable::default();
        let all = [(false, false), (true, false), (false, true), (true, true)];
        let all = all.map(|(is_encoded, lacks_vary)| HeadFacts { is_encoded, lacks_vary });
        // More heads than slots.
        let heads: Vec<_> = (0..3 * SLOTS).map(|at| (BodyId::new(), all[at % all.len()])).collect();
        for (id, facts) in &heads {
            assert_eq!(table.get_or_examine(*id, || *facts), *facts);
            assert_eq!(table.get_or_examine(*id, || unreachable!("they are kept")), *facts);
        }
        assert_eq!(table.get_or_examine(heads[0].0, || all[3]), all[3], "its slot was taken");
    }
}
