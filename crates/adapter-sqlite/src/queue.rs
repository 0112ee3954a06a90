//! The queue of the SQLite adapter.
