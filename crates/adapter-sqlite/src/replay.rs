//! The replay of the SQLite adapter.
