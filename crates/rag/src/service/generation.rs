//! Where a collection lies: a store's collection for each generation, and an alias of the collection's name that leads to the
//! one that counts. So its points can be built anew beside the old ones, and switched in one step.

use hexmem_ports::{
    CollectionId, Error, ErrorKind, Limit, Name, PAGE_LIMIT, Prefix, Result, VectorStore,
};

use super::{Collection, Stamp};

/// Stands between the name and the number of a generation.
const MARK: char = '~';
/// Ends the alias that stands on a generation whose writes are over.
const CLOSED: &str = "closed";

/// The name and the generation, of the name of a generation.
fn parts(place: &str) -> Option<(&str, u32)> {
    let (name, number) = place.rsplit_once(MARK)?;
    let plain = !number.starts_with(['0', '+']);
    Some((name, number.parse().ok().filter(|_| plain)?))
}

/// `Invalid` for a name that is one of a generation.
pub(super) fn check(id: &CollectionId) -> Result<()> {
    let name = id.name.as_str();
    if parts(name).is_none() && !name.ends_with(&format!("{MARK}{CLOSED}")) {
        return Ok(());
    }
    let what = "a name that ends in ~ and a number, or in ~closed, is not for a collection; choose another";
    Err(Error::invalid("rag.open", what).with("collection", id))
}

/// Where a generation lies.
pub(super) fn place(id: &CollectionId, generation: u32) -> Result<CollectionId> {
    below(id, &generation.to_string())
}

/// The alias that is there once no write to a generation counts any more.
pub(super) fn closed(place: &CollectionId) -> Result<CollectionId> {
    below(place, CLOSED)
}

fn below(id: &CollectionId, end: &str) -> Result<CollectionId> {
    let name = Name::new(format!("{}{MARK}{end}", id.name)).map_err(|error| {
        Error::invalid("rag.open", "the name is too long; 1,000 bytes are enough").caused_by(error)
    })?;
    Ok(CollectionId::new(id.tenant.clone(), name))
}

/// The collection whose generation lies there.
pub(super) fn of_place(place: &CollectionId) -> Option<(CollectionId, u32)> {
    let (name, generation) = parts(place.name.as_str())?;
    Some((CollectionId::new(place.tenant.clone(), Name::new(name).ok()?), generation))
}

/// The generation that the name leads to.
pub(super) async fn current(store: &dyn VectorStore, id: &CollectionId) -> Result<Option<u32>> {
    let Some(info) = store.info(id).await? else { return Ok(None) };
    Ok(Stamp::read(id, &info.spec).ok().map(|stamp| stamp.generation))
}

/// Every generation that there is, complete or not.
pub(super) async fn all(store: &dyn VectorStore, id: &CollectionId) -> Result<Vec<u32>> {
    let prefix = Prefix::new(format!("{}{MARK}", id.name))?;
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let limit = Limit::new(PAGE_LIMIT)?;
        let page = store.list(&id.tenant, &prefix, cursor, limit).await?;
        for name in page.items {
            let there = CollectionId::new(id.tenant.clone(), name);
            found.extend(of_place(&there).filter(|(of, _)| of == id).map(|(_, number)| number));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

/// Removes all generations but one.
pub(super) async fn remove_others(
    store: &dyn VectorStore,
    id: &CollectionId,
    keep: Option<u32>,
) -> Result<bool> {
    let mut removed = false;
    for number in all(store, id).await?.into_iter().filter(|number| Some(*number) != keep) {
        removed |= store.drop_collection(&place(id, number)?).await?;
    }
    Ok(removed)
}

impl Collection {
    /// Whether what was written until now counts: what was not is lost, and must be written again.
    ///
    /// A re-embedding closes the generation before it looks at it for the last time. So a write was seen if behind it the
    /// generation is open, or, where it is gone already, is still the current one: in this order.
    pub(super) async fn still_open(&self) -> Result<()> {
        let closed = self.store().info(&closed(&self.place)?).await?.is_some();
        let current = !closed && current(self.store(), &self.id).await? == Some(self.generation);
        if current {
            return Ok(());
        }
        let what = "the collection was embedded anew, is about to be, or was removed; open it again and repeat the write \
                    (repeat a re-embedding that was cut off first)";
        let error = Error::new(ErrorKind::Conflict, "rag.write", what);
        Err(error.with("collection", &self.id).outcome_unknown())
    }
}

#[cfg(test)]
mod tests {
    use hexmem_ports::Tenant;

    use super::*;

    #[test]
    fn places_are_told_from_names() {
        let id = |name: &str| {
            CollectionId::new(Tenant(Name::new("t").unwrap()), Name::new(name).unwrap())
        };
        for name in ["docs", "a~b", "~", "docs~", "docs~01", "docs~+1", "docs~x1", "1"] {
            assert!(check(&id(name)).is_ok(), "{name}");
            let there = place(&id(name), 12).unwrap();
            assert_eq!(of_place(&there), Some((id(name), 12)));
            assert!(check(&there).is_err() && check(&closed(&there).unwrap()).is_err());
        }
        assert_eq!(of_place(&id("docs")), None);
        assert!(place(&id(&"x".repeat(1_024)), 1).is_err());
    }
}
