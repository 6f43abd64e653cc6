#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod any;
mod basic;
mod certificate;
mod challenge;
mod credentials;
mod error;
mod forward;
mod jwt;
mod key;
mod layer;
mod outcome;
mod remembered;
mod require;

pub use any::AnyOf;
pub use basic::{Basic, BasicStats, Users};
pub use certificate::{ClientCertificate, identity_of_certificate};
pub use credentials::Credentials;
#[doc(no_inline)]
pub use dunlin_http::{Body, BoxError, ClientInfo, Identity, Metric, MetricKind};
pub use error::Error;
pub use forward::Forward;
pub use jwt::{FetchKeys, Jwt, JwtConfig, KeySet};
pub use key::{ApiKey, ApiKeys};
pub use layer::{AuthLayer, AuthService};
pub use outcome::{AuthFuture, Authenticate, Outcome, Refusal, Verified};
pub use require::Require;
