//! [`Page`]: the pages of a list.

use super::{QueryError, Source};
use crate::sql::without_end;

/// The query parameter with the number of rows of a page.
pub(crate) const LIMIT: &str = "limit";
/// The query parameter with the number of rows before a page.
pub(crate) const OFFSET: &str = "offset";

/// The pages of a list of rows. A request chooses one with the query parameters `limit` and
/// `offset`.
///
/// The statement runs within `SELECT * FROM (…) LIMIT … OFFSET …`, so it needs an `ORDER BY` of its
/// own for pages that fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of rows of a page, unless a request says otherwise.
    pub size: u32,
    /// The largest number of rows of a page. A request for more gets so many.
    pub max: u32,
}

// === impl Page ===

impl Page {
    /// Checks the numbers and the names of the parameters.
    pub(super) fn validate(&self, params: &[Source]) -> Result<(), QueryError> {
        if self.size == 0 || self.size > self.max {
            return Err(QueryError::new("a page needs a size of one or more, up to its max"));
        }
        match params.iter().find(|source| [LIMIT, OFFSET].contains(&source.name())) {
            Some(source) => Err(QueryError::new(format!("{:?} is a parameter of the pages already", source.name()))),
            None => Ok(()),
        }
    }

    /// The statement of a page. `next` is the number of the first free parameter. It gives at most
    /// one row more than a page has, which shows that there is a next one.
    pub(super) fn sql(self, sql: &str, next: usize) -> String {
        let (sql, limit, offset) = (without_end(sql), u64::from(self.max) + 1, next + 1);
        format!("SELECT * FROM ({sql}) AS page LIMIT least(${next}::bigint, {limit}) OFFSET ${offset}")
    }

    /// The statement of the number of all rows.
    pub(super) fn count_sql(sql: &str) -> String {
        format!("SELECT count(*) AS count FROM ({}) AS page", without_end(sql))
    }
}
