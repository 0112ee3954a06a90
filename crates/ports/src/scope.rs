//! Addresses: who owns a thing. A scope is an argument, never a filter.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Digest, Name};

/// How an absent level is stored: a reserved value that no [`Name`] can take, never NULL and never
/// a wildcard.
pub const ABSENT: &str = "";

/// The tenant: the outermost level; every port needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tenant(pub Name);

impl Tenant {
    /// The tenant's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tenant and one of its users.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserScope {
    /// The tenant.
    pub tenant: Tenant,
    /// The user.
    pub user: Name,
}

/// The number of buckets that user-scoped secrets are spread over.
pub const BUCKETS: u16 = 1_024;

impl UserScope {
    /// hash(tenant, user) mod [`BUCKETS`]: the public part of a session token, so that a user's
    /// sessions, their index and their cap live under one hash tag on Redis Cluster.
    pub fn bucket(&self) -> u16 {
        let digest =
            Digest::of_parts([self.tenant.as_str().as_bytes(), self.user.as_str().as_bytes()]);
        u16::from_be_bytes([digest.0[0], digest.0[1]]) % BUCKETS
    }
}

impl fmt::Display for UserScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.user)
    }
}

/// A tenant, a user and, where the memory is one agent's own, the agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentScope {
    /// Tenant and user.
    pub owner: UserScope,
    /// The agent; `None` is the level shared by the user's agents, stored as [`ABSENT`].
    pub agent: Option<Name>,
}

/// A named thing of a tenant. Graphs, queues, collections, namespaces and buckets are addressed so.
macro_rules! tenant_address {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $type {
            /// The tenant.
            pub tenant: Tenant,
            /// The name, unique within the tenant.
            pub name: Name,
        }

        impl $type {
            /// The address of `name` in `tenant`.
            pub fn new(tenant: Tenant, name: Name) -> Self {
                Self { tenant, name }
            }

            /// SHA-256 of the length-prefixed tenant and name.
            pub fn digest(&self) -> Digest {
                Digest::of_parts([
                    self.tenant.as_str().as_bytes(),
                    self.name.as_str().as_bytes(),
                ])
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.tenant, self.name)
            }
        }
    };
}

tenant_address!(
    /// A bucket of keys and values.
    BucketId
);
tenant_address!(
    /// A graph.
    GraphId
);
tenant_address!(
    /// A namespace of cached answers.
    NamespaceId
);
tenant_address!(
    /// A queue of commands.
    QueueId
);
tenant_address!(
    /// A collection of vectors.
    CollectionId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_depends_on_both_levels() {
        let scope = |t: &str, u: &str| UserScope {
            tenant: Tenant(Name::new(t).unwrap()),
            user: Name::new(u).unwrap(),
        };
        assert_eq!(scope("a", "b").bucket(), scope("a", "b").bucket());
        assert!(scope("a", "b").bucket() < BUCKETS);
        assert_ne!(scope("ab", "c").bucket(), scope("a", "bc").bucket());
    }
}
