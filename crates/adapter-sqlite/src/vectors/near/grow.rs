//! Putting vectors into a graph, and taking them out again.
//!
//! Vectors come in portions. All of a portion look for their neighbours in the graph as it stood before, on several
//! threads, and among each other; then their links are written. So the result does not depend on who was faster.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use super::code::{Code, Encoded};
use super::graph::{Best, Graph, LINKS, Marks, Near, nearest};
use super::{NONE, PAGE};

/// How many vectors come at once.
const PORTION: usize = 8 * PAGE;

/// How many neighbours are looked at to choose from.
const LOOK: usize = 128;

/// Neighbours of one that came, by layer, and the same vector where it was met.
struct Around {
    layers: Vec<Vec<Near>>,
    same: Option<u32>,
}

/// `work` for each of `items` on up to `threads` threads, in order.
fn spread<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let each = |items: &[T]| items.iter().map(&work).collect::<Vec<R>>();
    if threads < 2 || items.len() < 2 * threads {
        return each(items);
    }
    let each = &each;
    thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(items.len().div_ceil(threads))
            .map(|part| {
                thread::Builder::new().spawn_scoped(scope, move || each(part)).map_err(|_| part)
            })
            .collect();
        let done = parts.into_iter().flat_map(|part| match part {
            Ok(part) => part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread is to be had.
            Err(part) => each(part),
        });
        done.collect()
    })
}

impl Graph {
    /// Adds the vectors of ords that are not in it.
    pub(super) fn insert(&mut self, new: &[(u32, Encoded)], threads: usize) {
        for portion in new.chunks(PORTION) {
            self.portion(portion, threads);
        }
    }

    fn portion(&mut self, new: &[(u32, Encoded)], threads: usize) {
        let places = self.layers[0].vacant(new.len());
        for (place, (ord, code)) in places.iter().zip(new) {
            self.layers[0].set(*place, *ord, NONE);
            self.layers[0].link(*place, &[]);
            self.codes.put(*place, code);
        }
        let mut coming = Marks::new(self.layers[0].places());
        places.iter().for_each(|place| _ = coming.mark(*place));
        let graph = &*self;
        let list: Vec<(u32, &Encoded)> = new.iter().map(|(ord, code)| (*ord, code)).collect();
        let around = spread(&list, threads, |(ord, code)| {
            graph.around(code.code(), Self::level(*ord), &coming)
        });
        let linked = self.stand_in_line(&places, &around);
        let mut below = places.clone();
        let levels = linked.iter().map(|i| Self::level(new[*i].0) + 1).max().unwrap_or(0);
        for level in 0..levels {
            let here: Vec<usize> =
                linked.iter().copied().filter(|i| Self::level(new[*i].0) >= level).collect();
            if level > 0 {
                if self.layers.len() == level {
                    self.layers.push(Self::layer(level));
                }
                let vacant = self.layers[level].vacant(here.len());
                for (i, place) in here.iter().zip(vacant) {
                    self.layers[level].set(place, places[*i], below[*i]);
                    self.layers[level].link(place, &[]);
                    below[*i] = place;
                }
            }
            let fresh: Vec<(u32, &[Near])> = here
                .iter()
                .map(|i| (below[*i], around[*i].layers.get(level).map_or(&[][..], Vec::as_slice)))
                .collect();
            self.join(level, &fresh, threads);
        }
    }

    /// The neighbours of a vector in each layer up to `level`. Those that are coming have no links yet.
    fn around(&self, code: Code<'_>, level: usize, coming: &Marks) -> Around {
        let mut layers = Vec::with_capacity(level + 1);
        let mut same = None;
        for at in 0..=level.min(self.layers.len() - 1) {
            let entries = self.descend(code, at, |place| !coming.has(place));
            let mut best = Best::new(LOOK);
            self.walk(at, code, &entries, &mut best, |place, near, best| best.push(near, place));
            let found = best.sorted();
            if at == 0 {
                let first = found.first().map_or(0.0, |first| first.0);
                let mut equal = found.iter().take_while(|near| near.0 >= first).take(LINKS);
                same = equal.find(|near| self.codes.get(near.1).same(&code)).map(|near| near.1);
            }
            layers.push(found);
        }
        Around { layers, same }
    }

    /// Puts those behind the same vector that have one; the others are to be linked.
    fn stand_in_line(&mut self, places: &[u32], around: &[Around]) -> Vec<usize> {
        let mut firsts: HashMap<u64, Vec<u32>> = HashMap::new();
        let mut linked = Vec::with_capacity(places.len());
        for (i, (place, around)) in places.iter().zip(around).enumerate() {
            let code = self.codes.get(*place);
            let seen = firsts.entry(code.hash()).or_default();
            let beside = || seen.iter().copied().find(|first| self.codes.get(*first).same(&code));
            let Some(first) = around.same.or_else(beside) else {
                seen.push(*place);
                linked.push(i);
                continue;
            };
            if around.same.is_some() && !seen.contains(&first) {
                seen.push(first);
            }
            let lowest = &mut self.layers[0];
            let behind = lowest.next(first);
            lowest.set(*place, lowest.member(*place), behind);
            lowest.set(first, lowest.member(first), *place);
        }
        linked
    }

    /// Links places that came to a layer with their neighbours, and those back.
    fn join(&mut self, level: usize, fresh: &[(u32, &[Near])], threads: usize) {
        let graph = &*self;
        let form = self.form();
        let chosen = spread(fresh, threads, |(place, found)| {
            let own = graph.code(level, *place);
            let beside = fresh.iter().filter(|other| other.0 != *place);
            let beside =
                beside.map(|other| Near(form.near(own, graph.code(level, other.0)), other.0));
            let mut all: Vec<Near> = found.iter().copied().chain(beside).collect();
            nearest(&mut all, LOOK);
            graph.choose(level, &all, LINKS)
        });
        let mut back: BTreeMap<u32, Vec<Near>> = BTreeMap::new();
        for ((place, _), chosen) in fresh.iter().zip(&chosen) {
            let to: Vec<u32> = chosen.iter().map(|near| near.1).collect();
            self.layers[level].link(*place, &to);
            chosen.iter().for_each(|to| back.entry(to.1).or_default().push(Near(to.0, *place)));
        }
        let back: Vec<(u32, Vec<Near>)> = back.into_iter().collect();
        let graph = &*self;
        let lists = spread(&back, threads, |(place, more)| graph.widened(level, *place, more));
        for ((place, _), list) in back.iter().zip(lists) {
            self.layers[level].link(*place, &list);
        }
    }

    /// The links of a place together with `more`; where there is no room for all, those that lead furthest.
    fn widened(&self, level: usize, place: u32, more: &[Near]) -> Vec<u32> {
        let (layer, own) = (&self.layers[level], self.code(level, place));
        let old = layer.links(place);
        let more = more.iter().filter(|near| !old.contains(&near.1));
        let count = old.len() + more.clone().count();
        if count <= layer.width {
            return old.iter().copied().chain(more.map(|near| near.1)).collect();
        }
        let old = old.iter().map(|to| Near(self.form().near(own, self.code(level, *to)), *to));
        let mut all: Vec<Near> = old.chain(more.copied()).collect();
        nearest(&mut all, LOOK);
        self.choose(level, &all, layer.width).into_iter().map(|near| near.1).collect()
    }

    /// At most `count` of `all`, which is sorted: first those that are nearer to the place than to each that is
    /// chosen (so that links lead in all directions), then the nearest of the others.
    fn choose(&self, level: usize, all: &[Near], count: usize) -> Vec<Near> {
        if all.len() <= count {
            return all.to_vec();
        }
        let (mut chosen, mut others): (Vec<Near>, Vec<Near>) =
            (Vec::with_capacity(count), Vec::new());
        for near in all {
            if chosen.len() == count {
                return chosen;
            }
            let code = self.code(level, near.1);
            let nearer = |other: &Near| self.form().near(code, self.code(level, other.1)) > near.0;
            if chosen.iter().any(nearer) { others.push(*near) } else { chosen.push(*near) }
        }
        chosen.extend(others.into_iter().take(count - chosen.len().min(count)));
        chosen
    }

    /// Takes out up to `most` ords that are not live; says how many are left.
    pub(super) fn remove(
        &mut self,
        live: impl Fn(u32) -> bool,
        most: usize,
        threads: usize,
    ) -> usize {
        let dead: Vec<u32> = {
            let members = self.layers[0].members().filter(|(_, ord)| !live(*ord));
            members.map(|(place, _)| place).collect()
        };
        if dead.is_empty() {
            return 0;
        }
        let left = dead.len().saturating_sub(most);
        let mut going = Marks::new(self.layers[0].places());
        dead.iter().take(most).for_each(|place| _ = going.mark(*place));
        let out = self.leave_lines(&going);
        let mut gone = Marks::new(self.layers[0].places());
        out.iter().for_each(|place| _ = gone.mark(*place));
        self.bypass(0, &gone, threads);
        for level in 1..self.layers.len() {
            let places: Vec<u32> = {
                let members = self.layers[level].members().filter(|(_, place)| gone.has(*place));
                members.map(|(place, _)| place).collect()
            };
            let mut gone = Marks::new(self.layers[level].places());
            places.iter().for_each(|place| _ = gone.mark(*place));
            self.bypass(level, &gone, threads);
            places.iter().for_each(|place| self.layers[level].set(*place, NONE, NONE));
        }
        out.iter().for_each(|place| self.layers[0].set(*place, NONE, NONE));
        left
    }

    /// Takes those that go out of the lines of same vectors, and gives the places that become free. Who stays moves
    /// up: the first place has the links.
    fn leave_lines(&mut self, going: &Marks) -> Vec<u32> {
        let lowest = &mut self.layers[0];
        let mut behind = Marks::new(lowest.places());
        for next in (0..lowest.places()).map(|place| lowest.next(place)) {
            behind.mark(next);
        }
        let members = lowest.members().map(|(place, _)| place);
        let firsts: Vec<u32> = members.filter(|place| !behind.has(*place)).collect();
        let (mut out, mut line) = (Vec::new(), Vec::new());
        for first in firsts {
            line.clear();
            let mut at = first;
            while at != NONE {
                line.push(at);
                at = lowest.next(at);
            }
            let stay: Vec<u32> = line
                .iter()
                .filter(|place| !going.has(**place))
                .map(|place| lowest.member(*place))
                .collect();
            if stay.len() == line.len() {
                continue;
            }
            for (i, ord) in stay.iter().enumerate() {
                let next = if i + 1 < stay.len() { line[i + 1] } else { NONE };
                lowest.set(line[i], *ord, next);
            }
            out.extend_from_slice(&line[stay.len()..]);
        }
        out
    }

    /// Links past those that are `gone`: who led to one of them chooses anew among its own and its neighbours.
    fn bypass(&mut self, level: usize, gone: &Marks, threads: usize) {
        let layer = &self.layers[level];
        let touched: Vec<u32> = layer
            .members()
            .map(|(place, _)| place)
            .filter(|place| !gone.has(*place))
            .filter(|place| layer.links(*place).iter().any(|to| gone.has(*to)))
            .collect();
        let graph = &*self;
        let lists = spread(&touched, threads, |place| {
            let layer = &graph.layers[level];
            let own = graph.code(level, *place);
            let (lost, kept): (Vec<u32>, Vec<u32>) =
                layer.links(*place).iter().partition(|to| gone.has(**to));
            let further = lost.iter().flat_map(|to| layer.links(*to));
            let further = further.filter(|to| !gone.has(**to) && *to != place);
            let mut all: Vec<u32> = kept.iter().chain(further).copied().collect();
            all.sort_unstable();
            all.dedup();
            let near = |to: u32| Near(graph.form().near(own, graph.code(level, to)), to);
            let mut all: Vec<Near> = all.into_iter().map(near).collect();
            nearest(&mut all, LOOK);
            let chosen = graph.choose(level, &all, layer.width);
            chosen.into_iter().map(|near| near.1).collect::<Vec<u32>>()
        });
        for (place, list) in touched.iter().zip(lists) {
            self.layers[level].link(*place, &list);
        }
        let places: Vec<u32> =
            (0..self.layers[level].places()).filter(|place| gone.has(*place)).collect();
        places.iter().for_each(|place| self.layers[level].link(*place, &[]));
    }
}
