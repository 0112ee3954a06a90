//! The channels of a collection, by its stamp. The numbers are part of the stored blocks of this store, which no other reads.

use hexmem_ports::{CollectionSpec, FieldKind, FieldPath, Name};

/// Names and their channels. Channel 0 is all points.
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
    fn channel(&self, at: usize) -> u16 {
        u16::try_from(at + 1).unwrap_or(u16::MAX)
    }

    pub(super) fn dense(&self, name: &Name) -> Option<(u16, usize)> {
        let at = self.dense.iter().position(|(other, _)| other == name)?;
        Some((self.channel(at), self.dense[at].1))
    }

    /// Channel, name and dimension of each.
    pub(super) fn denses(&self) -> impl Iterator<Item = (u16, &Name, usize)> {
        self.dense.iter().enumerate().map(|(at, (name, dim))| (self.channel(at), name, *dim))
    }

    pub(super) fn sparse(&self, name: &Name) -> Option<u16> {
        let at = self.sparse.iter().position(|other| other == name)?;
        Some(self.channel(self.dense.len() + at))
    }

    pub(super) fn sparse_name(&self, channel: u16) -> Option<&Name> {
        self.sparse.get(usize::from(channel).checked_sub(self.dense.len() + 1)?)
    }

    /// The channel of an indexed field, by its place among them.
    pub(super) fn field(&self, place: usize) -> u16 {
        self.channel(self.dense.len() + self.sparse.len() + place)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (u16, &FieldPath, FieldKind)> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, (path, kind))| (self.field(at), path, *kind))
    }
}
