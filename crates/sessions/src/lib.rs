//! Web and agent sessions
