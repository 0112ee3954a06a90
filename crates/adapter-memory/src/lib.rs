//! In-process stores: every port of hexmem, for tests and degraded mode
