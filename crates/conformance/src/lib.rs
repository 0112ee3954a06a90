//! The behaviour suites that every hexmem adapter passes
