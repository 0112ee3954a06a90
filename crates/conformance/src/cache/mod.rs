//! Cases of the cache port.
