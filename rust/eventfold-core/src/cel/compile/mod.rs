//! Syntax tree to compiled nodes: names are resolved, macros expanded, types inferred.

mod calls;
mod macros;
mod names;
mod numbers;

use std::sync::Arc;

use crate::value::{Key, List, Map, TypeValue, Value};

use super::ast::{Ast, Binary, Element, Expr, Kind, Literal, Span, Unary};
use super::containers::insert_new;
use super::env::Env;
use super::error::{CelError, Parsed};
use super::node::{Arithmetic, Comparison, Entry, Field, Item, Node, Op};
use super::operators;
use super::program::Program;
use super::types::StaticType;

/// A compiled node and what is known of its type.
type Typed = (Node, StaticType);

/// Compiles an expression for an environment, which learns the fields that it reads.
pub fn compile(ast: &Ast, env: &mut Env) -> Result<Program, CelError> {
    let mut compiler = Compiler {
        env,
        locals: Vec::new(),
        locals_max: 0,
        variables: Vec::new(),
        slots: Vec::new(),
    };
    let (node, kind) = compiler.expr(&ast.root).map_err(|error| *error)?;
    Ok(Program::new(node, kind, compiler.locals_max, compiler.variables, compiler.slots))
}

struct Compiler<'a> {
    env: &'a mut Env,
    /// The variables of the macros around the current node.
    locals: Vec<(Arc<str>, StaticType)>,
    locals_max: usize,
    /// The whole variables and the slots that the expression reads.
    variables: Vec<usize>,
    slots: Vec<usize>,
}

fn node(expr: &Expr, op: Op) -> Node {
    Node { op, offset: expr.span.start }
}

fn known(kind: TypeValue) -> StaticType {
    StaticType::Known(kind)
}

fn constant(node: &Node) -> Option<&Value> {
    match &node.op {
        Op::Const(value) => Some(value),
        _ => None,
    }
}

impl Compiler<'_> {
    fn expr(&mut self, expr: &Expr) -> Parsed<Typed> {
        match &expr.kind {
            Kind::Literal(literal) => self.literal(expr, literal),
            Kind::Ident { name, absolute } => self.ident(expr, name, *absolute),
            Kind::Select { operand, field, optional } => {
                self.select(expr, operand, field, *optional)
            }
            Kind::Index { operand, index, optional } => self.index(expr, operand, index, *optional),
            Kind::Call { target, function, args } => {
                self.call(expr, target.as_deref(), function, args)
            }
            Kind::List(items) => self.list(expr, items),
            Kind::Map(entries) => self.map(expr, entries),
            Kind::Unary(operator, operand) => self.unary(expr, *operator, operand),
            Kind::Binary(operator, left, right) => self.relation(expr, *operator, left, right),
            Kind::Arithmetic(first, rest) => self.arithmetic(expr, first, rest),
            Kind::And(operands) => self.chain(expr, operands, Op::And),
            Kind::Or(operands) => self.chain(expr, operands, Op::Or),
            Kind::Conditional(parts) => self.conditional(expr, parts),
        }
    }

    fn chain(
        &mut self,
        expr: &Expr,
        operands: &[Expr],
        op: fn(Box<[Node]>) -> Op,
    ) -> Parsed<Typed> {
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in operands {
            nodes.push(self.expr(operand)?.0);
        }
        Ok(truth(expr, op(nodes.into())))
    }

    fn conditional(&mut self, expr: &Expr, parts: &[Box<Expr>; 3]) -> Parsed<Typed> {
        let (condition, _) = self.expr(&parts[0])?;
        let (yes, yes_type) = self.expr(&parts[1])?;
        let (no, no_type) = self.expr(&parts[2])?;
        let op = Op::Conditional(Box::new([condition, yes, no]));
        Ok((node(expr, op), yes_type.join(no_type)))
    }

    fn literal(&self, expr: &Expr, literal: &Literal) -> Parsed<Typed> {
        let value = match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(text) => numbers::int(text, expr.span)?,
            Literal::Uint(text) => numbers::uint(text, expr.span)?,
            Literal::Double(text) => numbers::double(text, self.env.strict_numbers, expr.span)?,
            Literal::String(text) => Value::String(Arc::clone(text)),
            Literal::Bytes(bytes) => Value::Bytes(Arc::clone(bytes)),
        };
        let kind = known(value.type_value());
        Ok((node(expr, Op::Const(value)), kind))
    }

    fn index(
        &mut self,
        expr: &Expr,
        operand: &Expr,
        index: &Expr,
        optional: bool,
    ) -> Parsed<Typed> {
        if let Kind::Literal(Literal::String(name)) = &index.kind
            && let Some(typed) = self.slot(expr, operand, name, optional)
        {
            return Ok(typed);
        }
        let (container, container_type) = self.expr(operand)?;
        let (index, _) = self.expr(index)?;
        let mut kind = container_type.element();
        let parts = Box::new([container, index]);
        if !optional {
            return Ok((node(expr, Op::Index(parts)), kind));
        }
        if !matches!(container_type, StaticType::Optional(_)) {
            kind = StaticType::optional(kind);
        }
        Ok((node(expr, Op::OptionalIndex(parts)), kind))
    }

    fn field(operand: Node, name: &Arc<str>) -> Box<Field> {
        let key = Key::String(Arc::clone(name));
        Box::new(Field { operand, name: Arc::clone(name), key })
    }

    fn list(&mut self, expr: &Expr, items: &[Element]) -> Parsed<Typed> {
        let mut nodes = Vec::with_capacity(items.len());
        let mut kind: Option<StaticType> = None;
        for item in items {
            let (node, item_type) = self.expr(&item.expr)?;
            let item_type = if item.optional { item_type.inner() } else { item_type };
            kind = Some(match kind {
                Some(kind) => kind.join(item_type),
                None => item_type,
            });
            nodes.push(Item { optional: item.optional, node });
        }
        let kind = kind.map_or(known(TypeValue::List), StaticType::list);
        let values: Option<Vec<Value>> = nodes
            .iter()
            .map(|item| constant(&item.node).filter(|_| !item.optional).cloned())
            .collect();
        let op = match values {
            Some(values) => Op::Const(Value::List(List::from(values))),
            None => Op::List(nodes.into()),
        };
        Ok((node(expr, op), kind))
    }

    fn map(&mut self, expr: &Expr, entries: &[(Element, Expr)]) -> Parsed<Typed> {
        let mut nodes = Vec::with_capacity(entries.len());
        let mut kind: Option<(StaticType, StaticType)> = None;
        for (key, value) in entries {
            let (key_node, key_type) = self.expr(&key.expr)?;
            let (value_node, value_type) = self.expr(value)?;
            let value_type = if key.optional { value_type.inner() } else { value_type };
            kind = Some(match kind {
                Some((keys, values)) => (keys.join(key_type), values.join(value_type)),
                None => (key_type, value_type),
            });
            nodes.push(Entry { optional: key.optional, key: key_node, value: value_node });
        }
        let kind = kind.map_or(known(TypeValue::Map), |(key, value)| StaticType::map(key, value));
        let op = match constant_map(&nodes) {
            Some(map) => Op::Const(Value::map(map)),
            None => Op::Map(nodes.into()),
        };
        Ok((node(expr, op), kind))
    }

    fn unary(&mut self, expr: &Expr, operator: Unary, operand: &Expr) -> Parsed<Typed> {
        let (operand, kind) = self.expr(operand)?;
        if operator == Unary::Not {
            return Ok((node(expr, Op::Not(Box::new(operand))), known(TypeValue::Bool)));
        }
        let folded = constant(&operand).and_then(|value| operators::negate(value).ok());
        let op = match folded {
            Some(value) => Op::Const(value),
            None => Op::Negate(Box::new(operand)),
        };
        Ok((node(expr, op), kind))
    }

    fn relation(
        &mut self,
        expr: &Expr,
        operator: Binary,
        left: &Expr,
        right: &Expr,
    ) -> Parsed<Typed> {
        let parts = Box::new([self.expr(left)?.0, self.expr(right)?.0]);
        Ok(truth(
            expr,
            match operator {
                Binary::Less => Op::Compare(Comparison::Less, parts),
                Binary::LessEqual => Op::Compare(Comparison::LessEqual, parts),
                Binary::Greater => Op::Compare(Comparison::Greater, parts),
                Binary::GreaterEqual => Op::Compare(Comparison::GreaterEqual, parts),
                Binary::NotEqual => Op::Equal(false, parts),
                Binary::In => Op::In(parts),
                _ => Op::Equal(true, parts),
            },
        ))
    }

    fn arithmetic(&mut self, expr: &Expr, first: &Expr, rest: &[(Binary, Expr)]) -> Parsed<Typed> {
        let (first_node, mut kind) = self.expr(first)?;
        // The part of the source that is computed so far.
        let mut span = first.span;
        let mut nodes = Vec::with_capacity(rest.len());
        for (operator, operand) in rest {
            let (node, operand_kind) = self.expr(operand)?;
            let operator = match operator {
                Binary::Subtract => Arithmetic::Subtract,
                Binary::Multiply => Arithmetic::Multiply,
                Binary::Divide => Arithmetic::Divide,
                Binary::Remainder => Arithmetic::Remainder,
                _ => Arithmetic::Add,
            };
            if self.env.strict_numbers
                && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder)
            {
                numbers::check_operand(operator, &kind, span)?;
                numbers::check_operand(operator, &operand_kind, operand.span)?;
            }
            kind = numbers::result_type(operator, kind, operand_kind);
            span = Span { start: expr.span.start, end: operand.span.end };
            nodes.push((operator, node));
        }
        Ok((node(expr, Op::Arithmetic(Box::new(first_node), nodes.into())), kind))
    }
}

fn truth(expr: &Expr, op: Op) -> Typed {
    (node(expr, op), known(TypeValue::Bool))
}

/// The map of entries that are all constant and have different keys.
fn constant_map(entries: &[Entry]) -> Option<Map> {
    let mut map = Map::with_capacity(entries.len());
    for entry in entries {
        let (key, value) = (constant(&entry.key)?, constant(&entry.value)?);
        if entry.optional || insert_new(&mut map, key, value.clone()).is_err() {
            return None;
        }
    }
    Some(map)
}
