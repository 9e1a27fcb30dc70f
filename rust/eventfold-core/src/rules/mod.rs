//! The rules in force at one version of the catalogue: what an append is held to beyond its form.

mod judge;
mod personal;
mod ruling;
mod steps;
mod undeclared;

use std::collections::HashMap;
use std::sync::Arc;

use crate::by_type::{ByType, Typed};
use crate::json::pointer::Pattern;
use crate::mapping::{Mapping, Mappings};
use crate::privacy::{Declared, Personal};
use crate::schema::Schema;

pub(crate) use judge::{Judge, Subject};
pub use ruling::EventViolation;
pub(crate) use ruling::Ruling;
pub use steps::Steps;

/// What becomes of an event that its schema does not fit; the numbers are those of `SchemaMode` in
/// the proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is not looked at.
    Off = 1,
    /// It is stored with a mark.
    Warn = 2,
    /// It is refused.
    Enforce = 3,
}

impl Mode {
    /// By its number; `None`: nothing was said, or it is none.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Off, Self::Warn, Self::Enforce].into_iter().find(|mode| *mode as i32 == number)
    }
}

/// A schema in force.
#[derive(Debug, Clone)]
pub struct SchemaInForce {
    /// Its revision.
    pub revision: i32,
    /// The schema.
    pub schema: Arc<Schema>,
}

/// What is said of one event type.
#[derive(Debug, Clone)]
pub struct TypeRules {
    event_type: Arc<str>,
    /// Its schema.
    pub schema: Option<SchemaInForce>,
    /// What becomes of an event that the schema does not fit; `None`: the category says.
    pub mode: Option<Mode>,
    /// How its events are read.
    pub mapping: Option<Arc<Mapping>>,
    /// Whether what its events refer to must be there.
    pub references_enforced: bool,
    /// Which of its values are personal.
    pub personal: Option<Arc<Personal>>,
}

impl TypeRules {
    /// Nothing is said of a type yet.
    pub fn new(event_type: &str) -> Self {
        Self {
            event_type: event_type.into(),
            schema: None,
            mode: None,
            mapping: None,
            references_enforced: false,
            personal: None,
        }
    }
}

impl Typed for TypeRules {
    fn event_type(&self) -> &Arc<str> {
        &self.event_type
    }
}

/// All rules in force at one version of the catalogue.
#[derive(Debug, Default)]
pub struct Rules {
    version: i64,
    types: ByType<TypeRules>,
    category_modes: HashMap<String, Mode>,
    personal_categories: HashMap<String, Arc<Personal>>,
    has_personal: bool,
    /// What was personal once.
    past_personal: Vec<(Declared, Arc<Personal>)>,
    /// What is personal in events of categories since it came from events where it was.
    carried: HashMap<String, Vec<Pattern>>,
    mappings: Arc<Mappings>,
    /// Mappings that are in force no more, by the types of their events.
    past_mappings: Arc<HashMap<Arc<str>, Vec<Arc<Mapping>>>>,
}

impl Rules {
    /// What is in force at a version: of event types, each of which comes once, and the modes of
    /// categories.
    pub fn new(version: i64, types: Vec<TypeRules>, category_modes: HashMap<String, Mode>) -> Self {
        let mappings = Mappings::new(types.iter().filter_map(|rules| rules.mapping.clone()));
        Self {
            version,
            has_personal: types.iter().any(|rules| rules.personal.is_some()),
            types: ByType::new(types),
            category_modes,
            personal_categories: HashMap::new(),
            past_personal: Vec::new(),
            carried: HashMap::new(),
            mappings: Arc::new(mappings),
            past_mappings: Arc::default(),
        }
    }

    /// The same with categories all of whose values are personal, or some in each event.
    pub fn with_personal_categories(
        mut self,
        personal_categories: HashMap<String, Arc<Personal>>,
    ) -> Self {
        self.has_personal |= !personal_categories.is_empty();
        self.personal_categories = personal_categories;
        self
    }

    /// The same with what was personal once. Nothing is sealed by it any more, but what was is
    /// personal for as long as it is stored.
    #[must_use]
    pub fn with_past_personal(mut self, past_personal: Vec<(Declared, Arc<Personal>)>) -> Self {
        self.past_personal = past_personal;
        self
    }

    /// The same with what came into events of categories sealed, whatever the rules say: pointers
    /// to it, by category.
    #[must_use]
    pub fn with_carried(mut self, carried: HashMap<String, Vec<Pattern>>) -> Self {
        self.carried = carried;
        self
    }

    /// The same with mappings that are in force no more.
    #[must_use]
    pub fn with_past_mappings(mut self, mappings: Vec<Arc<Mapping>>) -> Self {
        let mut past: HashMap<Arc<str>, Vec<Arc<Mapping>>> = HashMap::new();
        for mapping in mappings {
            past.entry(Arc::clone(mapping.event_type())).or_default().push(mapping);
        }
        self.past_mappings = Arc::new(past);
        self
    }

    /// Which values of events of a type in a category are personal; `None`: none is. What is said
    /// of the category counts alone.
    #[inline]
    pub fn personal(&self, event_type: &str, category: &str) -> Option<&Arc<Personal>> {
        if !self.has_personal {
            return None;
        }
        let of_type = || self.of_type(event_type)?.personal.as_ref();
        self.personal_categories.get(category).or_else(of_type)
    }

    /// Of the catalogue.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// How events are read.
    pub fn mappings(&self) -> &Arc<Mappings> {
        &self.mappings
    }

    /// What is said of an event type; `None`: nothing.
    #[inline]
    pub fn of_type(&self, event_type: &str) -> Option<&TypeRules> {
        self.types.get(event_type.as_bytes())
    }

    /// The schema that events of a type in a category are held to, and what becomes of one that
    /// does not fit; `None`: they are held to none.
    pub fn schema(&self, event_type: &str, category: &str) -> Option<(Mode, &SchemaInForce)> {
        let of_type = self.of_type(event_type)?;
        let schema = of_type.schema.as_ref()?;
        let of_category = || self.category_modes.get(category).copied();
        let mode = of_type.mode.or_else(of_category).unwrap_or(Mode::Enforce);
        (mode != Mode::Off).then_some((mode, schema))
    }
}
