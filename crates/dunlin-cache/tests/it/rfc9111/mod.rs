//! By the sections of RFC 9111.

mod s3_storing;
