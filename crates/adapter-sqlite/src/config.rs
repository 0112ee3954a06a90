//! The config of the SQLite adapter.
