//! Expressions: the Common Expression Language with exact numbers.
//!
//! A source text is parsed (`parse`), compiled for an environment (`compile`), and evaluated
//! on a scope under a budget (`Program::eval`). Every recursion is bounded by
//! `EXPRESSION_DEPTH_MAX` or by the depth of values.

mod budget;
mod env;
mod error;
mod scope;
mod types;

pub use budget::Budget;
pub use env::Env;
pub use error::{
    CelError, EVALUATION_FAILED, EVALUATION_LIMIT, EXPRESSION_INVALID, EXPRESSION_TOO_DEEP,
    EXPRESSION_TOO_LONG, EvalError, NUMBER_RANGE, STATE_NOT_JSON,
};
pub use scope::{MapScope, Scope};
pub use types::StaticType;

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Ast;
/// A compiled expression.
#[derive(Debug)]
pub struct Program;
/// Parses.
pub fn parse(_source: &str) -> Result<Ast, CelError> {
    unimplemented!()
}
/// Compiles.
pub fn compile(_ast: &Ast, _env: &mut Env) -> Result<Program, CelError> {
    unimplemented!()
}
impl Ast {
    /// Normal form.
    pub fn print(&self) -> String {
        unimplemented!()
    }
}
impl Program {
    /// Evaluates.
    pub fn eval(
        &self,
        _scope: &dyn Scope,
        _budget: &mut Budget<'_>,
    ) -> Result<crate::value::Value, EvalError> {
        unimplemented!()
    }
    /// The type.
    pub fn static_type(&self) -> &StaticType {
        unimplemented!()
    }
    /// Whether the whole variable is needed.
    pub fn uses_variable(&self, _index: usize) -> bool {
        unimplemented!()
    }
    /// The slots that this expression reads.
    pub fn slots(&self) -> &[usize] {
        unimplemented!()
    }
}
