//! Cases of records and outbox on graphs.

use async_trait::async_trait;
use hexmem_ports::{Effect, GraphBatch, GraphId};
use uuid::Uuid;

use super::fixture::*;
use crate::{Rig, outbox, records};

/// Entity `n` is a node; even ones have an edge of their own.
struct Nodes(GraphId);

impl Nodes {
    fn of(rig: &Rig<Graphs>) -> Self {
        Self(graph(rig, "g"))
    }
}

#[async_trait]
impl records::Subject<Graphs> for Nodes {
    async fn create(&self, store: &Graphs, n: u32) {
        let id = format!("n{n}");
        let mut changes = vec![put_n(&id, 0)];
        if n.is_multiple_of(2) {
            changes.push(link(n.into(), &id, "self", &id));
        }
        apply(store, &self.0, changes).await;
    }

    async fn change(&self, store: &Graphs, n: u32) {
        apply(store, &self.0, vec![put_n(&format!("n{n}"), Uuid::new_v4().as_u64_pair().0 >> 1)])
            .await;
    }

    async fn delete(&self, store: &Graphs, n: u32) {
        apply(store, &self.0, vec![remove(&format!("n{n}"))]).await;
    }

    async fn read(&self, store: &Graphs, n: u32) -> Option<String> {
        let id = format!("n{n}");
        let found = node(store, &self.0, &id).await?;
        let versions = history(store, &self.0, &node_ref(&id)).await;
        let edges = history(store, &self.0, &edge_ref(n.into())).await;
        Some(format!("{found:?} {versions:?} {edges:?}"))
    }

    fn life(&self) -> Option<u32> {
        None
    }
}

/// A new node each time; refused for an edge without an end.
struct Batches(GraphId);

#[async_trait]
impl outbox::Emits<Graphs> for Batches {
    async fn commit(&self, store: &Graphs, effects: Vec<Effect>) {
        let changes = vec![put(&Uuid::new_v4().to_string())];
        store.apply(&self.0, GraphBatch { effects, ..GraphBatch::new(changes) }).await.unwrap();
    }

    async fn refuse(&self, store: &Graphs, effects: Vec<Effect>) {
        let changes = vec![link(1, "not-there", "r", "not-there")];
        let batch = GraphBatch { effects, ..GraphBatch::new(changes) };
        store.apply(&self.0, batch).await.expect_err("an end is missing");
    }
}

macro_rules! cases {
    ($suite:ident, $subject:expr; $($(#[$doc:meta])* $case:ident => $shared:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            pub async fn $case(rig: Rig<Graphs>) {
                let subject = $subject(&rig);
                $suite::$shared(rig, subject).await;
            }
        )*
    };
}

cases! { records, Nodes::of;
    /// `REC-KIND-1`
    rec_kind_1 => kind_1,
    /// `REC-SCAN-1`
    rec_scan_1 => scan_1,
    /// `REC-SCAN-2`
    rec_scan_2 => scan_2,
    /// `REC-RESTORE-1`
    rec_restore_1 => restore_1,
    /// `REC-RESTORE-2`
    rec_restore_2 => restore_2,
    /// `REC-RESTORE-3`
    rec_restore_3 => restore_3,
    /// `REC-RESTORE-4`
    rec_restore_4 => restore_4,
}

cases! { outbox, |rig: &Rig<Graphs>| Batches(graph(rig, "g"));
    /// `OUTBOX-LEASE-1`
    outbox_lease_1 => lease_1,
    /// `OUTBOX-LEASE-2`
    outbox_lease_2 => lease_2,
    /// `OUTBOX-LEASE-3`
    outbox_lease_3 => lease_3,
    /// `OUTBOX-LEASE-4`
    outbox_lease_4 => lease_4,
    /// `OUTBOX-ACK-1`
    outbox_ack_1 => ack_1,
    /// `OUTBOX-ACK-2`
    outbox_ack_2 => ack_2,
    /// `OUTBOX-DEPTH-1`
    outbox_depth_1 => depth_1,
}
