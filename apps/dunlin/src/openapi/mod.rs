//! OpenAPI: the description of the `query` routes, as a document and as a page.
//!
//! [`document`] is a pure function of the configuration and of the database's description.
//! [`api::Api`] has the document of the running service.

pub(crate) mod api;
mod body;
mod described;
mod document;
mod interface;
mod operation;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use interface::Interface;
