//! Calls of functions.

use std::sync::Arc;

use crate::value::{TypeValue, Value};

use super::super::ast::{Expr, Kind};
use super::super::error::CelError;
use super::super::functions::{Found, Function, compile_pattern, find, is_namespace, result_type};
use super::super::node::{Matches, Op};
use super::super::types::StaticType;
use super::{Compiler, Typed, constant, known, node};

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        expr: &Expr,
        target: Option<&Expr>,
        function: &Arc<str>,
        args: &[Expr],
    ) -> Result<Typed, CelError> {
        if let Some(typed) = self.expand(expr, target, function, args)? {
            return Ok(typed);
        }
        let Some(target) = target else {
            return self.function(expr, function, false, args.iter().collect());
        };
        if let Some(space) = self.namespace(target) {
            let name = format!("{space}.{function}");
            return self.function(expr, &name, false, args.iter().collect());
        }
        if matches!(&**function, "or" | "orValue") && args.len() == 1 {
            return self.optional_or(expr, target, &args[0], &**function == "orValue");
        }
        self.function(expr, function, true, std::iter::once(target).chain(args).collect())
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
        member: bool,
        args: Vec<&Expr>,
    ) -> Result<Typed, CelError> {
        let function = match find(name, member, args.len()) {
            Found::Function(function) => function,
            Found::Misused(name) => {
                let message = format!("`{name}` is not called with these arguments");
                return self.unknown(expr, message);
            }
            Found::Unknown => return self.unknown(expr, format!("there is no function `{name}`")),
        };
        let mut nodes = Vec::with_capacity(args.len());
        let mut types = Vec::with_capacity(args.len());
        for arg in args {
            let (node, kind) = self.expr(arg)?;
            nodes.push(node);
            types.push(kind);
        }
        let kind = result_type(function, &types);
        if function == Function::Matches
            && let Some(Value::String(pattern)) = nodes.get(1).and_then(constant)
        {
            let pattern = compile_pattern(pattern)
                .map_err(|message| CelError::invalid(expr.offset(), message))?;
            nodes.truncate(1);
            if let Some(text) = nodes.pop() {
                let matches = Op::Matches(Box::new(Matches { text, pattern }));
                return Ok((node(expr, matches), known(TypeValue::Bool)));
            }
        }
        Ok((node(expr, Op::Call(function, nodes.into())), kind))
    }

    fn optional_or(
        &mut self,
        expr: &Expr,
        target: &Expr,
        other: &Expr,
        value: bool,
    ) -> Result<Typed, CelError> {
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
