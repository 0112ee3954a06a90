//! The rig of a port on SQLite: two handles on one file, as two processes would have, an empty twin, and a clock that the
//! cases move.

use std::sync::Arc;

use hexmem_adapter_memory::ManualClock;
use hexmem_adapter_sqlite::{Database, SqliteConfig};
use hexmem_conformance::{Rig, manual_time};
use hexmem_ports::{Capabilities, Outbox, Records};

/// The rig of a port: `store` gives it from a handle.
pub(crate) async fn rig<P: ?Sized, S: Records + 'static>(
    store: impl Fn(&Database) -> S,
    port: impl Fn(Arc<S>) -> Arc<P>,
    declares: impl Fn(&S) -> Capabilities,
) -> Rig<P> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let open = async |file: &str| {
        let config = SqliteConfig::new(folder.path().join(file));
        Database::open(config, clock.clone()).await.unwrap()
    };
    let (database, second, apart) = (open("a.db").await, open("a.db").await, open("b.db").await);
    let (first, twin) = (Arc::new(store(&database)), Arc::new(store(&apart)));
    let declares = declares(&first);
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    let mut rig = Rig::new("sqlite", port(Arc::clone(&first)), declares, time);
    rig.other = port(Arc::new(store(&second)));
    rig.outbox = Some(Arc::new(database.outbox()) as Arc<dyn Outbox>);
    rig.records = Some(first as Arc<dyn Records>);
    rig.twin = Some((port(Arc::clone(&twin)), twin as Arc<dyn Records>));
    rig.guard = Some(Arc::new(folder));
    rig
}
