//! The records of the vectors.

use async_trait::async_trait;
use hexmem_ports::{CollectionId, Point, VectorStore};
use serde_json::json;

use super::Vectors;
use super::fixture::*;
use crate::records::{self, Subject};

/// Numbered points of one collection.
struct Points(CollectionId);

#[async_trait]
impl Subject<dyn VectorStore> for Points {
    async fn create(&self, store: &dyn VectorStore, n: u32) {
        store.create(&self.0, spec()).await.unwrap();
        store.upsert(&self.0, vec![point(n)]).await.unwrap();
    }

    async fn change(&self, store: &dyn VectorStore, n: u32) {
        let changed = Point { payload: json!({"changed": n}), ..point(n + 1) };
        store.upsert(&self.0, vec![Point { id: id(n), ..changed }]).await.unwrap();
    }

    async fn delete(&self, store: &dyn VectorStore, n: u32) {
        assert_eq!(store.delete(&self.0, &[id(n)]).await.unwrap(), 1);
    }

    async fn read(&self, store: &dyn VectorStore, n: u32) -> Option<String> {
        // A copy that nothing was restored to has no collection.
        let points = store.get(&self.0, &[id(n)]).await.ok()?;
        let point = points.into_iter().next()??;
        // What searches answer belongs to what is restored.
        let query = search(sparse_query("idf", sparse(&[(0, 1.0), (1, 1.0)])), 100);
        let found = store.search(&self.0, &query).await.unwrap();
        let found: Vec<_> = found.iter().filter(|hit| hit.id == id(n)).collect();
        Some(format!("{point:?} {found:?}"))
    }

    fn life(&self) -> Option<u32> {
        None
    }
}

fn subject(rig: &Vectors) -> Points {
    Points(collection(rig))
}

/// `REC-KIND-1`
pub async fn rec_kind_1(rig: Vectors) {
    let points = subject(&rig);
    records::kind_1(rig, points).await;
}

/// `REC-SCAN-1`
pub async fn rec_scan_1(rig: Vectors) {
    let points = subject(&rig);
    records::scan_1(rig, points).await;
}

/// `REC-SCAN-2`
pub async fn rec_scan_2(rig: Vectors) {
    let points = subject(&rig);
    records::scan_2(rig, points).await;
}

/// `REC-RESTORE-1`
pub async fn rec_restore_1(rig: Vectors) {
    let alias = CollectionId::new(rig.tenant.clone(), crate::name("alias"));
    let dropped = CollectionId::new(rig.tenant.clone(), crate::name("dropped"));
    let points = subject(&rig);
    rig.store.create(&points.0, spec()).await.unwrap();
    rig.store.set_alias(&alias, Some(points.0.name.clone())).await.unwrap();
    rig.store.create(&dropped, spec()).await.unwrap();
    rig.store.upsert(&dropped, vec![point(1)]).await.unwrap();
    rig.store.drop_collection(&dropped).await.unwrap();
    let copy = rig.clone();
    records::restore_1(rig, points).await;
    let (copy, _) = copy.twin.expect("a rig that declares records has a twin");
    assert_eq!(copy.info(&alias).await.unwrap().expect("the alias came along").points, 5);
    assert_eq!(copy.info(&dropped).await.unwrap(), None);
}

/// `REC-RESTORE-2`
pub async fn rec_restore_2(rig: Vectors) {
    let points = subject(&rig);
    records::restore_2(rig, points).await;
}

/// `REC-RESTORE-3`
pub async fn rec_restore_3(rig: Vectors) {
    let points = subject(&rig);
    let at = points.0.clone();
    // What the rig guards must outlive its first part.
    let _guard = rig.guard.clone();
    let (store, scanned, twin) = (rig.store.clone(), rig.records.clone(), rig.twin.clone());
    records::restore_3(rig, points).await;
    let (copy, copied) = twin.expect("a rig that declares records has a twin");
    let scanned = scanned.expect("a rig that declares records has them");
    // A later life of the collection empties the copy before its points come.
    store.upsert(&at, vec![point(3)]).await.unwrap();
    copied.restore(records::scan_all(scanned.as_ref(), 100).await).await.unwrap();
    let old = records::scan_all(scanned.as_ref(), 100).await;
    store.drop_collection(&at).await.unwrap();
    store.create(&at, spec()).await.unwrap();
    store.upsert(&at, vec![point(4)]).await.unwrap();
    copied.restore(records::scan_all(scanned.as_ref(), 100).await).await.unwrap();
    let seen = copy.get(&at, &[id(3), id(4)]).await.unwrap();
    assert_eq!(seen, [None, Some(point(4))]);
    copied.restore(old).await.unwrap();
    assert_eq!(copy.get(&at, &[id(3)]).await.unwrap(), [None], "an earlier life stays over");
}

/// `REC-RESTORE-4`
pub async fn rec_restore_4(rig: Vectors) {
    let points = subject(&rig);
    records::restore_4(rig, points).await;
}
