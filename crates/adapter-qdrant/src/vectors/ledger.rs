//! What a collection of Qdrant cannot say of itself: aliases with their versions, and what was dropped or removed.
//!
//! One collection without vectors for a prefix, `prefix.ledger`. It is written before the change that it tells of, so
//! that nothing is lost where that is not answered; what is there counts more than what is told of it here.

use std::collections::HashMap;

use hexmem_ports::{CollectionId, Digest, ErrorKind, Name, PointId, Result, Tenant};
use qdrant_client::qdrant;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    CreateAlias, CreateCollection, DeletePoints, GetPoints, NamedVectors, PointStruct,
    PointsSelector, ScrollPoints, UpsertPoints, Value, Vectors, WithPayloadSelector, vectors,
};
use uuid::Uuid;

use super::filter::matching;
use super::point::{self, Stamp};
use super::{payload, read, wish, write};
use crate::Qdrant;
use crate::error::corrupt;

/// Entries written at once.
const AT_ONCE: usize = 1_000;

const KIND: &str = "k";
const TENANT: &str = "t";
const NAME: &str = "n";
const COLLECTION: &str = "c";
const POINT: &str = "i";
const TARGET: &str = "g";

/// What an entry is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum About {
    /// A collection that was dropped.
    Dropped,
    /// An alias and its target.
    Alias(Option<Name>),
    /// A point that was removed.
    Gone(PointId),
}

/// The kinds of entries, as they are searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Which<'a> {
    Dropped,
    Aliases,
    /// Of a collection.
    Gone(&'a CollectionId),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) at: CollectionId,
    pub(super) about: About,
    pub(super) stamp: Stamp,
}

impl About {
    fn kind(&self) -> &'static str {
        match self {
            Self::Dropped => "c",
            Self::Alias(_) => "a",
            Self::Gone(_) => "p",
        }
    }
}

impl Entry {
    /// Where it lies: one entry for a thing.
    fn id(&self) -> Uuid {
        let point = match &self.about {
            About::Gone(id) => id.0.to_string(),
            _ => String::new(),
        };
        let (tenant, name) = (self.at.tenant.as_str(), self.at.name.as_str());
        let parts = [self.about.kind(), tenant, name, &point].map(str::as_bytes);
        let digest = Digest::of_parts(parts).0;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Uuid::from_bytes(bytes)
    }

    fn encode(&self) -> PointStruct {
        let mut fields: HashMap<String, Value> = point::stamp_fields(self.stamp);
        let mut text = |field: &str, value: &str| {
            fields.insert(field.to_owned(), payload::text(value));
        };
        text(KIND, self.about.kind());
        text(TENANT, self.at.tenant.as_str());
        text(NAME, self.at.name.as_str());
        text(COLLECTION, &self.at.digest().to_hex());
        match &self.about {
            About::Gone(id) => text(POINT, &id.to_string()),
            About::Alias(Some(target)) => text(TARGET, target.as_str()),
            _ => {}
        }
        let vectors = vectors::VectorsOptions::Vectors(NamedVectors::default());
        PointStruct {
            id: Some(point::id(PointId(self.id()))),
            payload: fields,
            vectors: Some(Vectors { vectors_options: Some(vectors) }),
        }
    }

    fn decode(operation: &'static str, fields: &HashMap<String, Value>) -> Result<Self> {
        let wrong = || corrupt(operation, "an entry of the ledger");
        let text = |field: &str| match fields.get(field).and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(text)) => Some(text.as_str()),
            _ => None,
        };
        let name = |field: &str| {
            let text = text(field).ok_or_else(wrong)?;
            Name::new(text).map_err(|cause| wrong().caused_by(cause))
        };
        let about = match text(KIND) {
            Some("c") => About::Dropped,
            Some("a") => About::Alias(text(TARGET).map(|_| name(TARGET)).transpose()?),
            Some("p") => {
                let id = text(POINT).and_then(|text| Uuid::parse_str(text).ok());
                About::Gone(PointId(id.ok_or_else(wrong)?))
            }
            _ => return Err(wrong()),
        };
        let at = CollectionId::new(Tenant(name(TENANT)?), name(NAME)?);
        Ok(Self { at, about, stamp: point::stamp_of(operation, fields)? })
    }
}

/// No collection of a tenant has this name: theirs have three parts.
pub(crate) fn ledger_name(prefix: &str) -> String {
    format!("{prefix}.ledger")
}

/// Writes entries, replacing those about the same.
pub(super) async fn put(qdrant: &Qdrant, operation: &'static str, entries: &[Entry]) -> Result<()> {
    let name = ledger_name(&qdrant.config().prefix);
    for entries in entries.chunks(AT_ONCE) {
        let request = UpsertPoints {
            collection_name: name.clone(),
            wait: Some(true),
            points: entries.iter().map(Entry::encode).collect(),
            ordering: Some(write::ordering(qdrant)),
            timeout: qdrant.server_timeout(),
            ..Default::default()
        };
        let send = || {
            qdrant.write(operation, |client| {
                let request = request.clone();
                async move { client.upsert_points(request).await }
            })
        };
        let answer = match send().await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                create(qdrant, operation, &name).await?;
                send().await?
            }
            answer => answer?,
        };
        write::applied(operation, &answer)?;
    }
    Ok(())
}

async fn create(qdrant: &Qdrant, operation: &'static str, name: &str) -> Result<()> {
    let request = CreateCollection {
        collection_name: name.to_owned(),
        shard_number: Some(1),
        replication_factor: qdrant.config().replication_factor,
        write_consistency_factor: qdrant.config().write_consistency_factor,
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let made = qdrant.write(operation, |client| {
        let request = request.clone();
        async move { client.create_collection(request).await }
    });
    match made.await {
        // Somebody was faster.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for field in [KIND, COLLECTION] {
        wish::add_keyword_index(qdrant, operation, name, field).await?;
    }
    Ok(())
}

/// The entry about the same thing; `None` where there is none.
pub(super) async fn get(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
    about: About,
) -> Result<Option<Entry>> {
    let stamp = Stamp { version: 0, modified_at: hexmem_ports::Timestamp::MIN };
    let id = Entry { at: at.clone(), about, stamp }.id();
    Ok(by_id(qdrant, operation, vec![PointId(id)]).await?.pop())
}

/// The entries about points of a collection that are there.
pub(super) async fn gone(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
    ids: &[PointId],
) -> Result<Vec<Entry>> {
    let stamp = Stamp { version: 0, modified_at: hexmem_ports::Timestamp::MIN };
    let mut found = Vec::new();
    for ids in ids.chunks(AT_ONCE) {
        let about = |id: &PointId| Entry { at: at.clone(), about: About::Gone(*id), stamp };
        let ids = ids.iter().map(|id| PointId(about(id).id())).collect();
        found.extend(by_id(qdrant, operation, ids).await?);
    }
    Ok(found)
}

async fn by_id(qdrant: &Qdrant, operation: &'static str, ids: Vec<PointId>) -> Result<Vec<Entry>> {
    let request = GetPoints {
        collection_name: ledger_name(&qdrant.config().prefix),
        ids: ids.into_iter().map(point::id).collect(),
        with_payload: Some(everything()),
        read_consistency: read::consistency(qdrant),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let answer = qdrant.read(operation, |client| {
        let request = request.clone();
        async move { client.get_points(request).await }
    });
    match answer.await {
        Ok(answer) => {
            answer.result.into_iter().map(|one| Entry::decode(operation, &one.payload)).collect()
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn everything() -> WithPayloadSelector {
    WithPayloadSelector { selector_options: Some(SelectorOptions::Enable(true)) }
}

fn filter(which: Which<'_>) -> qdrant::Filter {
    let (kind, collection) = match which {
        Which::Dropped => ("c", None),
        Which::Aliases => ("a", None),
        Which::Gone(at) => ("p", Some(at.digest().to_hex())),
    };
    let mut must = vec![matching(KIND, MatchValue::Keyword(kind.to_owned()))];
    must.extend(collection.map(|digest| matching(COLLECTION, MatchValue::Keyword(digest))));
    qdrant::Filter { must, ..Default::default() }
}

/// Entries in an order of their own, from `from` on; and where the next ones begin.
pub(super) async fn scroll(
    qdrant: &Qdrant,
    operation: &'static str,
    which: Which<'_>,
    from: Option<PointId>,
    rows: usize,
) -> Result<(Vec<Entry>, Option<PointId>)> {
    let request = ScrollPoints {
        collection_name: ledger_name(&qdrant.config().prefix),
        filter: Some(filter(which)),
        offset: from.map(point::id),
        limit: Some(u32::try_from(rows).unwrap_or(u32::MAX).min(read::PAGE)),
        with_payload: Some(everything()),
        read_consistency: read::consistency(qdrant),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let answer = qdrant.read(operation, |client| {
        let request = request.clone();
        async move { client.scroll(request).await }
    });
    match answer.await {
        Ok(answer) => {
            let entries = answer.result.iter().map(|one| Entry::decode(operation, &one.payload));
            let entries = entries.collect::<Result<Vec<_>>>()?;
            let next = answer.next_page_offset;
            let next = next.map(|next| point::id_of(operation, Some(next))).transpose()?;
            Ok((entries, next))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Vec::new(), None)),
        Err(error) => Err(error),
    }
}

/// Returns when every node that answers has all changes of collections and aliases before this.
///
/// A cluster answers a removal when one node has it, and waits for the others only where something is made: so an alias
/// of the ledger is made, again and again the same.
pub(super) async fn seen_everywhere(qdrant: &Qdrant, operation: &'static str) -> Result<()> {
    let collection_name = ledger_name(&qdrant.config().prefix);
    let alias_name = format!("{collection_name}.seen");
    let request = &CreateAlias { collection_name, alias_name };
    qdrant.write(operation, async |client| client.create_alias(request.clone()).await).await?;
    Ok(())
}

/// Forgets the removed points of a collection: who dropped it says it of all.
pub(super) async fn forget_gone(
    qdrant: &Qdrant,
    operation: &'static str,
    at: &CollectionId,
) -> Result<()> {
    let selector = PointsSelectorOneOf::Filter(filter(Which::Gone(at)));
    let request = DeletePoints {
        collection_name: ledger_name(&qdrant.config().prefix),
        wait: Some(true),
        points: Some(PointsSelector { points_selector_one_of: Some(selector) }),
        ordering: Some(write::ordering(qdrant)),
        timeout: qdrant.server_timeout(),
        ..Default::default()
    };
    let answer = qdrant.write(operation, |client| {
        let request = request.clone();
        async move { client.delete_points(request).await }
    });
    match answer.await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
