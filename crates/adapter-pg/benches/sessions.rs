//! Finding, touching and creating sessions, beside the bare statements on a pool of sqlx's.
//!
//! Needs the server of `HEXMEM_TEST_PG_URL`, on which it makes a database of its own and drops it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod server;

use std::sync::Arc;

use hexmem_ports::{
    Digest, Name, NewSession, SessionId, SessionOrigin, SessionStore as _, Tenant, TokenKey, Touch,
    Ttl, UserScope,
};
use serde_json::json;
use server::{Server, WORKERS, criterion, measure};
use uuid::Uuid;

/// Sessions in the tables.
const SESSIONS: usize = 10_000;

fn request(n: usize) -> NewSession {
    let name = |text: String| Name::new(text).unwrap();
    let owner = UserScope { tenant: Tenant(name("bench".into())), user: name(format!("user-{n}")) };
    let hash = Digest::of(n.to_string().as_bytes());
    NewSession {
        id: SessionId(Uuid::from_u128(u128::try_from(n).unwrap() + 1)),
        token: TokenKey { bucket: owner.bucket(), hash },
        owner,
        data: json!({ "name": "somebody", "roles": ["reader", "writer"] }),
        origin: SessionOrigin::default(),
        idle: Ttl::secs(3_600).unwrap(),
        absolute: Ttl::secs(86_400).unwrap(),
        cap: None,
        retention: Ttl::secs(3_600).unwrap(),
    }
}

/// What somebody writes who needs no more: one update by the token.
const TOUCH: &str = "UPDATE hexmem.sessions AS s
    SET last_seen_at = now(), idle_expires_at = least(now() + interval '1 h', absolute_expires_at)
    WHERE s.seq = (
            SELECT t.session FROM hexmem.session_tokens AS t
            WHERE t.bucket = $1 AND t.hash = $2 AND (t.valid_until IS NULL OR t.valid_until > now())
        )
        AND s.revoked_at IS NULL AND s.idle_expires_at > now()
    RETURNING s.*";

/// One insert of the two rows.
const CREATE: &str = "WITH made AS (
        INSERT INTO hexmem.sessions (
            owner, id, tenant, user_name, created_at, last_seen_at, idle_expires_at, absolute_expires_at,
            token_issued_at, modified_at, sweep_at, idle, retention, version, revision, evicted, data
        )
        VALUES (
            $1, $2, 'bench', $3, now(), now(), now() + interval '1 h', now() + interval '1 d', now(), now(),
            now() + interval '2 h', 3600000000, 3600000000, 1, 1, '{}', $4
        )
        RETURNING seq
    )
    INSERT INTO hexmem.session_tokens (bucket, hash, session) SELECT $5, $6, seq FROM made";

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Some(server) = runtime.block_on(Server::start("pg sessions")) else { return };
    let (store, pool) = (server.postgres.sessions(), server.pool.clone());
    let tokens: Arc<Vec<TokenKey>> = Arc::new((0..SESSIONS).map(|n| request(n).token).collect());
    runtime.block_on(async {
        for n in 0..SESSIONS {
            store.create(request(n), vec![]).await.unwrap();
        }
        server.run("VACUUM ANALYZE").await;
    });
    let mut criterion = criterion();
    let token = |tokens: &[TokenKey], n: usize| tokens[n.wrapping_mul(7_919) % SESSIONS];

    let mut group = criterion.benchmark_group("pg session find");
    for workers in WORKERS {
        let (of, on) = (Arc::clone(&tokens), store.clone());
        measure(&mut group, &runtime, "hexmem", workers, move |n| {
            let (store, token) = (on.clone(), token(&of, n));
            async move {
                store.find(&token).await.unwrap().unwrap();
            }
        });
        let (of, on) = (Arc::clone(&tokens), pool.clone());
        measure(&mut group, &runtime, "sqlx", workers, move |n| {
            let (pool, token) = (on.clone(), token(&of, n));
            async move {
                sqlx::query(include_str!("../src/sql/sessions/find.sql"))
                    .bind(i32::from(token.bucket))
                    .bind(token.hash.0.to_vec())
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            }
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("pg session touch");
    for workers in WORKERS {
        let (of, on) = (Arc::clone(&tokens), store.clone());
        measure(&mut group, &runtime, "hexmem", workers, move |n| {
            let (store, token) = (on.clone(), token(&of, n));
            async move {
                store.touch(&token, Touch::default()).await.unwrap().unwrap();
            }
        });
        let (of, on) = (Arc::clone(&tokens), pool.clone());
        measure(&mut group, &runtime, "sqlx", workers, move |n| {
            let (pool, token) = (on.clone(), token(&of, n));
            async move {
                sqlx::query(TOUCH)
                    .bind(i32::from(token.bucket))
                    .bind(token.hash.0.to_vec())
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            }
        });
    }
    group.finish();

    // Numbers that no session has yet, another million for each side and number of workers.
    let mut group = criterion.benchmark_group("pg session create");
    for (round, workers) in WORKERS.into_iter().enumerate() {
        let (on, base) = (store.clone(), (round * 2 + 1) * 1_000_000);
        measure(&mut group, &runtime, "hexmem", workers, move |n| {
            let store = on.clone();
            async move {
                store.create(request(base + n), vec![]).await.unwrap();
            }
        });
        let (on, base) = (pool.clone(), (round * 2 + 2) * 1_000_000);
        measure(&mut group, &runtime, "sqlx", workers, move |n| {
            let pool = on.clone();
            async move {
                let new = request(base + n);
                let owner =
                    Digest::of_parts([b"bench".as_slice(), new.owner.user.as_str().as_bytes()]);
                sqlx::query(CREATE)
                    .bind(owner.0.to_vec())
                    .bind(new.id.0)
                    .bind(new.owner.user.as_str())
                    .bind(new.data.to_string())
                    .bind(i32::from(new.token.bucket))
                    .bind(new.token.hash.0.to_vec())
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        });
    }
    group.finish();
    criterion.final_summary();
    drop((store, pool));
    runtime.block_on(server.drop());
}
