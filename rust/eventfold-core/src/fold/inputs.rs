//! What the expressions of one event type read, so that nothing else is decoded.

use crate::cel::Program;
use crate::envelope::FLAG_MAPPED;

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

    /// Whether an expression can read the value that stood at a pointer of the data as they were
    /// stored, of an event with these flags.
    pub(crate) fn reads_value(&self, pointer: &str, flags: i32) -> bool {
        let name = pointer.split('/').nth(1).unwrap_or_default();
        // A mapping may have moved it, and a name with escapes is not worth a closer look.
        self.needs_event
            || flags & FLAG_MAPPED != 0
            || name.contains('~')
            || self.wanted.iter().any(|wanted| wanted == name)
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

#[cfg(test)]
mod tests {
    use super::{FLAG_MAPPED, Inputs};

    #[test]
    fn what_can_be_read_is_told_by_its_field() {
        let inputs = Inputs { wanted: vec!["name".to_owned()], ..Inputs::default() };
        assert!(inputs.reads_value("/name", 0) && inputs.reads_value("/name/first", 0));
        assert!(!inputs.reads_value("/friend/name", 0));
        // Where it stands as it is read, nobody knows.
        assert!(inputs.reads_value("/friend", FLAG_MAPPED) && inputs.reads_value("/a~1b", 0));
        assert!(Inputs { needs_event: true, ..Inputs::default() }.reads_value("/friend", 0));
    }
}
