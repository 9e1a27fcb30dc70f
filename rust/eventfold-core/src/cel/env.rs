//! What an expression may name: variables and their fields.

use std::collections::HashMap;

use crate::value::TypeValue;

use super::types::StaticType;

/// Variables by name and index, the fields of them that expressions use, and the rules that
/// expressions are compiled under. One environment serves all expressions that are evaluated
/// on the same scope, so that they share their field slots.
#[derive(Debug, Clone, Default)]
pub struct Env {
    variables: Vec<Variable>,
    slots: Vec<(usize, String)>,
    slot_index: HashMap<(usize, String), usize>,
    pub(crate) strict_numbers: bool,
    pub(crate) lenient_names: bool,
    pub(crate) anonymising: bool,
}

#[derive(Debug, Clone)]
struct Variable {
    name: String,
    kind: StaticType,
    fields: HashMap<String, StaticType>,
    /// The variable is always read whole.
    whole: bool,
}

impl Env {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable of unknown type; returns its index, from 0 in order of declaration.
    pub fn declare(&mut self, name: &str) -> usize {
        self.declare_typed(name, StaticType::Dyn)
    }

    /// Declares a variable whose type is known, such as a `let` (`Program::static_type`).
    pub fn declare_typed(&mut self, name: &str, kind: StaticType) -> usize {
        self.add(name, kind, false)
    }

    /// Declares a variable that is always read whole (`Scope::variable`), never by field: right
    /// for values that exist already, such as a `let`.
    pub fn declare_whole(&mut self, name: &str, kind: StaticType) -> usize {
        self.add(name, kind, true)
    }

    fn add(&mut self, name: &str, kind: StaticType, whole: bool) -> usize {
        let fields = HashMap::new();
        self.variables.push(Variable { name: name.to_owned(), kind, fields, whole });
        self.variables.len() - 1
    }

    /// Declares the type of a field of a variable, such as `meta.version`.
    pub fn declare_field(&mut self, variable: usize, name: &str, kind: TypeValue) {
        self.declare_field_typed(variable, name, StaticType::Known(kind));
    }

    /// Declares the type of a field of a variable with its parameters.
    pub fn declare_field_typed(&mut self, variable: usize, name: &str, kind: StaticType) {
        if let Some(variable) = self.variables.get_mut(variable) {
            variable.fields.insert(name.to_owned(), kind);
        }
    }

    /// Turns on the rules of folds, mappings and projections: no double literal of more than
    /// 15 significant digits, and no `/` or `%` whose operands have no known type.
    #[must_use]
    pub fn strict_numbers(mut self, strict: bool) -> Self {
        self.strict_numbers = strict;
        self
    }

    /// Lets unknown variables and functions pass the compiler; they fail when evaluated.
    #[must_use]
    pub fn lenient_names(mut self, lenient: bool) -> Self {
        self.lenient_names = lenient;
        self
    }

    /// Lets expressions call what makes personal values less so.
    #[must_use]
    pub fn anonymising(mut self, anonymising: bool) -> Self {
        self.anonymising = anonymising;
        self
    }

    /// The fields that the expressions compiled so far name, as (variable index, field name);
    /// `Scope::field` gets the index into this list.
    pub fn slots(&self) -> &[(usize, String)] {
        &self.slots
    }

    /// The index of a variable; the last declaration of a name wins.
    pub fn variable(&self, name: &str) -> Option<usize> {
        self.variables.iter().rposition(|variable| variable.name == name)
    }

    /// The names of the variables in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.as_str())
    }

    pub(crate) fn variable_type(&self, variable: usize) -> StaticType {
        self.variables.get(variable).map_or(StaticType::Dyn, |variable| variable.kind.clone())
    }

    pub(crate) fn has_slots(&self, variable: usize) -> bool {
        self.variables.get(variable).is_some_and(|variable| !variable.whole)
    }

    pub(crate) fn field_type(&self, variable: usize, name: &str) -> StaticType {
        self.variables.get(variable).map_or(StaticType::Dyn, |variable| {
            variable.fields.get(name).cloned().unwrap_or_else(|| variable.kind.element())
        })
    }

    /// The slot of a field, made on first use.
    pub(crate) fn slot(&mut self, variable: usize, name: &str) -> usize {
        let key = (variable, name.to_owned());
        if let Some(slot) = self.slot_index.get(&key) {
            return *slot;
        }
        let slot = self.slots.len();
        self.slots.push(key.clone());
        self.slot_index.insert(key, slot);
        slot
    }
}
