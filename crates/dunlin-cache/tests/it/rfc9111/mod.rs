//! Tests by the sections of RFC 9111.

mod s3_4_partial;
mod s3_storing;
mod s4_1_key;
mod s4_2_1_freshness;
mod s4_2_3_age;
mod s4_2_4_stale;
mod s4_3_validation;
mod s4_4_invalidation;
mod s5_2_1_request;
mod s5_3_expires;
