//! The sessions suite on PostgreSQL: two handles that share nothing, as two processes would have; and the races that only
//! a server with several writers has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hexmem_adapter_pg::{PgSessions, Postgres};
use hexmem_conformance::{Rig, TestClock as _, minimum, name};
use hexmem_ports::{
    Digest, Effect, ErrorKind, Limit, NewSession, OpId, Outbox as _, Records as _, Rotate,
    SessionCap, SessionId, SessionOrigin, SessionStore, StoredSession, Tenant, TokenKey, Touch,
    Ttl, UserScope, WhenFull,
};
use rig::{Bench, connect, run};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

async fn rig() -> Rig<dyn SessionStore> {
    rig::bench().await.rig(
        |postgres| Arc::new(postgres.sessions()),
        |store| store as Arc<dyn SessionStore>,
        |store| store.capabilities(),
    )
}

hexmem_conformance::sessions_suite!(rig);

#[tokio::test]
async fn declares_the_minimum() {
    minimum::check("pg", "sessions", &rig().await.declares);
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::secs(seconds).unwrap()
}

fn owner(user: &str) -> UserScope {
    UserScope { tenant: Tenant(name("t")), user: name(user) }
}

fn token(owner: &UserScope) -> TokenKey {
    TokenKey { bucket: owner.bucket(), hash: Digest::of(Uuid::new_v4().as_bytes()) }
}

fn new(owner: &UserScope) -> NewSession {
    NewSession {
        id: SessionId(Uuid::new_v4()),
        token: token(owner),
        owner: owner.clone(),
        data: json!({ "name": "somebody", "roles": ["reader", "writer"] }),
        origin: SessionOrigin::default(),
        idle: ttl(1_200),
        absolute: ttl(6_000),
        cap: None,
        retention: ttl(600),
    }
}

fn effect(text: &str) -> Effect {
    Effect { id: Uuid::new_v4(), topic: name("t"), key: name("k"), payload: json!(text) }
}

fn rows(limit: u32) -> Limit {
    Limit::new(limit).unwrap()
}

/// Handles with connections of their own, on one database.
async fn handles(bench: &Bench, count: usize) -> Vec<PgSessions> {
    join_all((0..count).map(|_| bench.database.open("hexmem")))
        .await
        .iter()
        .map(Postgres::sessions)
        .collect()
}

/// Waits until somebody in this database waits for a lock.
async fn until_somebody_waits(watcher: &mut PgConnection) {
    let sql = "SELECT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    for _ in 0..2_000 {
        if sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut *watcher).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("nobody waits");
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// A lock taken in the statement that counts came too late: 5 to 8 were live.
#[tokio::test]
async fn a_cap_of_three_under_eight_writers_stays_three() {
    let bench = rig::bench().await;
    let stores = handles(&bench, 8).await;
    let scope = owner("u");
    let cap = Some(SessionCap { max: 3, when_full: WhenFull::EvictOldest });
    let mut first = connect(&bench.database.url).await;
    let writers = stores.iter().map(|store| {
        let scope = &scope;
        async move {
            for _ in 0..20 {
                let request = NewSession { cap, ..new(scope) };
                store.create(request, vec![effect("made")]).await.unwrap();
                let live = store.list(scope, None, rows(100)).await.unwrap().items.len();
                assert!(live <= 3, "{live} live sessions at a cap of 3");
            }
        }
    });
    join_all(writers).await;
    assert_eq!(stores[0].list(&scope, None, rows(100)).await.unwrap().items.len(), 3);
    let evicted = "SELECT sum(cardinality(evicted))::int8 FROM hexmem.sessions";
    assert_eq!(
        number(&mut first, evicted).await,
        157,
        "each is named by the create that revoked it"
    );
    assert_eq!(number(&mut first, "SELECT count(*) FROM hexmem.sessions").await, 160);
    assert_eq!(bench.first.outbox().depth().await.unwrap(), 160);
    // Refused ones leave nothing.
    let cap = Some(SessionCap { max: 5, when_full: WhenFull::Refuse });
    let tries = stores.iter().map(|store| store.create(NewSession { cap, ..new(&scope) }, vec![]));
    let made = join_all(tries).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 2);
    for refused in made.into_iter().filter_map(Result::err) {
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    assert_eq!(number(&mut first, "SELECT count(*) FROM hexmem.session_tokens").await, 162);
}

#[tokio::test]
async fn the_first_save_of_many_at_once_is_one_session_and_all_get_its_answer() {
    let bench = rig::bench().await;
    let stores = handles(&bench, 8).await;
    let mut connection = connect(&bench.database.url).await;
    for round in 0..10 {
        let request = new(&owner(&format!("u{round}")));
        let saves = stores.iter().map(|store| store.create(request.clone(), vec![effect("once")]));
        let answers: Vec<_> = join_all(saves).await.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        // Of many tokens for one id one wins; nothing of the others stays.
        let scope = owner(&format!("v{round}"));
        let id = SessionId(Uuid::new_v4());
        let saves =
            stores.iter().map(|store| store.create(NewSession { id, ..new(&scope) }, vec![]));
        let saved = join_all(saves).await;
        assert_eq!(saved.iter().filter(|saved| saved.is_ok()).count(), 1);
        // And of many ids for one token.
        let token = token(&scope);
        let saves =
            stores.iter().map(|store| store.create(NewSession { token, ..new(&scope) }, vec![]));
        let saved = join_all(saves).await;
        assert_eq!(saved.iter().filter(|saved| saved.is_ok()).count(), 1);
    }
    assert_eq!(number(&mut connection, "SELECT count(*) FROM hexmem.sessions").await, 30);
    assert_eq!(number(&mut connection, "SELECT count(*) FROM hexmem.session_tokens").await, 30);
    assert_eq!(bench.first.outbox().depth().await.unwrap(), 10);
}

/// Each change waits for a revocation that is under way, and finds the session ended.
#[tokio::test]
async fn what_waits_for_a_revocation_cannot_bring_the_session_back() {
    let bench = rig::bench().await;
    let store = bench.first.sessions();
    let (mut rival, mut watcher) =
        (connect(&bench.database.url).await, connect(&bench.database.url).await);
    for change in ["touch", "update", "rotate", "rotate in grace"] {
        let request = new(&owner(change));
        let (old, id) = (request.token, request.id);
        store.create(request.clone(), vec![]).await.unwrap();
        run(&mut rival, "BEGIN").await;
        sqlx::query("UPDATE hexmem.sessions SET revoked_at = hexmem.now() WHERE id = $1")
            .bind(id.0)
            .execute(&mut rival)
            .await
            .unwrap();
        let changing = async {
            match change {
                "touch" => store.touch(&old, Touch::default()).await,
                "update" => {
                    store.update(&old, 1, json!(1), OpId::random(), vec![effect("no")]).await
                }
                _ => {
                    let grace = (change == "rotate in grace").then(|| ttl(60));
                    let new = token(&request.owner);
                    let (auth_hash, ip, user_agent) = (None, None, None);
                    let rotate = Rotate { old, new, grace, auth_hash, ip, user_agent };
                    store.rotate(rotate, vec![effect("no")]).await
                }
            }
        };
        let revoking = async {
            until_somebody_waits(&mut watcher).await;
            run(&mut rival, "COMMIT").await;
        };
        let (changed, ()) = tokio::join!(changing, revoking);
        assert_eq!(changed.unwrap(), None, "{change}");
        assert_eq!(store.find(&old).await.unwrap(), None, "{change}");
        assert_eq!(store.spent(&old).await.unwrap(), None, "{change}");
    }
    assert_eq!(number(&mut rival, "SELECT count(*) FROM hexmem.session_tokens").await, 4);
    let revisions = "SELECT sum(revision)::int8 FROM hexmem.sessions";
    assert_eq!(number(&mut rival, revisions).await, 4, "nothing was written");
    assert_eq!(bench.first.outbox().depth().await.unwrap(), 0);
}

/// A touch that waited for another one within the span writes nothing and answers with what the other wrote.
#[tokio::test]
async fn a_touch_that_lost_the_race_is_coalesced() {
    let bench = rig::bench().await;
    let store = bench.first.sessions();
    let (mut rival, mut watcher) =
        (connect(&bench.database.url).await, connect(&bench.database.url).await);
    let request = new(&owner("u"));
    store.create(request.clone(), vec![]).await.unwrap();
    bench.clock.advance(5).await;
    run(&mut rival, "BEGIN; UPDATE hexmem.sessions SET last_seen_at = hexmem.now(), revision = 2")
        .await;
    let touch = Touch { coalesce: Some(ttl(60)), ..Touch::default() };
    let other = async {
        until_somebody_waits(&mut watcher).await;
        run(&mut rival, "COMMIT").await;
    };
    let (touched, ()) = tokio::join!(store.touch(&request.token, touch), other);
    assert_eq!(touched.unwrap().unwrap().last_seen_at, bench.clock.now().await);
    assert_eq!(number(&mut rival, "SELECT revision FROM hexmem.sessions").await, 2);
}

/// Revoking, capping, touching, rotating and sweeping from eight pools at once: nobody waits in a circle, and what was
/// revoked stays so.
#[tokio::test]
async fn everything_at_once_on_one_user() {
    let bench = rig::bench().await;
    let stores = handles(&bench, 8).await;
    let scope = owner("u");
    let cap = Some(SessionCap { max: 4, when_full: WhenFull::EvictOldest });
    let rounds = stores.iter().enumerate().map(|(n, store)| {
        let scope = &scope;
        async move {
            for round in 0..12 {
                let request = NewSession { cap, ..new(scope) };
                let (old, id) = (request.token, request.id);
                store.create(request, vec![]).await.unwrap();
                store.touch(&old, Touch::default()).await.unwrap();
                let new = token(scope);
                let (grace, auth_hash, ip, user_agent) = (Some(ttl(60)), None, None, None);
                let rotate = Rotate { old, new, grace, auth_hash, ip, user_agent };
                store.rotate(rotate, vec![]).await.unwrap();
                if (round + n) % 3 == 0 {
                    store.revoke_all(scope, Some(id), vec![]).await.unwrap();
                } else if store.revoke(scope, id, vec![]).await.unwrap() {
                    assert_eq!(store.touch(&new, Touch::default()).await.unwrap(), None);
                    assert_eq!(store.find(&old).await.unwrap(), None);
                }
                store.sweep(rows(10)).await.unwrap();
            }
        }
    });
    join_all(rounds).await;
    assert!(stores[0].list(&scope, None, rows(100)).await.unwrap().items.len() <= 4);
    // All of it is freed in the end, tokens included.
    stores[0].revoke_all(&scope, None, vec![]).await.unwrap();
    bench.clock.advance(1_000).await;
    let freed = join_all(stores.iter().map(|store| store.sweep(rows(50)))).await;
    assert_eq!(freed.into_iter().map(Result::unwrap).sum::<u64>(), 96);
    let mut connection = connect(&bench.database.url).await;
    assert_eq!(number(&mut connection, "SELECT count(*) FROM hexmem.session_tokens").await, 0);
}

#[tokio::test]
async fn a_sweep_goes_by_batches_up_to_its_limit() {
    let bench = rig::bench().await;
    let store = bench.first.sessions();
    store.create(new(&owner("u")), vec![]).await.unwrap();
    let mut connection = connect(&bench.database.url).await;
    run(
        &mut connection,
        "INSERT INTO hexmem.sessions SELECT (jsonb_populate_record(s, jsonb_build_object(
            'seq', nextval(pg_get_serial_sequence('hexmem.sessions', 'seq')), 'id', gen_random_uuid()))).*
        FROM hexmem.sessions AS s, generate_series(1, 2499)",
    )
    .await;
    bench.clock.advance(29).await;
    assert_eq!(store.sweep(rows(10_000)).await.unwrap(), 0);
    bench.clock.advance(1).await;
    assert_eq!(store.sweep(rows(2_200)).await.unwrap(), 2_200);
    assert_eq!(store.sweep(rows(10_000)).await.unwrap(), 300);
    assert_eq!(store.sweep(rows(10_000)).await.unwrap(), 0);
}

/// SQL and the rules give the same answer.
#[tokio::test]
async fn a_touch_follows_the_rules() {
    let bench = rig::bench().await;
    let store = bench.first.sessions();
    let now = bench.clock.now().await;
    let span = Duration::from_secs;
    // Seconds: seen before now (the clock may have been set back), idle, absolute end from now, coalesce.
    let vectors = [
        (100_i64, 10_000, 20_000, None),
        (100, 10_000, 5_000, None),
        (0, 10_000, 10_000, None),
        (-50, 10_000, 20_000, None),
        (-50, 10_000, 20_000, Some(60)),
        (49, 10_000, 20_000, Some(50)),
        (50, 10_000, 20_000, Some(50)),
        (51, 10_000, 20_000, Some(50)),
        (9_999, 10_000, 1, Some(9_999)),
        (60, 3_153_600_000, 3_153_600_000, Some(1)),
    ];
    for (seen, idle, absolute, coalesce) in vectors {
        let request = NewSession { idle: ttl(idle), ..new(&owner("u")) };
        let key = request.token;
        let mut kept = StoredSession::new(request, now, vec![]);
        kept.session.last_seen_at = match u64::try_from(seen) {
            Ok(before) => now.minus(span(before)),
            Err(_) => now.plus(span(seen.unsigned_abs())),
        };
        kept.session.absolute_expires_at = now.plus(span(absolute));
        kept.session.idle_expires_at = now.plus(span(1));
        store.restore(vec![kept.to_record().unwrap()]).await.unwrap();
        let touch = Touch { coalesce: coalesce.map(ttl), ..Touch::default() };
        kept.touch(touch.clone(), now);
        let touched = store.touch(&key, touch).await.unwrap();
        assert_eq!(touched.as_ref(), Some(&kept.session), "{seen} {idle} {absolute} {coalesce:?}");
        let page = store.scan(None, rows(100)).await.unwrap();
        assert!(page.items.contains(&kept.to_record().unwrap()), "{seen} {coalesce:?}");
    }
}

/// A touch stays on its page and writes no index; otherwise the tables grow with each request.
#[tokio::test]
async fn touches_are_hot() {
    let bench = rig::bench().await;
    let store = bench.first.sessions();
    let mut tokens = Vec::new();
    // Few, so that all versions fit on a page: when the server clears dead ones is up to it.
    for n in 0..2 {
        let request = new(&owner(&format!("u{n}")));
        tokens.push(request.token);
        store.create(request, vec![]).await.unwrap();
    }
    let mut connection = connect(&bench.database.url).await;
    for _ in 0..5 {
        for token in &tokens {
            sqlx::query(include_str!("../src/sql/sessions/touch.sql"))
                .bind(i32::from(token.bucket))
                .bind(token.hash.0.as_slice())
                .bind(None::<&str>)
                .bind(None::<&str>)
                .bind(None::<i64>)
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
    // Before version 15 statistics come when they come.
    let flush = "SELECT to_regproc('pg_catalog.pg_stat_force_next_flush') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(flush).fetch_one(&mut connection).await.unwrap() {
        return;
    }
    run(&mut connection, "SELECT pg_stat_force_next_flush()").await;
    let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
        WHERE schemaname = 'hexmem' AND relname = 'sessions'";
    let (updates, hot): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
    assert_eq!((updates, hot), (10, 10), "each touch stays on its page");
}

/// All of a batch or nothing: a token that another session has refuses the record that brings it.
#[tokio::test]
async fn a_record_whose_token_is_taken_is_refused_with_its_batch() {
    let bench = rig::bench().await;
    let (store, twin) = (bench.first.sessions(), bench.twin.sessions());
    let (free, clash) = (new(&owner("u")), new(&owner("v")));
    for request in [free.clone(), clash.clone()] {
        store.create(request, vec![]).await.unwrap();
    }
    twin.create(NewSession { id: SessionId(Uuid::new_v4()), ..clash }, vec![]).await.unwrap();
    let all = store.scan(None, rows(10)).await.unwrap().items;
    let refused = twin.restore(all).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("token"), "{refused}");
    assert_eq!(twin.find(&free.token).await.unwrap(), None);
    assert_eq!(twin.scan(None, rows(10)).await.unwrap().items.len(), 1);
}
