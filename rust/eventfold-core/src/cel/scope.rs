//! Where the values of variables come from.

use std::collections::BTreeMap;

use crate::value::Value;

use super::access::field_of;
use super::env::Env;
use super::error::EvalError;

/// The values of the variables of an environment, for one evaluation.
pub trait Scope {
    /// The whole value of a variable, by its index in the environment.
    fn variable(&self, index: usize) -> Result<Value, EvalError>;

    /// The value of a field of a variable, by its slot (`Env::slots`); `None` if the variable
    /// has no such field; an error if it is not a map.
    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError>;
}

/// A scope over a plain map of names to values.
#[derive(Debug)]
pub struct MapScope<'a> {
    values: Vec<Option<&'a Value>>,
    slots: &'a [(usize, String)],
}

impl<'a> MapScope<'a> {
    /// The scope that gives the variables of `env` the values of these names. A variable
    /// without a value is an error when it is used.
    pub fn new(env: &'a Env, values: &'a BTreeMap<String, Value>) -> Self {
        let values = env.variables().map(|name| values.get(name)).collect();
        Self { values, slots: env.slots() }
    }

    fn value(&self, index: usize) -> Result<&'a Value, EvalError> {
        match self.values.get(index) {
            Some(Some(value)) => Ok(value),
            _ => Err(EvalError::failed("the variable has no value")),
        }
    }
}

impl Scope for MapScope<'_> {
    fn variable(&self, index: usize) -> Result<Value, EvalError> {
        self.value(index).cloned()
    }

    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError> {
        let Some((variable, name)) = self.slots.get(slot) else {
            return Err(EvalError::failed("the scope does not know this field"));
        };
        field_of(self.value(*variable)?, name)
    }
}
