//! Graphs as files: node-link JSON snapshots and an append-only journal
