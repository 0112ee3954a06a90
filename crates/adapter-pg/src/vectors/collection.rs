//! Collections and aliases.

use hexmem_ports::rules::{check_spec, check_stamp, no_collection};
use hexmem_ports::{
    CollectionId, CollectionSpec, Cursor, Error, ErrorKind, Limit, Name, Page, Prefix, Result,
    Tenant,
};

use super::index;
use super::layout::Layout;
use super::turn::Turn;
use crate::Postgres;
use crate::value::{Hash, last_of};

/// A collection that is there.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    pub(super) id: i64,
    /// Of its life: another one has another version.
    pub(super) version: i64,
    pub(super) points: u64,
    pub(super) spec: CollectionSpec,
    pub(super) layout: Layout,
    /// The channels that have an index of dense vectors.
    pub(super) indexes: Vec<i16>,
}

/// A collection's row: id, version, points, stamp, channels with an index.
pub(super) type Row = (i64, i64, i64, String, Vec<i16>);

impl Collection {
    pub(super) async fn resolve(turn: &mut Turn<'_>, at: &CollectionId) -> Result<Option<Self>> {
        let row: Option<Row> = turn
            .query(include_str!("../sql/vectors/resolve.sql"))
            .bind(Hash(at.digest()))
            .fetch_optional()
            .await?;
        row.map(|row| Self::of(turn.operation(), row)).transpose()
    }

    pub(super) fn of(operation: &'static str, row: Row) -> Result<Self> {
        let (id, version, points, spec, indexes) = row;
        let spec = read_spec(operation, &spec)?;
        let points = u64::try_from(points).unwrap_or(0);
        Ok(Self { id, version, points, layout: Layout::of(&spec), spec, indexes })
    }
}

pub(super) fn read_spec(operation: &'static str, text: &str) -> Result<CollectionSpec> {
    serde_json::from_str(text)
        .map_err(|cause| super::corrupt(operation, "a collection's stamp").caused_by(cause))
}

pub(super) fn spec_text(operation: &'static str, spec: &CollectionSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|cause| {
        Error::new(ErrorKind::Internal, operation, "a stamp cannot be written").caused_by(cause)
    })
}

pub(super) async fn create(
    postgres: &Postgres,
    at: &CollectionId,
    spec: &CollectionSpec,
) -> Result<bool> {
    const OP: &str = "vectors.create";
    check_spec(OP, spec)?;
    let layout = Layout::of(spec);
    let wishes = index::wishes(spec, &layout);
    let (outcome, existing, id): (String, Option<String>, Option<i64>) = postgres
        .write(OP, include_str!("../sql/vectors/create.sql"))
        .bind(Hash(at.digest()))
        .bind(at.tenant.as_str())
        .bind(at.name.as_str())
        .bind(spec_text(OP, spec)?)
        .bind(layout.dense_count())
        .bind(layout.sparse_count())
        .bind(wishes.channels)
        .bind(wishes.distances)
        .bind(wishes.dimensions)
        .fetch_one()
        .await?;
    match (outcome.as_str(), existing) {
        ("exists", Some(existing)) => check_stamp(OP, &read_spec(OP, &existing)?, spec)
            .map(|()| false)
            .map_err(|error| error.with("collection", at)),
        ("alias", _) => Err(Error::new(ErrorKind::AlreadyExists, OP, "an alias has this name")
            .with("collection", at)),
        _ => {
            tracing::debug!(collection = %at, id, "created");
            Ok(true)
        }
    }
}

pub(super) const DROP: &str = "vectors.drop_collection";

/// How many rows of a dropped collection one step frees: some milliseconds of work.
const STEP: i64 = 2_000;

/// Frees what dropped collections left, a step a transaction.
pub(super) async fn clear(postgres: &Postgres) -> Result<()> {
    loop {
        let (more,): (bool,) = postgres
            .write(DROP, include_str!("../sql/vectors/clear.sql"))
            .bind(STEP)
            .fetch_one()
            .await?;
        if !more {
            return Ok(());
        }
    }
}

pub(super) async fn list(
    postgres: &Postgres,
    tenant: &Tenant,
    prefix: &Prefix,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Page<Name>> {
    const OP: &str = "vectors.list";
    let names: Vec<(String,)> = postgres
        .read(OP, include_str!("../sql/vectors/list.sql"))
        .bind(tenant.as_str())
        .bind(prefix.as_str())
        .bind(last_of(prefix))
        .bind(cursor.map_or(String::new(), |cursor| cursor.0))
        .bind(i64::from(limit.get()) + 1)
        .fetch_all()
        .await?;
    let mut items = Vec::with_capacity(names.len());
    for (name,) in names {
        items.push(Name::new(name).map_err(|e| super::corrupt(OP, "a name").caused_by(e))?);
    }
    let more = items.len() > limit.as_usize();
    items.truncate(limit.as_usize());
    let next = items.last().filter(|_| more).map(|name| Cursor(name.to_string()));
    Ok(Page { items, next })
}

pub(super) async fn set_alias(
    postgres: &Postgres,
    alias: &CollectionId,
    target: Option<Name>,
) -> Result<()> {
    const OP: &str = "vectors.set_alias";
    let aimed = target.clone().map(|name| CollectionId::new(alias.tenant.clone(), name).digest());
    let (outcome,): (String,) = postgres
        .write(OP, include_str!("../sql/vectors/alias.sql"))
        .bind(Hash(alias.digest()))
        .bind(alias.tenant.as_str())
        .bind(alias.name.as_str())
        .bind(target.as_ref().map(Name::as_str))
        .bind(aimed.map(Hash))
        .fetch_one()
        .await?;
    match (outcome.as_str(), target) {
        ("collection", _) => {
            Err(Error::new(ErrorKind::AlreadyExists, OP, "a collection has this name")
                .with("alias", alias))
        }
        ("absent", Some(target)) => Err(no_collection(OP, target).with("alias", alias)),
        _ => Ok(()),
    }
}
