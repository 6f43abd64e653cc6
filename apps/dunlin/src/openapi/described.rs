//! [`Described`]: a route as the document needs it.

use dunlin_pg::Description;

use crate::config::Route;
use crate::routes::Query;

/// A route with its query, and the database's description of it if there is one.
pub(crate) struct Described<'c> {
    pub(crate) route: &'c Route,
    pub(crate) query: &'c Query,
    pub(crate) description: Option<Description>,
}
