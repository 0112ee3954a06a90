//! One SQLite file behind every port of hexmem: the embedded default
