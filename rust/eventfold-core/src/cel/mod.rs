//! Expressions: the Common Expression Language with exact numbers.
//!
//! A source text is parsed (`parse`), compiled for an environment (`compile`), and evaluated
//! on a scope under a budget (`Program::eval`). Every recursion is bounded by
//! `EXPRESSION_DEPTH_MAX` or by the depth of values.

mod absent;
mod access;
pub(crate) mod ast;
mod budget;
mod compile;
mod containers;
mod env;
mod error;
mod eval;
mod functions;
mod idents;
mod lexer;
mod literal;
mod loops;
pub(crate) mod marks;
mod node;
mod operators;
mod optionals;
mod parser;
mod print;
mod program;
mod scope;
mod types;

pub use access::field_of;
pub use ast::Ast;
pub use budget::Budget;
pub use compile::compile;
pub use env::Env;
pub use error::{
    CelError, EVALUATION_FAILED, EVALUATION_LIMIT, EXPRESSION_INVALID, EXPRESSION_TOO_DEEP,
    EXPRESSION_TOO_LONG, EvalError, NUMBER_RANGE, STATE_NOT_JSON,
};
pub use parser::parse;
pub use program::Program;
pub use scope::{MapScope, Scope};
pub use types::StaticType;
