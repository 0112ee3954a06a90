//! Values as PostgreSQL's binary form has them.

use std::time::Duration;

use hexmem_ports::{Digest, Prefix, Timestamp};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

const TIMESTAMPTZ: PgTypeInfo = PgTypeInfo::with_oid(Oid(1184));
const TIMESTAMPTZ_ARRAY: PgTypeInfo = PgTypeInfo::with_oid(Oid(1185));

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// A `timestamptz`: an instant, whatever the zone of client or server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) Timestamp);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        TIMESTAMPTZ
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        TIMESTAMPTZ_ARRAY
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // Years 0 to 9999 lie within both ranges.
        Encode::<Postgres>::encode(self.0.as_micros() - EPOCH, buf)
    }
}

impl<'r> Decode<'r, Postgres> for At {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros: i64 = Decode::<Postgres>::decode(value)?;
        let instant = micros.checked_add(EPOCH).and_then(Timestamp::from_micros);
        instant.map(Self).ok_or_else(|| "a time lies outside years 0 to 9999".into())
    }
}

/// A `bytea` of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hash(pub(crate) Digest);

impl Type<Postgres> for Hash {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Hash {
    fn array_type_info() -> PgTypeInfo {
        <Vec<u8> as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Hash {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0.0.as_slice(), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Hash {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes: &[u8] = Decode::<Postgres>::decode(value)?;
        let digest = Digest::from_slice(bytes).map(Self);
        digest.ok_or_else(|| "a digest has not 32 bytes".into())
    }
}

/// A span as whole microseconds, as `bigint` columns and arguments have it. SQL adds it with
/// `hexmem.later(instant, micros)`.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// The span of a `bigint` of microseconds; nothing for a negative one.
pub(crate) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// The greatest text that starts with `prefix`, as an inclusive bound of an index range in `COLLATE "C"`: names
/// have at most 1,024 bytes, and U+10FFFF is the greatest of all characters.
pub(crate) fn last_of(prefix: &Prefix) -> String {
    let mut last = prefix.as_str().to_owned();
    last.extend(std::iter::repeat_n(char::MAX, 256));
    last
}

/// The key of an advisory lock about `parts`: 64 of the bits of their digest. Two that collide wait for each other,
/// nothing worse. The schema is one of the parts, since locks are the whole database's.
pub(crate) fn lock_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of_parts(parts).0;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
