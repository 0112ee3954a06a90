//! Suites through PgBouncer in transaction mode: three server connections for all clients, handed round after each
//! transaction. Any other suite runs so too with `HEXMEM_TEST_PG_VIA=pgbouncer`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rig;

use std::sync::Arc;

use hexmem_adapter_pg::{PgConfig, Pooling, Postgres};
use hexmem_conformance::Rig;
use hexmem_ports::{
    BucketId, Capabilities, Capability, CommandQueue, ErrorKind, KeyValueExt as _, KeyValueStore,
    KvSet, Name, Records, SessionStore, Tenant,
};

async fn bench() -> rig::Bench {
    rig::bench_with(rig::Database::through_pgbouncer).await
}

/// What the server keeps is shown where there is no pooler.
fn through<P: ?Sized>(rig: Rig<P>) -> Rig<P> {
    let shown = [Capability::Durable, Capability::MultiProcess];
    let declares = Capabilities::of(rig.declares.iter().filter(|one| !shown.contains(one)));
    Rig { adapter: "pg-pgbouncer", declares, ..rig }
}

mod key_value {
    use super::*;

    async fn rig() -> Rig<dyn KeyValueStore> {
        through(bench().await.rig(
            |postgres| Arc::new(postgres.key_value()),
            |store| store as Arc<dyn KeyValueStore>,
            |store| store.capabilities(),
        ))
    }

    hexmem_conformance::key_value_suite!(rig);
}

mod sessions {
    use super::*;

    async fn rig() -> Rig<dyn SessionStore> {
        through(bench().await.rig(
            |postgres| Arc::new(postgres.sessions()),
            |store| store as Arc<dyn SessionStore>,
            |store| store.capabilities(),
        ))
    }

    hexmem_conformance::sessions_suite!(rig);
}

mod queue {
    use super::*;

    async fn rig() -> Rig<dyn CommandQueue> {
        let bench = bench().await;
        let clock = Arc::new(rig::Seconds(bench.clock.clone()));
        let rig = through(bench.rig(
            |postgres| Arc::new(postgres.queue()),
            |store| store as Arc<dyn CommandQueue>,
            |store| store.capabilities(),
        ));
        Rig { clock, ..rig }
    }

    hexmem_conformance::queue_suite!(rig);
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_share_few_connections() {
    let bench = bench().await;
    let bucket = BucketId::new(Tenant(name("t")), name("b"));
    let calls = (0..200).map(|n| {
        let (store, bucket) = (bench.first.key_value(), bucket.clone());
        tokio::spawn(async move {
            let key = name(&format!("k{}", n % 7));
            store.set(&bucket, &key, KvSet::new(format!("{n}"))).await.unwrap();
            assert!(store.get(&bucket, &key).await.unwrap().is_some());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let all = Records::scan(&bench.first.key_value(), None, Default::default()).await.unwrap();
    assert_eq!(all.items.len(), 7);
}

/// Without the setting that says so, a pooler of transactions is noticed, and the error names the setting.
#[tokio::test]
async fn a_pooler_that_was_not_told_of_is_named() {
    let bench = bench().await;
    let config = PgConfig {
        pooling: Pooling::Session,
        max_connections: 3,
        ..bench.database.through_pgbouncer()
    };
    let outcome = async {
        let postgres = Postgres::connect(config).await?;
        let bucket = BucketId::new(Tenant(name("t")), name("b"));
        for n in 0..100 {
            let store = postgres.key_value();
            let set =
                async |key: &str| store.set(&bucket, &name(key), KvSet::new(format!("{n}"))).await;
            let (a, b, c) = tokio::join!(set("a"), set("b"), set("c"));
            a.and(b).and(c)?;
        }
        Ok::<_, hexmem_ports::Error>(())
    }
    .await;
    // A pooler that follows prepared statements itself (PgBouncer 1.21 and newer) has nothing to complain of.
    if let Err(error) = outcome {
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Invalid), "{error:?}");
        assert!(error.to_string().contains("pg.pooling"), "{error:?}");
    }
}
