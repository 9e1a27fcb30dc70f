//! Pages beside which stands what their events refer to.

use std::collections::HashMap;
use std::ops::Range;

use crate::envelope::{FLAG_VALIDATED_V1, uuid_text};
use crate::error::CoreError;
use crate::json::check::Checker;
use crate::json::scan::scan_value;
use crate::privacy::{OpenedValue, Whose};
use crate::rows::{Page, Resolution, Row};
use crate::value::{Map, Timestamp, Value};

/// What rows of a page refer to, by the names of a document.
#[derive(Debug)]
pub struct References {
    /// The ids, each once, in the order in which rows need them.
    pub ids: Vec<[u8; 16]>,
    /// The rows that were looked at; they may end before the page does, if it took long.
    pub(super) rows: Range<usize>,
    names: usize,
    /// For each row one for each name.
    references: Vec<Reference>,
    places: HashMap<[u8; 16], u32>,
}

/// What a name of a row stands for.
#[derive(Debug, Clone)]
pub(super) enum Reference {
    Nothing,
    /// The event of the id with this number.
    To(u32),
    /// Its expression fails.
    Failed(Box<CoreError>),
}

/// A page with what its events refer to. It ends with the last row of which that is known.
#[derive(Debug)]
pub struct Resolved<P> {
    page: P,
    /// `None`: nothing is referred to.
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    rows: Range<usize>,
    names: usize,
    references: Vec<Reference>,
    /// By the numbers of ids.
    targets: Vec<Target>,
}

/// What an id leads to.
#[derive(Debug, Clone)]
enum Target {
    Missing,
    Event { position: i64, value: Value, whose: Whose },
    Unreadable { position: i64 },
}

impl References {
    pub(super) fn new(from: usize, names: usize) -> Self {
        Self {
            ids: Vec::new(),
            rows: from..from,
            names,
            references: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Adds a row, of which nothing is known yet.
    pub(super) fn add_row(&mut self) {
        self.rows.end += 1;
        self.references.resize(self.references.len() + self.names, Reference::Nothing);
    }

    /// Says what a name of the last row stands for.
    pub(super) fn set(&mut self, name: usize, found: Result<Option<[u8; 16]>, CoreError>) {
        let reference = match found {
            Ok(None) => Reference::Nothing,
            Ok(Some(id)) => Reference::To(self.number(id)),
            Err(error) => Reference::Failed(error.into()),
        };
        let row = self.references.len() - self.names;
        self.references[row + name] = reference;
    }

    fn number(&mut self, id: [u8; 16]) -> u32 {
        // A page has far fewer.
        let next = self.ids.len() as u32;
        let number = *self.places.entry(id).or_insert(next);
        if number == next {
            self.ids.push(id);
        }
        number
    }

    /// How many of the ids, the first ones, the first row needs: with fewer nothing can be folded.
    pub fn needed(&self) -> usize {
        self.references[..self.names.min(self.references.len())]
            .iter()
            .map(Reference::ids)
            .max()
            .unwrap_or(0)
    }

    /// Puts beside the page, which must be the same, what was found: all there is of the first
    /// `known` ids. The page ends before the first row that needs another.
    pub fn resolve<P: Page>(
        self,
        page: P,
        known: usize,
        found: &[impl Page],
    ) -> Result<Resolved<P>, CoreError> {
        let Self { rows, names, references, places, .. } = self;
        let mut targets = vec![Target::Missing; known];
        let mut checker = Checker::default();
        for page in found {
            for index in 0..page.len() {
                let row = page.row(index)?;
                let place = places.get(row.event_id).map(|place| *place as usize);
                if let Some(target) = place.and_then(|place| targets.get_mut(place)) {
                    *target = Target::of(&row, Whose::of(page.opened(index)), &mut checker)?;
                }
            }
        }
        let unknown = references.iter().position(|reference| reference.ids() > known);
        let end = unknown.map_or(rows.end, |place| rows.start + place / names.max(1));
        let found = Found { rows: rows.start..end, names, references, targets };
        Ok(Resolved { page, found: Some(found) })
    }
}

impl Reference {
    /// How many of the ids, the first ones, must be known for it.
    fn ids(&self) -> usize {
        match self {
            Self::To(number) => *number as usize + 1,
            Self::Nothing | Self::Failed(_) => 0,
        }
    }
}

impl Target {
    fn of(row: &Row<'_>, whose: Whose, checker: &mut Checker) -> Result<Self, CoreError> {
        let position = row.position;
        if row.deleted {
            let mut map = Map::with_capacity(1);
            map.insert("deleted", Value::Bool(true));
            return Ok(Self::Event { position, value: Value::map(map), whose });
        }
        // Others may have written a row without the mark.
        let valid = row.flags & FLAG_VALIDATED_V1 != 0 || checker.check(row.data).is_ok();
        let Some(data) = valid.then(|| scan_value(row.data).ok()).flatten() else {
            return Ok(Self::Unreadable { position });
        };
        let recorded_at = Timestamp::from_micros(row.recorded_us)
            .ok_or_else(|| CoreError::new("BUG", "a page has a time that is out of range"))?;
        let mut map = Map::with_capacity(8);
        map.insert("id", Value::string(uuid_text(row.event_id)));
        map.insert("stream", Value::from(row.stream.unwrap_or_default()));
        map.insert("type", Value::from(row.event_type));
        map.insert("version", Value::Int(row.version));
        map.insert("position", Value::Int(position));
        map.insert("recorded_at", Value::Timestamp(recorded_at));
        map.insert("data", data);
        map.insert("deleted", Value::Bool(false));
        Ok(Self::Event { position, value: Value::map(map), whose })
    }
}

impl<P: Page> Resolved<P> {
    /// A page whose events refer to nothing.
    pub fn nothing(page: P) -> Self {
        Self { page, found: None }
    }

    /// The page as it was.
    pub fn into_page(self) -> P {
        self.page
    }
}

impl<P: Page> Page for Resolved<P> {
    fn len(&self) -> usize {
        self.found.as_ref().map_or_else(|| self.page.len(), |found| found.rows.end)
    }

    #[inline]
    fn cell(&self, column: usize, index: usize) -> Option<&[u8]> {
        self.page.cell(column, index)
    }

    #[inline]
    fn fixed<const N: usize>(&self, column: usize, index: usize) -> Option<&[u8; N]> {
        self.page.fixed(column, index)
    }

    fn resolution(&self, index: usize, name: usize) -> Option<Resolution<'_>> {
        let found = self.found.as_ref()?;
        let row = index.checked_sub(found.rows.start).filter(|_| index < found.rows.end)?;
        let place = (name < found.names).then(|| row * found.names + name)?;
        let number = match found.references.get(place)? {
            Reference::Nothing => return Some(Resolution::Nothing),
            Reference::Failed(error) => return Some(Resolution::Failed(error)),
            Reference::To(number) => *number as usize,
        };
        // What is behind an event may not be there yet when it is folded for the first time.
        let before = |position: i64| self.position(index).is_ok_and(|own| position < own);
        Some(match found.targets.get(number)? {
            Target::Event { position, value, .. } if before(*position) => Resolution::Event(value),
            Target::Unreadable { position } if before(*position) => Resolution::Unreadable,
            _ => Resolution::Nothing,
        })
    }

    #[inline]
    fn opened(&self, index: usize) -> &[OpenedValue] {
        self.page.opened(index)
    }

    fn whose(&self, index: usize, read: &dyn Fn(&str) -> bool) -> Whose {
        let own = self.page.whose(index, read);
        let Some(found) = &self.found else { return own };
        let Some(row) = index.checked_sub(found.rows.start) else { return own };
        let places = row * found.names..(row + 1) * found.names;
        let references = found.references.get(places).unwrap_or_default();
        let of_target = |reference: &Reference| match reference {
            Reference::To(number) => match found.targets.get(*number as usize) {
                Some(Target::Event { whose, .. }) => *whose,
                _ => Whose::Nobody,
            },
            _ => Whose::Nobody,
        };
        references.iter().map(of_target).fold(own, Whose::with)
    }
}
