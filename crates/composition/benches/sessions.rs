//! A session's request through domain and store, beside a bare select; and what coalescing saves.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use hexmem_adapter_memory::{ManualClock, SystemClock};
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_ports::{Clock, Name, Tenant, Ttl, UserScope};
use hexmem_sessions::{Client, Policy, Sessions, Start, Token};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::runtime::Runtime;

/// Sessions in each file.
const SESSIONS: usize = 1_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    authenticate(&mut criterion, &runtime, folder.path());
    touch(&mut criterion, &runtime, folder.path());
    criterion.final_summary();
}

fn owner(n: usize) -> UserScope {
    let user = Name::new(format!("user-{n}")).unwrap();
    UserScope { tenant: Tenant(Name::new("bench").unwrap()), user }
}

async fn sessions(file: &Path, clock: Arc<dyn Clock>, policy: Policy) -> Sessions {
    let database = Database::open(SqliteConfig::new(file), clock.clone()).await.unwrap();
    Sessions::new(Arc::new(database.sessions()), clock, policy).unwrap()
}

/// A connection with the settings that the adapter uses by default.
async fn bare(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-8192")
        .pragma("temp_store", "MEMORY")
        .connect()
        .await
        .unwrap()
}

fn authenticate(criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let clock = Arc::new(SystemClock);
    let data = json!({ "role": "admin", "cart": [1, 2, 3] });
    let (sessions, mut connection, texts) = runtime.block_on(async {
        let sessions = sessions(&folder.join("a.db"), clock, Policy::default()).await;
        let mut connection = bare(&folder.join("bare.db")).await;
        let table = "CREATE TABLE session (token TEXT PRIMARY KEY, user TEXT NOT NULL, data TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        let mut texts = Vec::new();
        for n in 0..SESSIONS {
            let issued = sessions.create(Start::new(owner(n)).data(data.clone())).await.unwrap();
            let text = issued.token.expose();
            let insert = sqlx::query("INSERT INTO session VALUES (?1, ?2, ?3, ?4)");
            let insert = insert.bind(text.clone()).bind(owner(n).to_string());
            let insert = insert.bind(data.to_string()).bind(i64::MAX);
            insert.execute(&mut connection).await.unwrap();
            texts.push(text);
        }
        (sessions, connection, texts)
    });
    let client = Client::new(Some("192.0.2.1".parse().unwrap()), Some("Mozilla/5.0"));
    let mut next = texts.iter().cycle();
    let mut group = criterion.benchmark_group("session authenticate");
    group.bench_function("hexmem", |bencher| {
        bencher.iter(|| {
            let token = Token::parse(next.next().unwrap()).unwrap();
            runtime.block_on(sessions.authenticate(&token, &client)).unwrap().unwrap()
        });
    });
    group.bench_function("sqlx", |bencher| {
        bencher.iter(|| {
            let sql = "SELECT user, data FROM session WHERE token = ?1 AND expires_at > ?2";
            let query = sqlx::query(sql).bind(next.next().unwrap()).bind(0_i64);
            black_box(runtime.block_on(query.fetch_one(&mut connection)).unwrap())
        });
    });
    group.finish();
}

/// Ten requests in each coalescing span, beside ten that each write.
fn touch(criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let mut group = criterion.benchmark_group("session touch");
    let span = Ttl::secs(60).unwrap();
    for (function, coalesce) in [("hexmem", Some(span)), ("a write each", None)] {
        let clock = Arc::new(ManualClock::default());
        let policy = Policy {
            coalesce,
            renewal: None,
            absolute: Ttl::secs(86_400 * 365 * 50).unwrap(),
            ..Policy::default()
        };
        let (sessions, token) = runtime.block_on(async {
            let file = folder.join(function);
            let sessions = sessions(&file, clock.clone(), policy).await;
            let issued = sessions.create(Start::new(owner(0))).await.unwrap();
            (sessions, issued.token)
        });
        let client = Client::default();
        group.bench_function(function, |bencher| {
            bencher.iter(|| {
                for _ in 0..10 {
                    clock.advance(Duration::from_secs(6));
                    runtime.block_on(sessions.authenticate(&token, &client)).unwrap().unwrap();
                }
            });
        });
    }
    group.finish();
}
