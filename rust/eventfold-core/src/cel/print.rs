//! The normal form of an expression: one spelling for one tree.

use std::fmt::Write;

use super::ast::{Ast, Element, Expr, Kind, Literal, Unary};
use super::lexer::is_word;

impl Ast {
    /// The expression in normal form: single spaces, parentheses only where needed, strings in
    /// one spelling, numbers as written. Parsing it gives an equal tree, so that it serves for
    /// digests.
    pub fn print(&self) -> String {
        let mut out = String::new();
        expr(&self.root, 0, &mut out);
        out
    }
}

/// How tightly a node binds: conditional 0, or 1, and 2, relations 3, sums 4, products 5,
/// unary 6, members 7, the rest 8.
fn precedence(kind: &Kind) -> u8 {
    match kind {
        Kind::Conditional(_) => 0,
        Kind::Or(_) => 1,
        Kind::And(_) => 2,
        Kind::Binary(operator, ..) => operator.precedence(),
        Kind::Arithmetic(_, rest) => rest.first().map_or(8, |(operator, _)| operator.precedence()),
        Kind::Unary(..) => 6,
        Kind::Select { .. } | Kind::Index { .. } | Kind::Call { .. } => 7,
        Kind::Literal(_) | Kind::Ident { .. } | Kind::List(_) | Kind::Map(_) => 8,
    }
}

/// Prints a node, in parentheses if it binds less tightly than its place needs.
fn expr(node: &Expr, needed: u8, out: &mut String) {
    let bare = precedence(&node.kind) >= needed;
    if !bare {
        out.push('(');
    }
    match &node.kind {
        Kind::Literal(value) => literal(value, out),
        Kind::Ident { name, absolute } => {
            out.push_str(if *absolute { "." } else { "" });
            out.push_str(name);
        }
        Kind::Select { operand, field, optional } => select(operand, field, *optional, out),
        Kind::Index { operand, index, optional } => {
            expr(operand, 7, out);
            out.push_str(if *optional { "[?" } else { "[" });
            expr(index, 0, out);
            out.push(']');
        }
        Kind::Call { target, function, args } => call(target.as_deref(), function, args, out),
        Kind::List(items) => {
            out.push('[');
            separated(items.iter(), ", ", out, element);
            out.push(']');
        }
        Kind::Map(entries) => map(entries, out),
        Kind::Unary(operator, operand) => unary(*operator, operand, out),
        Kind::Binary(operator, left, right) => {
            expr(left, operator.precedence(), out);
            let _ = write!(out, " {} ", operator.symbol());
            expr(right, operator.precedence() + 1, out);
        }
        Kind::Arithmetic(first, rest) => {
            let precedence = precedence(&node.kind);
            expr(first, precedence, out);
            for (operator, operand) in rest {
                let _ = write!(out, " {} ", operator.symbol());
                expr(operand, precedence + 1, out);
            }
        }
        Kind::And(operands) => {
            separated(operands.iter(), " && ", out, |operand, out| expr(operand, 3, out));
        }
        Kind::Or(operands) => {
            separated(operands.iter(), " || ", out, |operand, out| expr(operand, 2, out));
        }
        Kind::Conditional(parts) => conditional(parts, out),
    }
    if !bare {
        out.push(')');
    }
}

fn separated<T>(
    parts: impl Iterator<Item = T>,
    separator: &str,
    out: &mut String,
    print: impl Fn(T, &mut String),
) {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        print(part, out);
    }
}

fn element(item: &Element, out: &mut String) {
    out.push_str(if item.optional { "?" } else { "" });
    expr(&item.expr, 0, out);
}

fn select(operand: &Expr, field: &str, optional: bool, out: &mut String) {
    expr(operand, 7, out);
    out.push_str(if optional { ".?" } else { "." });
    let plain = field.bytes().all(is_word) && !field.starts_with(|c: char| c.is_ascii_digit());
    if plain {
        out.push_str(field);
    } else {
        let _ = write!(out, "`{field}`");
    }
}

fn call(target: Option<&Expr>, function: &str, args: &[Expr], out: &mut String) {
    if let Some(target) = target {
        expr(target, 7, out);
        out.push('.');
    }
    out.push_str(function);
    out.push('(');
    separated(args.iter(), ", ", out, |arg, out| expr(arg, 0, out));
    out.push(')');
}

fn map(entries: &[(Element, Expr)], out: &mut String) {
    out.push('{');
    separated(entries.iter(), ", ", out, |(key, value), out| {
        element(key, out);
        out.push_str(": ");
        expr(value, 0, out);
    });
    out.push('}');
}

fn unary(operator: Unary, operand: &Expr, out: &mut String) {
    match operator {
        Unary::Not => out.push('!'),
        Unary::Negate => out.push('-'),
    }
    // A minus that touches a number would become part of the number.
    if operator == Unary::Negate && begins_with_number(operand) {
        out.push('(');
        expr(operand, 0, out);
        out.push(')');
    } else {
        expr(operand, 6, out);
    }
}

fn begins_with_number(node: &Expr) -> bool {
    match &node.kind {
        Kind::Literal(Literal::Int(text) | Literal::Uint(text) | Literal::Double(text)) => {
            !text.starts_with('-')
        }
        Kind::Select { operand, .. } | Kind::Index { operand, .. } => begins_with_number(operand),
        Kind::Call { target: Some(target), .. } => begins_with_number(target),
        _ => false,
    }
}

fn conditional(parts: &[Box<Expr>; 3], out: &mut String) {
    let [condition, yes, no] = parts;
    expr(condition, 1, out);
    out.push_str(" ? ");
    expr(yes, 1, out);
    out.push_str(" : ");
    expr(no, 0, out);
}

fn literal(value: &Literal, out: &mut String) {
    match value {
        Literal::Null => out.push_str("null"),
        Literal::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Literal::Int(text) | Literal::Double(text) => out.push_str(text),
        Literal::Uint(text) => {
            out.push_str(text);
            out.push('u');
        }
        Literal::String(text) => {
            out.push('\'');
            text.chars().for_each(|character| escaped(character, out));
            out.push('\'');
        }
        Literal::Bytes(bytes) => {
            out.push_str("b'");
            bytes.iter().for_each(|byte| match byte {
                0x20..0x7f => escaped(char::from(*byte), out),
                _ => {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            });
            out.push('\'');
        }
    }
}

fn escaped(character: char, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\'' => out.push_str("\\'"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0'..' ' | '\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", character as u32);
        }
        _ => out.push(character),
    }
}
