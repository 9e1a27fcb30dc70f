//! Looking at events that are to be stored: their form, and what the rules say of them.

use super::ruling::{EventViolation, Ruling};
use super::{Mode, Rules, SchemaInForce, Steps};
use crate::append::Origin;
use crate::envelope::{FLAG_CLOSES, FLAG_OPENS, FLAG_SCHEMA_VIOLATED};
use crate::error::CoreError;
use crate::json::check::{Checked, Checker, Refusal};
use crate::json::tree::Tree;
use crate::limits::{APPEND_STEPS_MAX, EVALUATION_STEPS_MAX, VIOLATIONS_MAX};
use crate::mapping::Mapper;
use crate::names::{check_readable_stream_name, check_stream_name};
use crate::privacy::PersonalValue;
use crate::rows::Row;
use crate::schema::{Violations, text_of};

/// Looks at the events of one append, one after the other, and keeps its memory between them.
#[derive(Debug)]
pub(crate) struct Judge<'r> {
    rules: &'r Rules,
    origin: &'r Origin,
    /// What its rules may still take.
    steps: &'r mut Steps,
    checker: Checker,
    tree: Tree,
    /// How many violations may still be listed.
    room: usize,
    mapper: Mapper,
    mapped: Vec<u8>,
}

/// Which event of a part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// From 0.
    pub(crate) index: usize,
    /// Its type.
    pub(crate) event_type: &'a str,
    /// Category of the stream.
    pub(crate) category: &'a str,
}

impl<'r> Judge<'r> {
    pub(crate) fn new(rules: &'r Rules, origin: &'r Origin, steps: &'r mut Steps) -> Self {
        Self {
            rules,
            origin,
            steps,
            checker: Checker::default(),
            tree: Tree::default(),
            room: VIOLATIONS_MAX,
            mapper: Mapper::default(),
            mapped: Vec::new(),
        }
    }

    /// Who appends the events, and when.
    pub(crate) fn origin(&self) -> &'r Origin {
        self.origin
    }

    /// Checks the name of a stream that is appended to; its category.
    pub(crate) fn stream<'a>(&self, name: &'a str) -> Result<&'a str, CoreError> {
        if self.origin.system { check_readable_stream_name(name) } else { check_stream_name(name) }
    }

    /// Whether events of some types are mapped when they are read.
    pub(crate) fn maps(&self) -> bool {
        !self.rules.mappings().is_empty()
    }

    /// Checks the form of a text that no rule is about.
    pub(crate) fn form(&mut self, text: &[u8]) -> Result<Checked, Refusal> {
        self.checker.check(text)
    }

    /// Checks the form of the data of an event, and holds them to their schema in the same pass;
    /// [`FLAG_SCHEMA_VIOLATED`] if they do not fit.
    pub(crate) fn data(
        &mut self,
        subject: Subject<'_>,
        data: &[u8],
        ruling: &mut Ruling,
    ) -> Result<(Checked, i32), CoreError> {
        let refused = |refusal: Refusal| refusal.into_error("data");
        let in_force = self.rules.schema(subject.event_type, subject.category);
        let Some((mode, in_force)) = in_force.filter(|_| !self.steps.gave_up()) else {
            return Ok((self.form(data).map_err(refused)?, 0));
        };
        let checked = self.checker.check_into(data, true, &mut self.tree).map_err(refused)?;
        let SchemaInForce { revision, schema } = in_force;
        let place = self.tree.root(text_of(data));
        // The first is told in any case.
        let looked = match self.steps.take(steps_of(data)) {
            true => schema.look(place, self.room.max(1), &mut self.steps.left),
            false => Ok(None),
        };
        let found = match looked {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.steps.exceed();
                Violations::whole("limit", STEPS_EXCEEDED.to_owned())
            }
            Err(error) => {
                let message = format!("this server does not understand the schema: {error}");
                Violations::whole("schema", message)
            }
        };
        if found.count == 0 {
            return Ok((checked, 0));
        }
        ruling.add(found, *revision, &mut self.room, |violation| EventViolation {
            event_index: subject.index,
            event_type: subject.event_type.to_owned(),
            enforced: mode == Mode::Enforce,
            violation,
        });
        Ok((checked, FLAG_SCHEMA_VIOLATED))
    }

    /// Makes sure that an event can be read once it is stored, and notes it if not; false: there is
    /// no use in looking at others.
    pub(crate) fn map(
        &mut self,
        row: &Row<'_>,
        index: usize,
        stream: &str,
        ruling: &mut Ruling,
    ) -> bool {
        let Some(mapping) = self.rules.mappings().get(row.event_type.as_bytes()) else {
            return true;
        };
        self.mapped.clear();
        let enough = self.steps.take(steps_of(row.data));
        self.mapper.steps_max = EVALUATION_STEPS_MAX.min(self.steps.left);
        let before = self.mapper.steps;
        let mapped = match enough {
            true => mapping.apply(row, stream, &mut self.mapper, &mut self.mapped),
            false => Ok(None),
        };
        let taken = self.mapper.steps - before;
        self.steps.left -= taken;
        let Some(error) = mapped.err() else {
            if !enough {
                ruling.unmapped(index, &steps_exceeded(row.event_type));
            }
            return enough;
        };
        if self.steps.left == 0 && taken < EVALUATION_STEPS_MAX {
            self.steps.exceed();
            ruling.unmapped(index, &steps_exceeded(row.event_type));
        } else {
            ruling.unmapped(index, &error);
        }
        false
    }

    /// The personal values of an event; `None`: it has none. An event of which it cannot be told
    /// whose they are has no value here, which is noted.
    pub(crate) fn personal(
        &self,
        subject: Subject<'_>,
        data: &[u8],
        ruling: &mut Ruling,
    ) -> Option<Vec<PersonalValue>> {
        let Origin { marks, carried, .. } = self.origin;
        let declared = self.rules.personal(subject.event_type, subject.category);
        let mut values = match declared.map(|personal| personal.find(data)).transpose() {
            Ok(values) => values.unwrap_or_default(),
            Err(error) => {
                ruling.subjectless(subject.index, subject.event_type, error);
                return Some(Vec::new());
            }
        };
        if marks & (FLAG_CLOSES | FLAG_OPENS) != 0 {
            values.retain(|value| !is_of_server(*marks, &value.pointer));
        }
        if !carried.is_empty() {
            carried.iter().for_each(|carried| carried.find(data, &mut values));
            values.sort_by_key(|value| value.value.start);
        }
        Some(values).filter(|values| !values.is_empty())
    }

    /// Whether the append was not judged for want of steps.
    pub(crate) fn gave_up(&self) -> bool {
        self.steps.gave_up()
    }
}

/// Whether a pointer leads to what the server writes into events that close or open streams. What
/// of it is personal it says itself; the rest must be readable without any key.
fn is_of_server(marks: i32, pointer: &str) -> bool {
    match pointer.split('/').nth(1) {
        Some("successor") => marks & FLAG_CLOSES != 0,
        Some("predecessor" | "states") => marks & FLAG_OPENS != 0,
        _ => false,
    }
}

const STEPS_EXCEEDED: &str =
    "stands in an append that takes too many steps to be held to the rules";

/// What goes through all of the data takes, whatever rule it is for.
fn steps_of(data: &[u8]) -> u64 {
    data.len() as u64 / 64
}

fn steps_exceeded(event_type: &str) -> CoreError {
    let message = format!("the event {STEPS_EXCEEDED}");
    CoreError::new("MAPPING_FAILED", message.as_str())
        .fact("type", event_type)
        .fact("problem", message)
        .fact("limit", APPEND_STEPS_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::super::{Rules, SchemaInForce, Steps, TypeRules};
    use crate::append::{Append, Origin};
    use crate::limits::APPEND_STEPS_MAX;
    use crate::mapping::Mapping;
    use crate::schema::Schema;

    fn rules(computed: &str) -> Rules {
        let source = r#"{"properties": {"a": {"type": "integer"}}}"#;
        let schema = Arc::new(Schema::compile(source, &[], false).unwrap());
        let mut of_type = TypeRules::new("T");
        of_type.schema = Some(SchemaInForce { revision: 1, schema });
        let source = format!("mapping: T\ncomputed: {{b: '{computed}'}}\n");
        of_type.mapping = Some(Arc::new(Mapping::parse(&source).unwrap()));
        Rules::new(1, vec![of_type], HashMap::new())
    }

    fn harmless() -> Rules {
        rules("event.a + 1")
    }

    /// Some events of the type, checked with so many steps, and those that are left.
    fn check(rules: &Rules, events: usize, mut steps: Steps) -> (Append, u64) {
        let event = b"\x1a\x0d\x12\x01T\x1a\x08{\"a\": 1}";
        let message = [b"\x0a\x03a-1\x12\x02\x1a\x00".to_vec(), event.repeat(events)].concat();
        let mut id = 0_u128;
        let mut ids = || {
            id += 1;
            id.to_be_bytes()
        };
        let origin = Arc::new(Origin::default());
        let append = Append::of_request(&message, &origin, rules, &mut steps, &mut ids);
        (append.unwrap(), steps.left)
    }

    #[test]
    fn all_events_of_an_append_have_one_budget() {
        let rules = harmless();
        let (append, left) = check(&rules, 3, Steps::whole());
        assert_eq!((append.events(), append.refused().len()), (3, 0));
        let taken = APPEND_STEPS_MAX - left;
        let (append, left) = check(&rules, 3, Steps::of(taken));
        assert_eq!((append.refused().len(), left), (0, 0));
        // The last step is one of the mapping on the last event.
        let (append, _) = check(&rules, 3, Steps::of(taken - 1));
        let error = append.refused()[0].error.clone();
        assert_eq!(error.reason, "MAPPING_FAILED");
        for fact in [("event_index", "2".to_owned()), ("limit", APPEND_STEPS_MAX.to_string())] {
            assert!(error.facts.contains(&fact), "{:?}", error.facts);
        }
        assert!(append.judged);
        let (append, _) = check(&rules, 3, Steps::of(1));
        let error = append.refused()[0].error.clone();
        assert_eq!(error.reason, "SCHEMA_VIOLATION");
        assert!(error.facts.contains(&("rule", "limit".to_owned())), "{:?}", error.facts);
    }

    #[test]
    fn what_takes_too_long_at_once_is_not_judged() {
        let rules = harmless();
        let at_once = |left| Steps { left, ..Steps::at_once() };
        let (_, left) = check(&rules, 3, Steps::whole());
        let taken = APPEND_STEPS_MAX - left;
        assert!(check(&rules, 3, at_once(taken)).0.judged);
        for left in [0, 1, taken - 1] {
            let (mut append, _) = check(&rules, 3, at_once(left));
            assert_eq!((append.judged, append.refused().len()), (false, 0));
            append.check_again(&rules).unwrap();
            assert_eq!((append.judged, append.refused().len()), (true, 0));
        }
    }

    #[test]
    fn no_event_is_mapped_after_one_that_cannot_be() {
        let rules = rules("event.none + 1");
        let taken = |events| {
            let (append, left) = check(&rules, events, Steps::whole());
            let error = append.refused()[0].error.clone();
            assert!(error.facts.contains(&("event_index", "0".to_owned())), "{:?}", error.facts);
            APPEND_STEPS_MAX - left
        };
        let of_schema = |events: u64| {
            let (_, left) = check(&harmless(), events as usize, Steps::whole());
            APPEND_STEPS_MAX - left
        };
        // What the mapping takes comes once, what schema and mapping take otherwise for each.
        let more = of_schema(1) * 8;
        assert_eq!(of_schema(9) - of_schema(1), more);
        assert!(taken(9) - taken(1) < more, "{} {}", taken(9), taken(1));
    }
}
