//! The row of a state: whether `where` shows it, and its columns.

use crate::cel::{self, Budget, Env, EvalError, Program, Scope, StaticType, field_of};
use crate::fold::compile::never_bool;
use crate::fold::document::Expression;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::limits::{EVALUATION_STEPS_MAX, PROJECTION_INDEX_BYTES_MAX, PROJECTION_ROW_BYTES_MAX};
use crate::value::{TypeValue, Value};

use super::column::ColumnType;
use super::document::{ColumnPart, Document, column_path};
use super::failure::Failure;
use super::refuse;
use super::value::Size;

/// Indexes of the variables.
pub(super) const STATE: usize = 0;
pub(super) const KEY: usize = 1;

/// What rows are made by.
#[derive(Debug)]
pub(super) struct RowPrograms {
    shown: Option<Program>,
    pub(super) columns: Vec<ColumnProgram>,
    /// The fields of the state that the programs read, by slot.
    pub(super) fields: Vec<String>,
    /// The columns of each index, by place.
    indexes: Vec<Vec<usize>>,
}

#[derive(Debug)]
pub(super) struct ColumnProgram {
    /// The path in errors.
    path: String,
    kind: ColumnType,
    pub(super) program: Program,
}

/// The row that a state makes; memory is used again.
#[derive(Debug, Default)]
pub(super) struct RowMemory {
    /// Evaluation steps of all rows so far.
    pub(super) steps: u64,
    sizes: Vec<Size>,
}

impl RowPrograms {
    pub(super) fn compile(document: &Document, text: &Text<'_>) -> Parsed<Self> {
        let mut env = Env::new().strict_numbers(true);
        env.declare("state");
        env.declare_whole("key", StaticType::Known(TypeValue::String));
        let shown = match &document.shown {
            None => None,
            Some(expression) => Some(
                condition(expression, &mut env, text).map_err(|refusal| refusal.path("where"))?,
            ),
        };
        let mut columns = Vec::with_capacity(document.columns.len());
        for column in &document.columns {
            let path = column_path(&column.name);
            let compiled = compile_column(column, &mut env, text);
            let program = compiled.map_err(|refusal| refusal.path(&path))?;
            columns.push(ColumnProgram { path, kind: column.kind, program });
        }
        let fields = env.slots().iter().map(|(_, name)| name.clone()).collect();
        let place = |name: &String| document.columns.iter().position(|known| known.name == *name);
        let places = |index: &Vec<String>| index.iter().filter_map(place).collect();
        Ok(Self { shown, columns, fields, indexes: document.indexes.iter().map(places).collect() })
    }

    /// Makes the row of a state: whether it is shown, and the texts of its columns, all NULL if
    /// it is hidden. `columns` keeps its memory.
    pub(super) fn make(
        &self,
        state: &Value,
        key: &str,
        columns: &mut Vec<Option<String>>,
        memory: &mut RowMemory,
    ) -> Result<bool, Box<Failure>> {
        let mut budget = Budget::new(EVALUATION_STEPS_MAX);
        let scope = RowScope { state, key, fields: &self.fields };
        let made = self.evaluate(&scope, columns, &mut memory.sizes, &mut budget);
        memory.steps += EVALUATION_STEPS_MAX - budget.steps_left();
        made
    }

    fn evaluate(
        &self,
        scope: &RowScope<'_>,
        texts: &mut Vec<Option<String>>,
        sizes: &mut Vec<Size>,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Box<Failure>> {
        texts.resize_with(self.columns.len(), || None);
        if !self.is_shown(scope, budget)? {
            texts.fill_with(|| None);
            return Ok(false);
        }
        sizes.clear();
        let mut row_bytes = 0;
        for (column, text) in self.columns.iter().zip(texts) {
            let failed = |failure: Box<Failure>| failure.path(&column.path);
            let value = column.program.eval(scope, budget);
            let value = value.map_err(|error| failed(Failure::of_evaluation(error)))?;
            let mut memory = text.take().unwrap_or_default();
            memory.clear();
            let written = column.kind.write(&value, &mut memory);
            let size = written.map_err(|problem| failed(Failure::new(problem)))?;
            *text = size.map(|_| memory);
            let size = size.unwrap_or(Size { json: 4, indexed: 0 });
            row_bytes += size.json;
            if row_bytes > PROJECTION_ROW_BYTES_MAX {
                let problem = format!("the row has more than {PROJECTION_ROW_BYTES_MAX} bytes");
                return Err(failed(Failure::new(problem).limit(PROJECTION_ROW_BYTES_MAX)));
            }
            sizes.push(size);
        }
        self.check_indexes(sizes)?;
        Ok(true)
    }

    fn is_shown(
        &self,
        scope: &RowScope<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Box<Failure>> {
        let Some(program) = &self.shown else { return Ok(true) };
        let failure = match program.eval(scope, budget) {
            Ok(Value::Bool(shown)) => return Ok(shown),
            Ok(Value::Absent(_)) => return Ok(false),
            Ok(other) => {
                Failure::new(format!("the condition is a {}, not a bool", other.type_name()))
            }
            Err(error) => Failure::of_evaluation(error),
        };
        Err(failure.path("where"))
    }

    /// Refuses values that are too long for an index; the last of its columns that adds to it is
    /// to blame.
    fn check_indexes(&self, sizes: &[Size]) -> Result<(), Box<Failure>> {
        for index in &self.indexes {
            let mut bytes = 0;
            for place in index {
                bytes += sizes.get(*place).map_or(0, |size| size.indexed);
                if bytes > PROJECTION_INDEX_BYTES_MAX {
                    let path = self.columns.get(*place).map_or("", |column| &column.path);
                    let problem = format!(
                        "the values of an index have more than {PROJECTION_INDEX_BYTES_MAX} bytes"
                    );
                    let failure = Failure::new(problem).limit(PROJECTION_INDEX_BYTES_MAX);
                    return Err(failure.path(path));
                }
            }
        }
        Ok(())
    }
}

fn condition(expression: &Expression, env: &mut Env, text: &Text<'_>) -> Parsed<Program> {
    let program =
        cel::compile(&expression.ast, env).map_err(|error| refuse(expression, text, error))?;
    if never_bool(&program) {
        return Err(Refusal::new(expression.at, "a condition must be true or false"));
    }
    Ok(program)
}

fn compile_column(column: &ColumnPart, env: &mut Env, text: &Text<'_>) -> Parsed<Program> {
    let expression = &column.value;
    let program =
        cel::compile(&expression.ast, env).map_err(|error| refuse(expression, text, error))?;
    let kind = program.static_type();
    let inner = kind.inner().known().or(kind.known());
    match inner.filter(|kind| !column.kind.may_hold(*kind)) {
        None => Ok(program),
        Some(other) => {
            let problem = format!("a {} does not fit the type {}", other.name(), column.kind);
            Err(Refusal::new(expression.at, problem))
        }
    }
}

/// What `where` and columns see.
struct RowScope<'a> {
    state: &'a Value,
    key: &'a str,
    fields: &'a [String],
}

impl Scope for RowScope<'_> {
    fn variable(&self, index: usize) -> Result<Value, EvalError> {
        Ok(if index == STATE { self.state.clone() } else { Value::from(self.key) })
    }

    fn field(&self, slot: usize) -> Result<Option<Value>, EvalError> {
        match self.fields.get(slot) {
            Some(name) => field_of(self.state, name),
            None => Err(EvalError::failed("the scope does not know this field")),
        }
    }
}
