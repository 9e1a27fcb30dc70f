//! Finding by event type.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bytes::same;

/// Up to this many entries are found by comparing, which beats hashing.
const COMPARED_MAX: usize = 12;

/// Something that there is for an event type.
pub(crate) trait Typed {
    /// The event type.
    fn event_type(&self) -> &Arc<str>;
}

/// One thing for each of some event types.
#[derive(Debug)]
pub(crate) struct ByType<T> {
    list: Vec<T>,
    /// Places in the list; empty for few entries.
    index: HashMap<Arc<str>, usize>,
}

impl<T: Typed> ByType<T> {
    pub(crate) fn new(list: Vec<T>) -> Self {
        let mut index = HashMap::new();
        if list.len() > COMPARED_MAX {
            let place = |(place, entry): (usize, &T)| (Arc::clone(entry.event_type()), place);
            index = list.iter().enumerate().map(place).collect();
        }
        Self { list, index }
    }

    /// All entries, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.list.iter()
    }

    /// The entry of an event type; what is not UTF-8 has none.
    #[inline]
    pub(crate) fn get(&self, event_type: &[u8]) -> Option<&T> {
        if self.list.len() <= COMPARED_MAX {
            return self.list.iter().find(|entry| same(entry.event_type().as_bytes(), event_type));
        }
        let event_type = std::str::from_utf8(event_type).ok()?;
        self.index.get(event_type).and_then(|place| self.list.get(*place))
    }
}

impl<T: Typed> Default for ByType<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}
