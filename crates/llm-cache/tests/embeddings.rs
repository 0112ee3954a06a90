//! Embeddings: each text once, bit for bit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hexmem_adapter_memory::{HashEmbedder, ManualClock, MemoryCache};
use hexmem_conformance::{Rig, manual_time};
use hexmem_llm_cache::CachedEmbedder;
use hexmem_ports::{
    CacheStore, Capabilities, EmbedMode, Embedder, EmbeddingSpace, Invalidate, Name, NamespaceId,
    Result, TagRef, Tenant, Ttl,
};

/// Remembers what it was asked.
struct Asked {
    inner: HashEmbedder,
    calls: Mutex<Vec<Vec<String>>>,
    model: &'static str,
}

#[async_trait]
impl Embedder for Asked {
    fn space(&self) -> EmbeddingSpace {
        EmbeddingSpace { model: name(self.model), ..self.inner.space() }
    }
    async fn embed(&self, mode: EmbedMode, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        self.calls.lock().unwrap().push(texts.to_vec());
        self.inner.embed(mode, texts).await
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn namespace() -> NamespaceId {
    NamespaceId::new(Tenant(name("t")), name("embeddings"))
}

fn asked(model: &'static str) -> Arc<Asked> {
    let inner = HashEmbedder::new(32).unwrap();
    Arc::new(Asked { inner, calls: Mutex::default(), model })
}

fn cached(inner: &Arc<Asked>, store: &Arc<dyn CacheStore>) -> CachedEmbedder {
    CachedEmbedder::new(inner.clone(), store.clone(), namespace(), Ttl::secs(100).unwrap())
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn store() -> (Arc<ManualClock>, Arc<dyn CacheStore>) {
    let clock = Arc::new(ManualClock::default());
    (clock.clone(), Arc::new(MemoryCache::new(clock)))
}

async fn rig() -> Rig<dyn Embedder> {
    let (clock, store) = store();
    let embedder: Arc<dyn Embedder> = Arc::new(cached(&asked("a"), &store));
    let time = manual_time(clock.clone(), move |span| clock.advance(span));
    Rig::new("memory", embedder, Capabilities::default(), time)
}

hexmem_conformance::embed_suite!(rig);

#[tokio::test]
async fn only_what_is_missing_is_embedded_and_only_once() {
    let (_, store) = store();
    let inner = asked("a");
    let embedder = cached(&inner, &store);
    let plain = |list: &[&str]| {
        let texts = texts(list);
        async move { asked("a").embed(EmbedMode::Passage, &texts).await.unwrap() }
    };
    for (list, missing) in [
        (&["a", "b", "a"][..], Some(&["a", "b"][..])),
        (&["b", "a"], None),
        (&["c", "a", "d", "c", ""], Some(&["c", "d", ""])),
        (&[], None),
    ] {
        let got = embedder.embed(EmbedMode::Passage, &texts(list)).await.unwrap();
        assert_eq!(got, plain(list).await, "{list:?}");
        let calls = std::mem::take(&mut *inner.calls.lock().unwrap());
        assert_eq!(calls, missing.map(texts).into_iter().collect::<Vec<_>>(), "{list:?}");
    }
}

#[tokio::test]
async fn modes_models_and_time_keep_them_apart() {
    let (clock, store) = store();
    let (a, b) = (asked("a"), asked("b"));
    let count = |inner: &Arc<Asked>| inner.calls.lock().unwrap().len();
    for (inner, mode) in [(&a, EmbedMode::Passage), (&a, EmbedMode::Query), (&b, EmbedMode::Query)]
    {
        let before = count(inner);
        cached(inner, &store).embed(mode, &texts(&["x"])).await.unwrap();
        assert_eq!(count(inner), before + 1);
        // Another handle, the same store.
        cached(inner, &store).embed(mode, &texts(&["x"])).await.unwrap();
        assert_eq!(count(inner), before + 1);
    }
    let model = Invalidate::Tag(TagRef::Model(name("a")));
    assert_eq!(store.invalidate(&namespace(), model).await.unwrap(), Some(2));
    cached(&b, &store).embed(EmbedMode::Query, &texts(&["x"])).await.unwrap();
    assert_eq!(count(&b), 1, "another model's stay");
    clock.advance(std::time::Duration::from_secs(100));
    cached(&b, &store).embed(EmbedMode::Query, &texts(&["x"])).await.unwrap();
    assert_eq!(count(&b), 2);
}

#[tokio::test]
async fn more_than_one_call_of_the_store_holds() {
    let (_, store) = store();
    let inner = asked("a");
    let embedder = cached(&inner, &store);
    let many: Vec<String> = (0..2_500).map(|n| format!("text {n}")).collect();
    let first = embedder.embed(EmbedMode::Passage, &many).await.unwrap();
    let again = embedder.embed(EmbedMode::Passage, &many).await.unwrap();
    assert_eq!((first.len(), &first), (2_500, &again));
    assert_eq!(inner.calls.lock().unwrap().len(), 1, "one call for all that were missing");
}
