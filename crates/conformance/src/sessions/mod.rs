//! Cases of the sessions port.
