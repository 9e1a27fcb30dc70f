//! Macros: calls whose arguments are not evaluated first.

use std::sync::Arc;

use crate::value::TypeValue;

use super::super::ast::{Expr, Kind};
use super::super::error::{CelError, Parsed};
use super::super::node::{Bind, Loop, LoopKind, Node, Op};
use super::super::types::StaticType;
use super::{Compiler, Typed, known, node};

/// How the arguments of a macro are laid out: variables, then an optional filter, then a body.
pub(super) struct Shape {
    kind: LoopKind,
    variables: usize,
    filter: bool,
}

fn shape(function: &str, args: usize) -> Option<Shape> {
    let (kind, variables, filter) = match (function, args) {
        ("all", 2) => (LoopKind::All, 1, false),
        ("all", 3) => (LoopKind::All, 2, false),
        ("exists", 2) => (LoopKind::Exists, 1, false),
        ("exists", 3) => (LoopKind::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (LoopKind::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (LoopKind::ExistsOne, 2, false),
        ("map", 2) => (LoopKind::Map, 1, false),
        ("map", 3) => (LoopKind::Map, 1, true),
        ("filter", 2) => (LoopKind::Filter, 1, false),
        ("transformList", 3) => (LoopKind::Map, 2, false),
        ("transformList", 4) => (LoopKind::Map, 2, true),
        ("transformMap", 3) => (LoopKind::TransformMap, 2, false),
        ("transformMap", 4) => (LoopKind::TransformMap, 2, true),
        ("transformMapEntry", 3) => (LoopKind::TransformMapEntry, 2, false),
        ("transformMapEntry", 4) => (LoopKind::TransformMapEntry, 2, true),
        _ => return None,
    };
    Some(Shape { kind, variables, filter })
}

/// Which macro a call is.
pub(super) enum Macro {
    Has,
    Bind,
    OptionalMap { flat: bool },
    SortBy,
    Loop(Shape),
}

impl Compiler<'_> {
    /// The macro that a call is, if it is one.
    pub(super) fn macro_of(
        &self,
        target: Option<&Expr>,
        function: &str,
        args: usize,
    ) -> Option<Macro> {
        let Some(target) = target else {
            return (function == "has" && args == 1).then_some(Macro::Has);
        };
        match (function, args) {
            ("bind", 3) if self.namespace(target) == Some("cel") => Some(Macro::Bind),
            ("optMap", 2) => Some(Macro::OptionalMap { flat: false }),
            ("optFlatMap", 2) => Some(Macro::OptionalMap { flat: true }),
            ("sortBy", 2) => Some(Macro::SortBy),
            _ => shape(function, args).map(Macro::Loop),
        }
    }

    /// `cel.bind(name, value, body)`.
    pub(super) fn expand_bind(&mut self, expr: &Expr, args: &[Expr]) -> Parsed<Typed> {
        let [name, value, body] = args else {
            return Err(CelError::within(expr.span, "`cel.bind` takes a name and two values"));
        };
        let (bind, _, kind) = self.bind(name, value, body, StaticType::clone)?;
        Ok((node(expr, Op::Bind(bind)), kind))
    }

    /// `value.optMap(name, body)`, `value.optFlatMap(name, body)`, `value.sortBy(name, body)`.
    pub(super) fn expand_on(
        &mut self,
        expr: &Expr,
        value: &Expr,
        args: &[Expr],
        kind: &Macro,
    ) -> Parsed<Typed> {
        let [name, body] = args else {
            return Err(CelError::within(expr.span, "the macro takes a name and a value"));
        };
        match kind {
            Macro::OptionalMap { flat } => {
                let flat = *flat;
                let (bind, _, kind) = self.bind(name, value, body, StaticType::inner)?;
                let kind = if flat { kind } else { StaticType::optional(kind) };
                Ok((node(expr, Op::OptionalMap { flat, bind }), kind))
            }
            _ => {
                let (bind, kind, _) = self.bind(name, value, body, StaticType::item)?;
                Ok((node(expr, Op::SortBy(bind)), kind))
            }
        }
    }

    /// `body` with `value` under a name; gives the types of both. `inside` makes the type of
    /// the variable from that of the value.
    fn bind(
        &mut self,
        name: &Expr,
        value: &Expr,
        body: &Expr,
        inside: fn(&StaticType) -> StaticType,
    ) -> Parsed<(Box<Bind>, StaticType, StaticType)> {
        let name = variable_name(name)?;
        let (value, value_type) = self.expr(value)?;
        let local = self.push(name, inside(&value_type));
        let (body, body_type) = self.expr(body)?;
        self.locals.truncate(local);
        Ok((Box::new(Bind { local, value, body }), value_type, body_type))
    }

    fn push(&mut self, name: Arc<str>, kind: StaticType) -> usize {
        self.locals.push((name, kind));
        self.locals_max = self.locals_max.max(self.locals.len());
        self.locals.len() - 1
    }

    pub(super) fn expand_loop(
        &mut self,
        expr: &Expr,
        range: &Expr,
        args: &[Expr],
        shape: &Shape,
    ) -> Parsed<Typed> {
        let (names, parts) = args.split_at(shape.variables);
        let names = names.iter().map(variable_name).collect::<Result<Vec<_>, _>>()?;
        if let [first, second] = &names[..]
            && first == second
        {
            return Err(CelError::within(args[1].span, "the two variables have one name"));
        }
        let (range, range_type) = self.expr(range)?;
        let base = self.locals.len();
        for (index, name) in names.iter().enumerate() {
            let kind = variable_type(&range_type, names.len() == 2, index);
            self.push(Arc::clone(name), kind);
        }
        let filter: Option<Node> = match parts {
            [filter, _] if shape.filter => Some(self.expr(filter)?.0),
            _ => None,
        };
        let Some(body) = parts.last() else {
            return Err(CelError::within(expr.span, "the macro has no body"));
        };
        let (body, body_type) = self.expr(body)?;
        self.locals.truncate(base);
        let kind = result_type(shape.kind, &range_type, body_type);
        let second = (names.len() == 2).then_some(base + 1);
        let each = Loop { kind: shape.kind, range, first: base, second, filter, body };
        Ok((node(expr, Op::Loop(Box::new(each))), kind))
    }
}

fn variable_name(expr: &Expr) -> Parsed<Arc<str>> {
    match &expr.kind {
        Kind::Ident { name, absolute: false } => Ok(Arc::clone(name)),
        _ => Err(CelError::within(expr.span, "the variable of a macro is a plain name")),
    }
}

/// The type of a macro's variable: items of lists, keys of maps; with two variables index and
/// item, or key and value.
fn variable_type(range: &StaticType, two: bool, index: usize) -> StaticType {
    match (two, index) {
        (false, _) => range.item(),
        (true, 0) if range.known() == Some(TypeValue::List) => known(TypeValue::Int),
        (true, 0) if range.known() == Some(TypeValue::Map) => range.item(),
        (true, 0) => StaticType::Dyn,
        (true, _) => range.element(),
    }
}

fn result_type(kind: LoopKind, range: &StaticType, body: StaticType) -> StaticType {
    match kind {
        LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => known(TypeValue::Bool),
        LoopKind::Map => StaticType::list(body),
        LoopKind::Filter => StaticType::list(range.item()),
        LoopKind::TransformMap => {
            let key = match range.known() {
                Some(TypeValue::List) => known(TypeValue::Int),
                Some(TypeValue::Map) => range.item(),
                _ => StaticType::Dyn,
            };
            StaticType::map(key, body)
        }
        LoopKind::TransformMapEntry => body,
    }
}
