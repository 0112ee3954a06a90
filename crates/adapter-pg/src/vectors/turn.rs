//! What reading runs on: statements by themselves, or the statements of one transaction.

use crate::query::Query;
use crate::{Postgres, Tx};

/// Statements that read.
pub(super) enum Turn<'a> {
    /// Each by itself: it sees what was acknowledged before it.
    Each(&'a Postgres, &'static str),
    /// Those of a transaction. A snapshot sees one instant.
    Tx(&'a mut Tx),
}

impl Turn<'_> {
    pub(super) fn query(&mut self, sql: &'static str) -> Query<'_> {
        match self {
            Self::Each(postgres, operation) => postgres.read(operation, sql),
            Self::Tx(tx) => tx.query(sql),
        }
    }

    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Each(_, operation) => operation,
            Self::Tx(tx) => tx.operation(),
        }
    }
}
