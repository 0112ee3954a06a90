//! One layer of the graph: places, who stands there, and which others each leads to.

use std::sync::Arc;

use super::super::varint;
use super::{NONE, PAGE};

/// Places of one row.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    /// The ord in the lowest layer, the place in the lowest one above it; [`NONE`]: free.
    members: Vec<u32>,
    /// In the lowest layer the next place with the same vector, above it the place one layer down; or [`NONE`].
    next: Vec<u32>,
    /// For each place how many others it leads to, then those.
    links: Vec<u32>,
}

/// A layer. A copy shares the pages that are not written again.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// How many others a place leads to at most.
    pub(super) width: usize,
    pages: Vec<Arc<Page>>,
}

fn split(place: u32) -> (usize, usize) {
    (place as usize / PAGE, place as usize % PAGE)
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}

impl Layer {
    pub(super) fn new(width: usize) -> Self {
        Self { width, pages: Vec::new() }
    }

    fn empty(&self) -> Page {
        Page {
            members: vec![NONE; PAGE],
            next: vec![NONE; PAGE],
            links: vec![0; PAGE * (self.width + 1)],
        }
    }

    /// All places, free ones too.
    pub(super) fn places(&self) -> u32 {
        number(self.pages.len() * PAGE)
    }

    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn member(&self, place: u32) -> u32 {
        let (page, at) = split(place);
        self.pages[page].members[at]
    }

    /// Every place that is taken, with its member.
    pub(super) fn members(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let all = self.pages.iter().flat_map(|page| page.members.iter().copied());
        (0u32..).zip(all).filter(|(_, member)| *member != NONE)
    }

    pub(super) fn next(&self, place: u32) -> u32 {
        let (page, at) = split(place);
        self.pages[page].next[at]
    }

    #[inline]
    pub(super) fn links(&self, place: u32) -> &[u32] {
        let (page, at) = split(place);
        let links = &self.pages[page].links[at * (self.width + 1)..][..self.width + 1];
        &links[1..=(links[0] as usize).min(self.width)]
    }

    pub(super) fn set(&mut self, place: u32, member: u32, next: u32) {
        let (page, at) = split(place);
        let page = Arc::make_mut(&mut self.pages[page]);
        (page.members[at], page.next[at]) = (member, next);
    }

    /// At most `width` are kept.
    pub(super) fn link(&mut self, place: u32, to: &[u32]) {
        let (page, at) = split(place);
        let to = &to[..to.len().min(self.width)];
        let start = at * (self.width + 1);
        let links = &mut Arc::make_mut(&mut self.pages[page]).links;
        links[start] = number(to.len());
        links[start + 1..][..to.len()].copy_from_slice(to);
    }

    /// Free places: those within, then new ones.
    pub(super) fn vacant(&mut self, count: usize) -> Vec<u32> {
        let free = |(page, held): (usize, &Arc<Page>)| -> Vec<u32> {
            let free = held.members.iter().enumerate().filter(|(_, member)| **member == NONE);
            free.map(|(at, _)| number(page * PAGE + at)).collect()
        };
        let mut places: Vec<u32> =
            self.pages.iter().enumerate().flat_map(free).take(count).collect();
        while places.len() < count {
            let start = self.pages.len() * PAGE;
            self.pages.push(Arc::new(self.empty()));
            places.extend((start..start + PAGE).map(number).take(count - places.len()));
        }
        places
    }

    /// Whether both have the same page there, without looking into it.
    pub(super) fn shares(&self, other: &Self, page: usize) -> bool {
        let other = other.pages.get(page);
        self.pages.get(page).zip(other).is_some_and(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// A page as bytes: for each place its member and what is next (both plus one, 0 is none), how many it leads
    /// to, and those in order as differences.
    pub(super) fn pack(&self, page: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PAGE * (self.width + 1) * 3);
        let Some(held) = self.pages.get(page) else { return bytes };
        let one_more = |place: u32| if place == NONE { 0 } else { u64::from(place) + 1 };
        for at in 0..PAGE {
            varint::push(&mut bytes, one_more(held.members[at]));
            varint::push(&mut bytes, one_more(held.next[at]));
            let mut links = self.links(number(page * PAGE + at)).to_vec();
            links.sort_unstable();
            varint::push(&mut bytes, links.len() as u64);
            let mut last = 0;
            for link in links {
                varint::push(&mut bytes, u64::from(link - last));
                last = link;
            }
        }
        bytes
    }

    /// Puts a page that was read in its place; `None` where it is none, or leaves a gap.
    pub(super) fn unpack(&mut self, page: usize, bytes: &[u8]) -> Option<()> {
        let mut read = self.empty();
        let one_less = |number: u64| match number {
            0 => Some(NONE),
            more => u32::try_from(more - 1).ok(),
        };
        let mut rest = bytes;
        for at in 0..PAGE {
            let (member, after) = varint::take(rest)?;
            let (next, after) = varint::take(after)?;
            let (count, mut after) = varint::take_u32(after)?;
            (read.members[at], read.next[at]) = (one_less(member)?, one_less(next)?);
            let links = &mut read.links[at * (self.width + 1)..][..self.width + 1];
            links[0] = count;
            let mut last = 0u32;
            for link in links.get_mut(1..=count as usize)? {
                let (step, left) = varint::take_u32(after)?;
                last = last.checked_add(step)?;
                (*link, after) = (last, left);
            }
            rest = after;
        }
        if !rest.is_empty() || page > self.pages.len() {
            return None;
        }
        match self.pages.get_mut(page) {
            Some(old) => *old = Arc::new(read),
            None => self.pages.push(Arc::new(read)),
        }
        Some(())
    }

    /// Whether every place that is named is there: in this layer, and what members and nexts name below it.
    pub(super) fn is_whole(&self, lowest: Option<u32>, below: u32) -> bool {
        let places = self.places();
        self.pages.iter().enumerate().all(|(page, held)| {
            (0..PAGE).all(|at| {
                let place = number(page * PAGE + at);
                let (member, next) = (held.members[at], held.next[at]);
                let named = match lowest {
                    // What stands above leads down.
                    Some(lowest) => member == NONE || (member < lowest && next < below),
                    None => next == NONE || next < places,
                };
                named && self.links(place).iter().all(|link| *link < places)
            })
        })
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * PAGE * 4 * (self.width + 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_read_back_and_damage_is_seen() {
        let mut layer = Layer::new(4);
        let places = layer.vacant(70);
        assert_eq!(places, (0..70).collect::<Vec<_>>());
        for place in &places {
            layer.set(*place, place * 3, place % 2);
            layer.link(*place, &[69, place / 2]);
        }
        let mut read = Layer::new(4);
        for page in 0..2 {
            read.unpack(page, &layer.pack(page)).unwrap();
        }
        for place in places {
            assert_eq!(
                (read.member(place), read.next(place)),
                (layer.member(place), layer.next(place))
            );
            assert_eq!(read.links(place), [place / 2, 69]);
        }
        assert!(read.is_whole(None, 0) && read.is_whole(Some(210), 2));
        assert!(!read.is_whole(Some(3), 2) && !read.is_whole(Some(210), 1));
        let bytes = layer.pack(1);
        assert!(read.unpack(3, &bytes).is_none(), "a gap");
        assert!((0..bytes.len()).all(|cut| read.unpack(1, &bytes[..cut]).is_none()));
        read.link(0, &[500]);
        assert!(!read.is_whole(None, 0));
        // A place that became free is taken first.
        layer.set(9, NONE, NONE);
        assert_eq!(layer.vacant(2), [9, 70]);
    }
}
