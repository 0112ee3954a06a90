//! The outbox of the SQLite adapter.
