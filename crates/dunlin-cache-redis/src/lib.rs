//! A second level for dunlin-cache, shared by many instances, on Redis or Valkey.
