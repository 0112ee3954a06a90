//! From configuration to wired services
