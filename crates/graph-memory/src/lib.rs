//! Temporal knowledge graph of one agent or user
