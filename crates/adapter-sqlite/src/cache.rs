//! The cache of the SQLite adapter.
