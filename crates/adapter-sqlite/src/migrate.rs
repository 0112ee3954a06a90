//! The migrate of the SQLite adapter.
