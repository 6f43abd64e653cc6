//! A compression layer: RFC 9110 negotiation, zstd, brotli and gzip, streams that keep flowing.
