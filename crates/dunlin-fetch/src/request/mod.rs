//! Requests that are built step by step, and their responses.

mod builder;
mod deadline;
mod follow;
mod response;

pub use builder::RequestBuilder;
pub use response::ClientResponse;
