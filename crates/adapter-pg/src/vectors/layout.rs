//! The channels of a collection, by its stamp. The numbers are part of the rows of this store, `smallint` there, which no other reads.

use hexmem_ports::{CollectionSpec, FieldKind, FieldPath, Name};

/// Names and their channels, from 1 on: dense vectors, sparse vectors, indexed fields.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    dense: Vec<(Name, usize)>,
    sparse: Vec<Name>,
    fields: Vec<(FieldPath, FieldKind)>,
}

impl Layout {
    pub(super) fn of(spec: &CollectionSpec) -> Self {
        let dimension = |dimension: u32| usize::try_from(dimension).unwrap_or(usize::MAX);
        Self {
            dense: spec
                .dense
                .iter()
                .map(|(name, dense)| (name.clone(), dimension(dense.space.dimension)))
                .collect(),
            sparse: spec.sparse.keys().cloned().collect(),
            fields: spec.indexed.iter().map(|(path, kind)| (path.clone(), *kind)).collect(),
        }
    }

    /// A stamp has at most 256 of them.
    fn channel(at: usize) -> i16 {
        i16::try_from(at + 1).unwrap_or(i16::MAX)
    }

    /// Channel and dimension of a dense vector.
    pub(super) fn dense(&self, name: &Name) -> Option<(i16, usize)> {
        let at = self.dense.iter().position(|(other, _)| other == name)?;
        Some((Self::channel(at), self.dense[at].1))
    }

    /// Channel, name and dimension of each.
    pub(super) fn denses(&self) -> impl Iterator<Item = (i16, &Name, usize)> {
        self.dense.iter().enumerate().map(|(at, (name, dim))| (Self::channel(at), name, *dim))
    }

    pub(super) fn dense_name(&self, channel: i16) -> Option<(&Name, usize)> {
        let at = usize::try_from(channel).ok()?.checked_sub(1)?;
        self.dense.get(at).map(|(name, dimension)| (name, *dimension))
    }

    pub(super) fn dense_count(&self) -> i16 {
        i16::try_from(self.dense.len()).unwrap_or(i16::MAX)
    }

    pub(super) fn sparse_count(&self) -> i32 {
        i32::try_from(self.sparse.len()).unwrap_or(i32::MAX)
    }

    /// The place of a sparse vector among them, from 0, and its channel.
    pub(super) fn sparse(&self, name: &Name) -> Option<(usize, i16)> {
        let at = self.sparse.iter().position(|other| other == name)?;
        Some((at, Self::channel(self.dense.len() + at)))
    }

    pub(super) fn sparse_name(&self, place: usize) -> Option<&Name> {
        self.sparse.get(place)
    }

    /// The channel of an indexed field, by its place among them.
    pub(super) fn field(&self, place: usize) -> i16 {
        Self::channel(self.dense.len() + self.sparse.len() + place)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (i16, &FieldPath, FieldKind)> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, (path, kind))| (self.field(at), path, *kind))
    }
}

/// The name of the list of `term` in `channel`.
pub(super) fn list(channel: i16, term: u32) -> i64 {
    i64::from(channel) << 32 | i64::from(term)
}
