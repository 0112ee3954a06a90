//! The contracts of hexmem: traits, value types, the one error type, capabilities
