//! The bytes of an answer, a generation and a tombstone. The scripts read the same: see `lua/cache/prelude.lua`.

use std::collections::HashMap;

use hexmem_ports::{
    BYTES_LIMIT, Digest, EntryBody, Error, ErrorKind, Name, NamespaceId, Result, TagRef, Timestamp,
};
use serde_json::Value;
use uuid::Uuid;

/// The form of answers written here.
const FORM: u8 = 1;
/// Stored as it is.
const PLAIN: u8 = 0;
/// An LZ4 block.
const LZ4: u8 = 1;

/// A ticket's generations, as bodies and scripts hold them.
pub(super) type Pairs = Vec<(Digest, Uuid)>;

/// What an answer is stored as behind its head: length of the value, generations, meta, how the value is packed, value.
pub(super) fn body(
    pairs: &Pairs,
    meta: &Value,
    value: &[u8],
    compress_from: usize,
) -> Result<Vec<u8>> {
    let meta = serde_json::to_vec(meta).map_err(|error| {
        Error::invalid("cache.put", "the meta cannot be written as JSON").caused_by(error)
    })?;
    let packed = packed(value, compress_from);
    let (codec, bytes) = match &packed {
        Some(packed) => (LZ4, packed.as_slice()),
        None => (PLAIN, value),
    };
    let mut body = Vec::with_capacity(10 + 48 * pairs.len() + meta.len() + bytes.len());
    body.extend(length("cache.put", value.len())?);
    body.push(u8::try_from(pairs.len()).map_err(|_| too_long("cache.put"))?);
    for (digest, generation) in pairs {
        body.extend(digest.0);
        body.extend(generation.as_bytes());
    }
    body.extend(length("cache.put", meta.len())?);
    body.extend(meta);
    body.push(codec);
    body.extend_from_slice(bytes);
    Ok(body)
}

/// The value as an LZ4 block, where it is long enough to try and an eighth shorter for it.
fn packed(value: &[u8], compress_from: usize) -> Option<Vec<u8>> {
    if compress_from == 0 || value.len() < compress_from {
        return None;
    }
    let packed = lz4_flex::block::compress(value);
    (packed.len() < value.len() - value.len() / 8).then_some(packed)
}

fn length(operation: &'static str, length: usize) -> Result<[u8; 4]> {
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| too_long(operation))
}

fn too_long(operation: &'static str) -> Error {
    Error::new(ErrorKind::Internal, operation, "a part of an answer is beyond its limit")
}

/// The head of an answer that is restored.
pub(super) fn head(version: u64, modified_at: Timestamp, answer: &EntryBody) -> Vec<u8> {
    let mut head = vec![FORM];
    head.extend(version.to_be_bytes());
    for at in [modified_at, answer.stored_at, answer.fresh_until, answer.expires_at] {
        head.extend(at.as_micros().to_be_bytes());
    }
    head
}

/// An answer as it is stored.
pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    pub(super) stored_at: Timestamp,
    pub(super) fresh_until: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) pairs: Pairs,
    rest: Packed,
}

struct Packed {
    bytes: Vec<u8>,
    meta: (usize, usize),
    codec: u8,
    value: usize,
    length: usize,
}

/// Reads from the front.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.array()?)).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        // A script's sum past the last instant is rounded, at the end of the calendar only.
        let micros = i64::from_be_bytes(self.array()?).min(Timestamp::MAX.as_micros());
        Timestamp::from_micros(micros)
    }

    fn pairs(&mut self) -> Option<Pairs> {
        let count = self.byte()?;
        (0..count).map(|_| Some((Digest(self.array()?), Uuid::from_bytes(self.array()?)))).collect()
    }
}

fn corrupt(operation: &'static str, what: &str) -> Error {
    Error::corrupt(
        operation,
        format!("{what} in Redis is not as it was written; is the prefix shared?"),
    )
}

impl Stored {
    pub(super) fn read(operation: &'static str, bytes: Vec<u8>) -> Result<Self> {
        if bytes.first().is_some_and(|form| *form != FORM) {
            return Err(Error::corrupt(operation, "an answer was written by a newer version")
                .with("form", bytes.first().copied().unwrap_or_default()));
        }
        Self::parse(bytes).ok_or_else(|| corrupt(operation, "an answer"))
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut reader = Reader { bytes: &bytes, at: 1 };
        let version = u64::from_be_bytes(reader.array()?);
        let [modified_at, stored_at] = [reader.time()?, reader.time()?];
        let [fresh_until, expires_at] = [reader.time()?, reader.time()?];
        let length = reader.length()?;
        let pairs = reader.pairs()?;
        let meta_length = reader.length()?;
        let meta = (reader.at, reader.at.checked_add(meta_length)?);
        reader.take(meta_length)?;
        let codec = reader.byte()?;
        let value = reader.at;
        let rest = Packed { bytes, meta, codec, value, length };
        Some(Self { version, modified_at, stored_at, fresh_until, expires_at, pairs, rest })
    }

    /// The value and the meta.
    pub(super) fn unpack(mut self, operation: &'static str) -> Result<(Vec<u8>, Value)> {
        let Packed { bytes, meta: (from, to), codec, value, length } = &mut self.rest;
        let meta = bytes.get(*from..*to).and_then(|meta| serde_json::from_slice(meta).ok());
        let meta = meta.ok_or_else(|| corrupt(operation, "the meta of an answer"))?;
        let value = match *codec {
            PLAIN => bytes.split_off((*value).min(bytes.len())),
            // The length comes from the store: no more memory than a value may have.
            LZ4 if *length <= BYTES_LIMIT => {
                let packed = bytes.get(*value..).unwrap_or_default();
                lz4_flex::block::decompress(packed, *length)
                    .map_err(|error| corrupt(operation, "a packed answer").caused_by(error))?
            }
            _ => return Err(corrupt(operation, "the packing of an answer")),
        };
        if value.len() != *length {
            return Err(corrupt(operation, "the length of an answer"));
        }
        Ok((value, meta))
    }
}

/// The bytes of the value and the digests of the tags of an answer, as `stats.lua` gives them.
pub(super) fn outline(operation: &'static str, bytes: &[u8]) -> Result<(u64, Vec<Digest>)> {
    let mut reader = Reader { bytes, at: 0 };
    let length = reader.length().and_then(|length| u64::try_from(length).ok());
    let pairs = reader.pairs();
    let (Some(length), Some(pairs)) = (length, pairs) else {
        return Err(corrupt(operation, "the outline of an answer"));
    };
    Ok((length, pairs.into_iter().map(|(digest, _)| digest).collect()))
}

/// A generation or a tombstone: until when it is kept, version, modified, 16 bytes, and for a generation its name.
pub(super) struct Mark {
    pub(super) until: Timestamp,
    pub(super) version: u64,
    pub(super) modified_at: Timestamp,
    pub(super) generation: Uuid,
    name: Vec<u8>,
}

impl Mark {
    pub(super) fn read(operation: &'static str, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let read = (|| {
            let until = reader.time()?;
            let version = u64::from_be_bytes(reader.array()?);
            let modified_at = reader.time()?;
            let generation = Uuid::from_bytes(reader.array()?);
            let name = bytes.get(reader.at..)?.to_vec();
            Some(Self { until, version, modified_at, generation, name })
        })();
        read.ok_or_else(|| corrupt(operation, "a generation"))
    }

    /// A tombstone as a script writes it.
    pub(super) fn tombstone(
        until: Timestamp,
        version: u64,
        modified_at: Timestamp,
        generation: Uuid,
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40);
        bytes.extend(until.as_micros().to_be_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend(modified_at.as_micros().to_be_bytes());
        bytes.extend(generation.as_bytes());
        bytes
    }

    /// The tag that the generation is of.
    pub(super) fn tag(&self, operation: &'static str) -> Result<TagRef> {
        let tag = match self.name.split_first() {
            Some((b'n', [])) => Some(TagRef::Namespace),
            Some((room, name)) => {
                let name = std::str::from_utf8(name).ok().and_then(|name| Name::new(name).ok());
                match room {
                    b'm' => name.map(TagRef::Model),
                    b't' => name.map(TagRef::Tag),
                    _ => None,
                }
            }
            None => None,
        };
        tag.ok_or_else(|| corrupt(operation, "the name of a tag"))
    }
}

/// Room and name of a tag, as [`Mark::tag`] reads them.
pub(super) fn room_and_name(tag: &TagRef) -> Vec<u8> {
    let room = match tag {
        TagRef::Namespace => b'n',
        TagRef::Model(_) => b'm',
        TagRef::Tag(_) => b't',
    };
    let mut bytes = vec![room];
    bytes.extend(tag.name().as_bytes());
    bytes
}

/// The generations of a ticket by digest, each once.
pub(super) fn pairs(namespace: &NamespaceId, generations: &[(TagRef, Uuid)]) -> Pairs {
    let mut pairs: Pairs =
        generations.iter().map(|(tag, generation)| (tag.digest(namespace), *generation)).collect();
    pairs.sort_by_key(|(digest, generation)| (digest.0, *generation));
    pairs.dedup();
    pairs
}

/// Names by digest.
pub(super) type Names = HashMap<Digest, TagRef>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(value: &[u8], compress_from: usize) -> Vec<u8> {
        let pairs = vec![(Digest::of(b"t"), Uuid::max())];
        let body = body(&pairs, &json!({"a": 1}), value, compress_from).unwrap();
        let at = Timestamp::from_micros(5).unwrap();
        let answer = EntryBody {
            value: Vec::new(),
            meta: Value::Null,
            stored_at: at,
            fresh_until: at,
            expires_at: Timestamp::MAX,
            generations: Vec::new(),
        };
        let mut bytes = head(7, at, &answer);
        assert_eq!(bytes.len(), 41, "as the scripts read it");
        bytes.extend(body);
        bytes
    }

    #[test]
    fn answers_read_as_written_packed_or_not() {
        let long = b"hello ".repeat(1_000);
        for (value, from, shorter) in [
            (&long, 1_024, true),
            (&long, 0, false),
            (&long, 100_000, false),
            (&Vec::new(), 1, false),
        ] {
            let bytes = stored(value, from);
            assert_eq!(bytes.len() < value.len(), shorter, "{from}");
            let read = Stored::read("t", bytes).unwrap();
            assert_eq!((read.version, read.expires_at), (7, Timestamp::MAX));
            assert_eq!(read.pairs, [(Digest::of(b"t"), Uuid::max())]);
            assert_eq!(read.unpack("t").unwrap(), (value.clone(), json!({"a": 1})));
        }
    }

    #[test]
    fn what_does_not_get_shorter_is_kept_as_it_is() {
        let noise: Vec<u8> = (0..200u32).flat_map(|n| Digest::of(&n.to_be_bytes()).0).collect();
        assert!(packed(&noise, 1).is_none());
    }

    #[test]
    fn torn_and_foreign_bytes_are_corrupt_never_a_panic() {
        let whole = stored(&b"hello ".repeat(1_000), 1_024);
        for length in 0..whole.len() {
            let read = Stored::read("t", whole[..length].to_vec());
            if let Ok(read) = read {
                assert_eq!(read.unpack("t").unwrap_err().kind(), ErrorKind::Corrupt, "{length}");
            }
        }
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 0xff;
            let _ = Stored::read("t", bytes).map(|read| read.unpack("t"));
        }
        assert!(Mark::read("t", &[0; 39]).is_err());
        assert!(outline("t", &[0; 4]).is_err());
    }

    #[test]
    fn tags_read_as_written() {
        let name = || Name::new("n/\n").unwrap();
        for tag in [TagRef::Namespace, TagRef::Model(name()), TagRef::Tag(name())] {
            let mut bytes =
                Mark::tombstone(Timestamp::MAX, 3, Timestamp::from_micros(9).unwrap(), Uuid::max());
            bytes.extend(room_and_name(&tag));
            let mark = Mark::read("t", &bytes).unwrap();
            assert_eq!((mark.version, mark.generation), (3, Uuid::max()));
            assert_eq!(mark.tag("t").unwrap(), tag);
        }
    }
}
