//! Random runs with crashes against the plain model of `conformance`: in process and in SQLite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use async_trait::async_trait;
use hexmem_adapter_memory::{ManualClock, MemoryOutbox, MemoryQueue};
use hexmem_adapter_sqlite::{Database, SqliteConfig, Synchronous};
use hexmem_conformance::queue::model::{Ground, holds};
use hexmem_conformance::{TestClock, manual_time};
use hexmem_ports::CommandQueue;

fn time(clock: &Arc<ManualClock>) -> Arc<dyn TestClock> {
    let moved = clock.clone();
    manual_time(clock.clone(), move |span| moved.advance(span))
}

struct Memory(MemoryQueue, Arc<ManualClock>);

#[async_trait]
impl Ground for Memory {
    async fn open(&self) -> Arc<dyn CommandQueue> {
        Arc::new(self.0.clone())
    }

    fn clock(&self) -> Arc<dyn TestClock> {
        time(&self.1)
    }
}

struct Sqlite(tempfile::TempDir, Arc<ManualClock>);

#[async_trait]
impl Ground for Sqlite {
    async fn open(&self) -> Arc<dyn CommandQueue> {
        // Processes die here, not machines.
        let config = SqliteConfig {
            synchronous: Synchronous::Normal,
            ..SqliteConfig::new(self.0.path().join("q.db"))
        };
        Arc::new(Database::open(config, self.1.clone()).await.unwrap().queue())
    }

    fn clock(&self) -> Arc<dyn TestClock> {
        time(&self.1)
    }
}

#[test]
fn the_store_in_process_is_the_model() {
    holds(300, 60, async || {
        let clock = Arc::new(ManualClock::default());
        let outbox = MemoryOutbox::new(clock.clone());
        Memory(MemoryQueue::new(clock.clone(), outbox), clock)
    });
}

#[test]
fn sqlite_is_the_model() {
    holds(24, 40, async || Sqlite(tempfile::tempdir().unwrap(), Arc::default()));
}
