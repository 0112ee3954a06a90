//! Which ords are live, as bitmaps in chunks.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{Error, Result};

use super::Turn;

/// Ords of one chunk: its bits and their row fill half a page.
const CHUNK: u32 = 1 << 14;
const BYTES: usize = (CHUNK / 8) as usize;

/// All points.
pub(super) const POINTS: u16 = 0;

/// The bitmaps of some channels, and which chunks were changed.
#[derive(Default)]
pub(super) struct Live {
    chunks: BTreeMap<(u16, u32), Vec<u8>>,
    changed: BTreeSet<(u16, u32)>,
}

fn place(ord: u32) -> (u32, usize, u8) {
    let within = ord % CHUNK;
    (ord / CHUNK, (within / 8) as usize, 1 << (within % 8))
}

impl Live {
    /// The bitmaps of all channels.
    pub(super) async fn load(turn: &mut impl Turn, collection: i64) -> Result<Self> {
        let rows: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as(include_str!("../sql/vectors/live_load.sql"))
                .bind(collection)
                .fetch_all(turn.connection())
                .await
                .map_err(|e| turn.error(e))?;
        let mut live = Self::default();
        for (channel, chunk, bits) in rows {
            let key = u16::try_from(channel).ok().zip(u32::try_from(chunk).ok());
            let Some(key) = key.filter(|_| bits.len() == BYTES) else {
                return Err(Error::corrupt(turn.operation(), "a bitmap is not what was written"));
            };
            live.chunks.insert(key, bits);
        }
        Ok(live)
    }

    pub(super) fn set(&mut self, channel: u16, ord: u32) {
        let (chunk, byte, bit) = place(ord);
        let bits = self.chunks.entry((channel, chunk)).or_insert_with(|| vec![0; BYTES]);
        bits[byte] |= bit;
        self.changed.insert((channel, chunk));
    }

    /// Clears the ord in every channel.
    pub(super) fn clear(&mut self, ord: u32) {
        let (chunk, byte, bit) = place(ord);
        for ((channel, at), bits) in &mut self.chunks {
            if *at == chunk && bits[byte] & bit != 0 {
                bits[byte] &= !bit;
                self.changed.insert((*channel, chunk));
            }
        }
    }

    pub(super) fn has(&self, channel: u16, ord: u32) -> bool {
        let (chunk, byte, bit) = place(ord);
        self.chunks.get(&(channel, chunk)).is_some_and(|bits| bits[byte] & bit != 0)
    }

    /// How many ords of the channel are live.
    pub(super) fn count(&self, channel: u16) -> u64 {
        self.count_within(channel, 0, u32::MAX)
    }

    /// How many from `first` on and before `end` are live.
    pub(super) fn count_within(&self, channel: u16, first: u32, end: u32) -> u64 {
        let range = (channel, first / CHUNK)..=(channel, end / CHUNK);
        let mut count = 0;
        for ((_, chunk), bits) in self.chunks.range(range) {
            let start = chunk * CHUNK;
            if start >= first && start.saturating_add(CHUNK) <= end {
                count += bits.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
            } else {
                let from = first.max(start);
                let to = end.min(start.saturating_add(CHUNK));
                count += (from..to).map(|ord| u64::from(self.has(channel, ord))).sum::<u64>();
            }
        }
        count
    }

    /// A view of one channel for many look-ups.
    pub(super) fn view(&self, channel: u16) -> View<'_> {
        let range = || self.chunks.range((channel, 0)..=(channel, u32::MAX));
        let first = range().next().map_or(0, |((_, chunk), _)| *chunk);
        let mut slots: Vec<Option<(u32, &[u8])>> = Vec::new();
        let mut used = 0;
        for ((_, chunk), bits) in range() {
            slots.resize((chunk - first) as usize, None);
            slots.push(Some((used, bits.as_slice())));
            used += 1;
        }
        View { first, slots, used }
    }

    /// Writes what was changed; chunks without a live ord go.
    pub(super) async fn store(self, turn: &mut impl Turn, collection: i64) -> Result<()> {
        for key in &self.changed {
            let Some(bits) = self.chunks.get(key) else { continue };
            let empty = bits.iter().all(|byte| *byte == 0);
            let sql = if empty {
                include_str!("../sql/vectors/live_remove.sql")
            } else {
                include_str!("../sql/vectors/live_store.sql")
            };
            let query = sqlx::query(sql).bind(collection).bind(key.0).bind(key.1);
            let query = if empty { query } else { query.bind(bits.as_slice()) };
            query.execute(turn.connection()).await.map_err(|e| turn.error(e))?;
        }
        Ok(())
    }
}

/// One channel: chunks in places one after the other, so that sums need no hash map.
pub(super) struct View<'a> {
    first: u32,
    slots: Vec<Option<(u32, &'a [u8])>>,
    used: u32,
}

impl View<'_> {
    /// Places that [`Self::slot`] gives.
    pub(super) fn size(&self) -> usize {
        (self.used * CHUNK) as usize
    }

    /// The place of a live ord.
    #[inline]
    pub(super) fn slot(&self, ord: u32) -> Option<u32> {
        let chunk = (ord / CHUNK).checked_sub(self.first)?;
        let (slot, bits) = (*self.slots.get(chunk as usize)?)?;
        let within = ord % CHUNK;
        let live = bits[(within / 8) as usize] >> (within % 8) & 1 == 1;
        live.then_some(slot * CHUNK + within)
    }

    /// Each place's ord.
    pub(super) fn ords(&self) -> impl Iterator<Item = u32> {
        let chunks = (self.first..).zip(&self.slots).filter(|(_, slot)| slot.is_some());
        chunks.flat_map(|(chunk, _)| chunk * CHUNK..chunk * CHUNK + CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_counts_and_places_agree() {
        let mut live = Live::default();
        let ords = [0, 7, 8, CHUNK - 1, CHUNK * 3, CHUNK * 3 + 9];
        for ord in ords {
            live.set(POINTS, ord);
            live.set(2, ord + 1);
        }
        live.clear(8);
        assert!(live.has(POINTS, 7) && !live.has(POINTS, 8) && !live.has(2, 8));
        assert_eq!((live.count(POINTS), live.count(2), live.count(1)), (5, 5, 0));
        assert_eq!(live.count_within(POINTS, 1, CHUNK * 3 + 9), 3);
        assert_eq!(live.count_within(POINTS, 0, CHUNK), 3);
        let view = live.view(POINTS);
        let places: Vec<u32> = view.ords().collect();
        assert_eq!(places.len(), view.size());
        for ord in [0, 7, CHUNK - 1, CHUNK * 3, CHUNK * 3 + 9] {
            assert_eq!(places[view.slot(ord).unwrap() as usize], ord);
        }
        assert_eq!(view.slot(8).or(view.slot(CHUNK)).or(view.slot(u32::MAX)), None);
    }
}
