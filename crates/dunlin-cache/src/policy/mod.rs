//! The decisions of a cache, as pure functions of request, response and time, filed by the sections
//! of RFC 9111.

pub(crate) mod client;
pub(crate) mod failure;
pub(crate) mod key;
pub(crate) mod no_vary_search;
pub(crate) mod s3_4_partial;
pub(crate) mod s3_storing;
pub(crate) mod s4_1_key;
pub(crate) mod s4_2_freshness;
pub(crate) mod s4_3_validation;
pub(crate) mod s4_4_invalidation;
pub(crate) mod s4_request;
pub(crate) mod s5_2_request;
pub(crate) mod s5_2_response;
pub(crate) mod s5_3_expires;
