//! What the expressions of one event type read, so that nothing else is decoded.

use crate::cel::Program;

use super::scope::{self, EVENT, META, MetaField, STATE, Source};

/// What the programs of one event type read.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// Names of the fields that are scanned from the data.
    pub(crate) wanted: Vec<String>,
    pub(crate) needs_event: bool,
    /// Whether an expression reads anything of `meta`.
    pub(crate) needs_meta: bool,
    pub(crate) needs_metadata: bool,
}

impl Inputs {
    /// Those of some fields at the top of the data that are read; `*` stands for any of them.
    pub(crate) fn reads<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        let is_read = |name: &&&str| {
            let is_wanted = |wanted: &String| **name == "*" || wanted.as_str() == **name;
            self.needs_event || self.wanted.iter().any(is_wanted)
        };
        names.iter().filter(is_read).copied().collect()
    }

    /// The sources of the slots of an environment, as far as programs read them.
    pub(crate) fn sources(
        &mut self,
        programs: &[&Program],
        slots: &[(usize, String)],
    ) -> Vec<Source> {
        let mut sources = vec![Source::Unused; slots.len()];
        for program in programs {
            self.needs_event |= program.uses_variable(EVENT);
            self.needs_meta |= program.uses_variable(META);
            self.needs_metadata |= program.uses_variable(META);
            for &slot in program.slots() {
                if let (Some((variable, name)), Some(source)) =
                    (slots.get(slot), sources.get_mut(slot))
                {
                    *source = self.source(*variable, name);
                }
            }
        }
        sources
    }

    fn source(&mut self, variable: usize, name: &str) -> Source {
        match variable {
            STATE => Source::State(name.into()),
            EVENT => {
                let known = self.wanted.iter().position(|wanted| wanted == name);
                Source::Event(known.unwrap_or_else(|| {
                    self.wanted.push(name.to_owned());
                    self.wanted.len() - 1
                }))
            }
            META => match scope::meta_field(name) {
                Some(field) => {
                    self.needs_meta = true;
                    self.needs_metadata |= field == MetaField::Metadata;
                    Source::Meta(field)
                }
                None => Source::Absent,
            },
            _ => Source::Unused,
        }
    }
}
