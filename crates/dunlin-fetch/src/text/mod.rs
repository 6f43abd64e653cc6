//! Pages as text: `get` fetches them, `decode` and `charset` make characters of their bytes, and
//! `service` responds with them.

mod charset;
mod decode;
mod get;
pub(crate) mod read;
pub(crate) mod redirect;
mod service;

pub use get::Text;
pub use service::FetchService;
