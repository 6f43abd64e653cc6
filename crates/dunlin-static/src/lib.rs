//! A static file service as fast as memory: validators, ranges, precompressed variants, no way out of the folder.
