//! Calls of functions.

use std::sync::Arc;

use crate::value::Value;

use super::super::ast::{Expr, Kind};
use super::super::error::{CelError, Parsed};
use super::super::functions::{Found, Function, compile_pattern, find, is_namespace, result_type};
use super::super::node::{Matches, Node, Op};
use super::super::types::StaticType;
use super::macros::Macro;
use super::{Compiler, Typed, constant, node};

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        expr: &Expr,
        target: Option<&Expr>,
        function: &Arc<str>,
        args: &[Expr],
    ) -> Parsed<Typed> {
        match (self.macro_of(target, function, args.len()), target) {
            (Some(Macro::Has), _) => return self.has(expr, &args[0]),
            (Some(Macro::Bind), _) => return self.expand_bind(expr, args),
            (Some(Macro::Loop(shape)), Some(range)) => {
                return self.expand_loop(expr, range, args, &shape);
            }
            (Some(other), Some(value)) => return self.expand_on(expr, value, args, &other),
            _ => {}
        }
        let Some(target) = target else {
            return self.function(expr, function, None, args);
        };
        if let Some(space) = self.namespace(target) {
            let name = format!("{space}.{function}");
            return self.function(expr, &name, None, args);
        }
        if matches!(&**function, "or" | "orValue") && args.len() == 1 {
            return self.optional_or(expr, target, &args[0], &**function == "orValue");
        }
        self.function(expr, function, Some(target), args)
    }

    /// The word before the dot of `math.abs`, unless a variable has that name.
    pub(super) fn namespace<'e>(&self, target: &'e Expr) -> Option<&'e str> {
        match &target.kind {
            Kind::Ident { name, absolute: false }
                if is_namespace(name)
                    && self.local(name).is_none()
                    && self.env.variable(name).is_none() =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    fn function(
        &mut self,
        expr: &Expr,
        name: &str,
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Parsed<Typed> {
        let count = args.len() + usize::from(target.is_some());
        let function = match find(name, target.is_some(), count) {
            Found::Function(function) if function.anonymises() && !self.env.anonymising => {
                return self.unknown(expr, format!("only transforms have the function `{name}`"));
            }
            Found::Function(function) => function,
            Found::Misused(name) => {
                let message = format!("`{name}` is not called with these arguments");
                return self.unknown(expr, message);
            }
            Found::Unknown => return self.unknown(expr, format!("there is no function `{name}`")),
        };
        let mut nodes = Vec::with_capacity(count);
        let mut types = Vec::with_capacity(count);
        for arg in target.into_iter().chain(args) {
            let (node, kind) = self.expr(arg)?;
            nodes.push(node);
            types.push(kind);
        }
        called(expr, function, nodes, &types)
    }

    fn optional_or(
        &mut self,
        expr: &Expr,
        target: &Expr,
        other: &Expr,
        value: bool,
    ) -> Parsed<Typed> {
        let (target, target_type) = self.expr(target)?;
        let (other, other_type) = self.expr(other)?;
        let kind = match (value, &target_type) {
            (true, StaticType::Optional(inner)) => (**inner).clone().join(other_type),
            (true, _) => StaticType::Dyn,
            (false, _) => target_type.join(other_type),
        };
        let operands = Box::new([target, other]);
        Ok((node(expr, Op::OptionalOr { value, operands }), kind))
    }
}

/// The node of a call; `matches` with a constant pattern compiles the pattern.
#[inline(never)]
fn called(
    expr: &Expr,
    function: Function,
    mut nodes: Vec<Node>,
    types: &[StaticType],
) -> Parsed<Typed> {
    let kind = result_type(function, types);
    if function == Function::Matches
        && let Some(Value::String(pattern)) = nodes.get(1).and_then(constant)
    {
        let pattern =
            compile_pattern(pattern).map_err(|message| CelError::within(expr.span, message))?;
        nodes.truncate(1);
        if let Some(text) = nodes.pop() {
            let matches = Op::Matches(Box::new(Matches { text, pattern }));
            return Ok((node(expr, matches), kind));
        }
    }
    Ok((node(expr, Op::Call(function, nodes.into())), kind))
}
