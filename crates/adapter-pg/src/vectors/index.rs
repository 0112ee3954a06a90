//! Approximate indexes of dense vectors, by the extension pgvector.
//!
//! An index is derived from what `vector_dense` holds and lies in a table of its own. Without the extension there is
//! none, and searches compare every vector.

use hexmem_ports::rules::no_collection;
use hexmem_ports::{CollectionId, CollectionSpec, Distance, Error, ErrorKind, Result};

use uuid::Uuid;

use super::batch::{Indexed, indexable};
use super::collection::Collection;
use super::layout::Layout;
use super::turn::Turn;
use super::{PgVectors, corrupt, pack, read};
use crate::Tx;

/// The most dimensions that pgvector indexes: of half-precision numbers, and of whole ones.
const HALF_LIMIT: usize = 4_000;
const WHOLE_LIMIT: usize = 2_000;

/// The indexes that a collection of `spec` can have: channels, distances, dimensions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) channels: Vec<i16>,
    pub(super) distances: Vec<&'static str>,
    pub(super) dimensions: Vec<i32>,
}

pub(super) fn wishes(spec: &CollectionSpec, layout: &Layout) -> Wishes {
    let mut wishes = Wishes::default();
    for (channel, name, dimension) in layout.denses() {
        let (distance, most) = match spec.dense.get(name).map(|dense| dense.distance) {
            // Half of the bytes; what that rounds off is made good by exact scores.
            Some(Distance::Cosine) => ("cosine", HALF_LIMIT),
            // Unbounded numbers do not fit half precision.
            Some(Distance::Dot) => ("dot", WHOLE_LIMIT),
            Some(Distance::Euclid) => ("euclid", WHOLE_LIMIT),
            None => continue,
        };
        if dimension <= most {
            wishes.channels.push(channel);
            wishes.distances.push(distance);
            wishes.dimensions.push(i32::try_from(dimension).unwrap_or(i32::MAX));
        }
    }
    wishes
}

/// Vectors of one statement: each takes about a millisecond, and a statement has a time limit.
const ADDED: usize = 500;

/// How many neighbours an index looks at: the more, the more of the nearest are found. pgvector allows 1,000.
fn breadth(wanted: usize) -> i32 {
    i32::try_from(wanted * 2).unwrap_or(i32::MAX).clamp(200, 1_000)
}

/// A point that an index found: its vector, and its payload or the fields that were asked for.
pub(super) struct Near {
    pub(super) point: read::Light,
    pub(super) embedding: Vec<u8>,
}

/// Place, id, vector, payload, fields.
type Row = (i32, Uuid, Vec<u8>, Option<String>, Option<Vec<Option<String>>>);

/// About the `wanted` nearest by the index of `channel`. With `names` only those fields of their payloads come.
pub(super) async fn near(
    turn: &mut Turn<'_>,
    there: &Collection,
    channel: i16,
    query: &[f32],
    wanted: usize,
    names: Option<&[String]>,
) -> Result<Vec<Near>> {
    let rows: Vec<Row> = turn
        .query(include_str!("../sql/vectors/index_near.sql"))
        .bind(there.id)
        .bind(channel)
        .bind(query)
        .bind(i32::try_from(wanted).unwrap_or(i32::MAX))
        .bind(breadth(wanted))
        .bind(names)
        .fetch_all()
        .await?;
    let operation = turn.operation();
    let read = |(ord, id, embedding, payload, fields): Row| {
        let point = match payload {
            Some(payload) => read::heavy(operation, ord, id, &payload)?,
            None => read::light(
                operation,
                names.unwrap_or_default(),
                (ord, id, fields.unwrap_or_default()),
            )?,
        };
        Ok(Near { point, embedding })
    };
    rows.into_iter().map(read).collect()
}

/// Puts vectors into their index.
pub(super) async fn add(tx: &mut Tx, there: &Collection, batch: &Indexed) -> Result<()> {
    let values = batch.values.chunks(ADDED * batch.dimension);
    for (ords, values) in batch.ords.chunks(ADDED).zip(values) {
        tx.query(include_str!("../sql/vectors/index_add.sql"))
            .bind(there.id)
            .bind(batch.channel)
            .bind(ords)
            .bind(values)
            .execute()
            .await?;
    }
    Ok(())
}

/// About how many bytes of vectors are read and put into an index at once.
const PAGE: usize = 8 << 20;

impl PgVectors {
    /// Gives the dense vectors of a collection the indexes that they lack; how many. For collections that were made
    /// before the extension pgvector, or were copied here. Writers of the collection wait; searches go on.
    ///
    /// # Errors
    /// `NotFound` without the collection; `Unsupported` without the extension, and `Denied` where the role may not
    /// make tables: both say what to do. `Timeout` where one statement takes longer than `statement_timeout_ms`.
    pub async fn build_indexes(&self, collection: &CollectionId) -> Result<usize> {
        let mut tx = self.0.begin(BUILD).await?;
        let built = build(&mut tx, collection).await;
        tx.finish(built).await
    }
}

const BUILD: &str = "vectors.build_indexes";

async fn build(tx: &mut Tx, at: &CollectionId) -> Result<usize> {
    let (extension,): (Option<String>,) =
        tx.query(include_str!("../sql/vectors/extension.sql")).fetch_one().await?;
    if extension.is_none() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            BUILD,
            "the database has no pgvector 0.8 or newer; install it on the server (Debian of PostgreSQL's own \
             archive: postgresql-NN-pgvector), then run `CREATE EXTENSION vector` in this database as a \
             superuser, or `ALTER EXTENSION vector UPDATE` where it is older",
        ));
    }
    let found = Collection::resolve(&mut Turn::Tx(tx), at).await?;
    let there = found.ok_or_else(|| no_collection(BUILD, at))?;
    let locked: Option<(i64,)> = tx
        .query(include_str!("../sql/vectors/lock.sql"))
        .bind(there.id)
        .bind(there.version)
        .fetch_optional()
        .await?;
    if locked.is_none() {
        return Err(read::changed(BUILD));
    }
    // Again behind the lock: another may have built them.
    let found = Collection::resolve(&mut Turn::Tx(tx), at).await?;
    let there = found.filter(|found| found.id == there.id).ok_or_else(|| read::changed(BUILD))?;
    let wishes = wishes(&there.spec, &there.layout);
    let mut built = 0;
    for ((channel, distance), dimension) in
        wishes.channels.iter().zip(&wishes.distances).zip(&wishes.dimensions)
    {
        if there.indexes.contains(channel) {
            continue;
        }
        let (made,): (bool,) = tx
            .query(include_str!("../sql/vectors/index_table.sql"))
            .bind(there.id)
            .bind(*channel)
            .bind(*distance)
            .bind(*dimension)
            .fetch_one()
            .await?;
        if !made {
            let what = "this role may not make tables in the schema; grant it CREATE there, or use its owner";
            return Err(Error::new(ErrorKind::Denied, BUILD, what).with("collection", at));
        }
        fill(tx, &there, *channel).await?;
        tx.query(include_str!("../sql/vectors/index_link.sql"))
            .bind(there.id)
            .bind(*channel)
            .execute()
            .await?;
        built += 1;
    }
    Ok(built)
}

async fn fill(tx: &mut Tx, there: &Collection, channel: i16) -> Result<()> {
    let Some((name, dimension)) = there.layout.dense_name(channel) else { return Ok(()) };
    let Some(spec) = there.spec.dense.get(name) else { return Ok(()) };
    let page = (PAGE / 4 / dimension.max(1)).max(1);
    let (mut after, mut numbers) = (-1, Vec::new());
    loop {
        let rows: Vec<(i32, Vec<u8>)> = tx
            .query(include_str!("../sql/vectors/dense_after.sql"))
            .bind(there.id)
            .bind(channel)
            .bind(after)
            .bind(read::rows(page))
            .fetch_all()
            .await?;
        let last = rows.last().map(|row| row.0).filter(|_| rows.len() == page);
        let mut batch = Indexed { channel, dimension, ..Indexed::default() };
        for (ord, bytes) in rows {
            pack::read_floats(&bytes, dimension, &mut numbers)
                .ok_or_else(|| corrupt(BUILD, "a dense vector"))?;
            if let Some(values) = indexable(spec.distance, &numbers) {
                batch.ords.push(ord);
                batch.values.extend(values);
            }
        }
        add(tx, there, &batch).await?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}
