//! PostgreSQL behind every port of hexmem.
