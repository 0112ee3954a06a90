//! A database of a benchmark's own, and calls made by several tasks at once.

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use hexmem_adapter_pg::{Migrate, PgConfig, Postgres};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// How many tasks call at once.
pub(crate) const WORKERS: [u32; 2] = [1, 16];

/// A database on the server of `HEXMEM_TEST_PG_URL`, with a handle and a pool of sqlx's on it, of as many connections.
pub(crate) struct Server {
    url: String,
    name: String,
    pub(crate) postgres: Postgres,
    pub(crate) pool: PgPool,
}

impl Server {
    /// `None`, saying so, where no server is named.
    pub(crate) async fn start(benchmark: &str) -> Option<Self> {
        let Ok(url) = std::env::var("HEXMEM_TEST_PG_URL") else {
            println!("{benchmark}: not measured: HEXMEM_TEST_PG_URL names no server");
            return None;
        };
        let name = format!("hexmem_bench_{}", Uuid::new_v4().simple());
        let mut server = PgConnection::connect(&url).await.unwrap();
        server.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let slash = url.rfind('/').unwrap();
        let own = format!("{}/{name}", &url[..slash]);
        let pool = PgPoolOptions::new().max_connections(16).connect(&own).await.unwrap();
        let config =
            PgConfig { migrate: Migrate::Connect, max_connections: 16, ..PgConfig::new(own) };
        let postgres = Postgres::connect(config).await.unwrap();
        Some(Self { url, name, postgres, pool })
    }

    pub(crate) async fn run(&self, sql: &'static str) {
        self.pool.execute(sqlx::raw_sql(sql)).await.unwrap();
    }

    pub(crate) async fn drop(self) {
        self.pool.close().await;
        self.postgres.close().await;
        let mut server = PgConnection::connect(&self.url).await.unwrap();
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        server.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// Measures `call`, made with consecutive numbers by `workers` tasks at once: the time divided by all calls.
pub(crate) fn measure<F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    function: &str,
    workers: u32,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let input = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
    let workers = usize::try_from(workers).unwrap();
    let mut done = 0;
    group.bench_function(BenchmarkId::new(function, input), |bencher| {
        bencher.iter_custom(|calls| {
            let calls = usize::try_from(calls).unwrap();
            let start = Instant::now();
            runtime.block_on(async {
                let tasks: Vec<_> = (0..workers)
                    .map(|worker| {
                        let call = call.clone();
                        tokio::spawn(async move {
                            for n in (worker..calls).step_by(workers) {
                                call(done + n).await;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            done += calls;
            start.elapsed()
        });
    });
}
