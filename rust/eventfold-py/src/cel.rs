//! Expressions on values of Python.

use eventfold_core::cel::{self, Budget, CelError, Env, EvalError, Scope};
use eventfold_core::error::CoreError;
use eventfold_core::value::Value;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyDict;

use super::convert::{from_python, to_python};
use super::errors;

/// A compiled expression with its variables.
#[pyclass(frozen, module = "eventfold._core")]
pub struct CelProgram {
    env: Env,
    program: cel::Program,
    /// Variables that are read whole, and slots of fields: `Env` has more.
    whole: Vec<usize>,
    slots: Vec<usize>,
    names: Vec<String>,
}

#[pymethods]
impl CelProgram {
    #[new]
    #[pyo3(signature = (expression, variables = None))]
    fn new(
        py: Python<'_>,
        expression: PyBackedStr,
        variables: Option<Vec<PyBackedStr>>,
    ) -> PyResult<Self> {
        let variables: Option<Vec<&str>> =
            variables.as_ref().map(|names| names.iter().map(|name| &**name).collect());
        errors::run(py, expression.len(), || {
            Self::compile(&expression, variables.as_deref())
                .map_err(|error| refusal(&expression, &error))
        })
    }

    /// The variables that the expression uses.
    #[getter]
    fn variables(&self) -> Vec<&str> {
        let mut used: Vec<usize> = self.whole.clone();
        used.extend(self.slots.iter().map(|slot| self.env.slots()[*slot].0));
        used.sort_unstable();
        used.dedup();
        used.into_iter().map(|index| &*self.names[index]).collect()
    }

    /// The value of the expression; only those variables are converted that it uses.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        variables: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let scope = self.scope(variables)?;
        // With the GIL: the budget ends it after some milliseconds, and most take a microsecond.
        let value = errors::run(py, 0, || {
            self.program.eval(&scope, &mut Budget::default()).map_err(failure)
        })?;
        to_python(py, &value)
    }
}

impl CelProgram {
    fn compile(source: &str, variables: Option<&[&str]>) -> Result<Self, CelError> {
        let ast = cel::parse(source)?;
        let names: Vec<String> = match variables {
            Some(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            None => ast.identifiers().into_iter().map(str::to_owned).collect(),
        };
        let mut env = Env::new();
        for name in &names {
            env.declare(name);
        }
        let program = cel::compile(&ast, &mut env)?;
        let whole = (0..names.len()).filter(|index| program.uses_variable(*index)).collect();
        let slots = program.slots().to_vec();
        Ok(Self { env, program, whole, slots, names })
    }

    fn scope(&self, variables: &Bound<'_, PyDict>) -> PyResult<Values<'_>> {
        let mut scope = Values {
            names: &self.names,
            slot_names: self.env.slots(),
            whole: vec![None; self.names.len()],
            fields: vec![Field::Missing; self.env.slots().len()],
        };
        for index in &self.whole {
            if let Some(value) = variables.get_item(&self.names[*index])? {
                scope.whole[*index] = Some(from_python(&value)?);
            }
        }
        for slot in &self.slots {
            let (variable, field) = &self.env.slots()[*slot];
            let Some(value) = variables.get_item(&self.names[*variable])? else { continue };
            scope.fields[*slot] = match value.cast_exact::<PyDict>() {
                // A large state is not converted for the sake of one field.
                Ok(map) => match map.get_item(field)? {
                    Some(value) => Field::Found(Some(from_python(&value)?)),
                    None => Field::Found(None),
                },
                Err(_) => Field::In(from_python(&value)?),
            };
        }
        Ok(scope)
    }
}

/// The values of the variables of one evaluation.
struct Values<'a> {
    names: &'a [String],
    slot_names: &'a [(usize, String)],
    whole: Vec<Option<Value>>,
    fields: Vec<Field>,
}

#[derive(Clone)]
enum Field {
    /// The variable has no value.
    Missing,
    /// The variable is a dict, with or without the field.
    Found(Option<Value>),
    /// The variable is something else.
    In(Value),
}

impl Values<'_> {
    fn missing<T>(&self, variable: usize) -> Result<T, EvalError> {
        let name = &self.names[variable];
        Err(EvalError::failed(format!("the variable `{name}` has no value")))
    }
}

impl Scope for Values<'_> {
    fn variable(&self, index: usize) -> Result<Value, EvalError> {
        self.whole[index].clone().map_or_else(|| self.missing(index), Ok)
    }

    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError> {
        let (variable, name) = &self.slot_names[slot];
        match &self.fields[slot] {
            Field::Missing => self.missing(*variable),
            Field::Found(value) => Ok(value.clone()),
            Field::In(value) => cel::field_of(value, name),
        }
    }
}

/// A refusal with line and column from 1, and the line with carets under the place.
fn refusal(source: &str, error: &CelError) -> CoreError {
    let before = source.get(..error.offset).unwrap_or(source);
    let line = before.rsplit('\n').next().unwrap_or_default();
    let shown = error.show(source);
    let excerpt = shown.split_once('\n').map_or("", |(_, excerpt)| excerpt);
    let refusal = CoreError::new(error.reason, error.message.clone())
        .fact("line", before.matches('\n').count() + 1)
        .fact("column", line.chars().count() + 1)
        .fact("offset", error.offset)
        .fact("excerpt", excerpt);
    match error.hint {
        Some(hint) => refusal.fact("hint", hint),
        None => refusal,
    }
}

fn failure(error: EvalError) -> CoreError {
    let refusal = CoreError::new(error.reason, error.message);
    match error.offset {
        Some(offset) => refusal.fact("offset", offset),
        None => refusal,
    }
}
