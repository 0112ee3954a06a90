//! Cases of the key_value port.
