//! Random runs with crashes against the plain model of `conformance`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hexmem_adapter_pg::{PgConfig, Postgres};
use hexmem_conformance::TestClock;
use hexmem_conformance::queue::model::{Ground, holds};
use hexmem_ports::CommandQueue;
use sqlx::PgConnection;
use tokio::sync::Mutex;

/// How the handles call themselves.
const NAME: &str = "model";

struct OnServer {
    database: rig::Database,
    clock: Arc<rig::Seconds>,
    watch: Mutex<PgConnection>,
    opened: Mutex<Vec<Postgres>>,
}

impl OnServer {
    async fn new() -> Self {
        let database = rig::Database::migrated().await;
        let clock = Arc::new(rig::Seconds(rig::ServerClock::stopped(&database.url).await));
        let watch = Mutex::new(rig::connect(&database.url).await);
        Self { database, clock, watch, opened: Mutex::default() }
    }

    /// What a dropped call had begun on the server has ended there: every session that is left lies unused in a handle.
    async fn settled(&self, opened: &[Postgres]) {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND application_name = $1";
        let mut watch = self.watch.lock().await;
        loop {
            let query = sqlx::query_scalar::<_, i64>(sessions).bind(NAME);
            let running = query.fetch_one(&mut *watch).await.unwrap();
            let unused: u32 = opened.iter().map(|handle| handle.pool_state().idle).sum();
            if running == i64::from(unused) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl Ground for OnServer {
    async fn open(&self) -> Arc<dyn CommandQueue> {
        let mut opened = self.opened.lock().await;
        self.settled(&opened).await;
        let config = PgConfig { application_name: NAME.to_owned(), ..self.database.config() };
        let handle = Postgres::connect(config).await.unwrap();
        opened.push(handle.clone());
        Arc::new(handle.queue())
    }

    fn clock(&self) -> Arc<dyn TestClock> {
        self.clock.clone()
    }
}

#[test]
fn postgresql_is_the_model() {
    holds(6, 40, OnServer::new);
}
