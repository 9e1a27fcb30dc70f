//! Tokens to a syntax tree, with a bound on nesting.

mod operators;

use std::sync::Arc;

use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

use super::ast::{Ast, Element, Expr, Kind, Literal, Span, too_deep};
use super::error::{CelError, EXPRESSION_TOO_LONG, Parsed};
use super::lexer::{Lexer, Token};
use operators::OR;

/// Names that no variable may have.
pub(super) const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Parses an expression. Its length is checked first, its depth on the way.
pub fn parse(source: &str) -> Result<Ast, CelError> {
    parse_boxed(source).map_err(|error| *error)
}

fn parse_boxed(source: &str) -> Parsed<Ast> {
    if source.len() > EXPRESSION_BYTES_MAX {
        return Err(Box::new(CelError {
            offset: EXPRESSION_BYTES_MAX,
            end: source.len(),
            message: format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"),
            reason: EXPRESSION_TOO_LONG,
            hint: None,
        }));
    }
    let mut lexer = Lexer::new(source);
    let (token, start) = lexer.next()?;
    let mut parser = Parser { lexer, token, start, end: 0, nesting: 0 };
    if parser.token == Token::End {
        return Err(CelError::invalid(0, "the expression is empty"));
    }
    let root = parser.expression()?;
    if parser.token != Token::End {
        return Err(parser.unexpected("the expression should end here"));
    }
    Ok(Ast { root })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token to be read next, and where it begins.
    token: Token,
    start: usize,
    /// Where the token before it ended.
    end: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Parsed<Token> {
        self.end = self.lexer.place();
        let (token, start) = self.lexer.next()?;
        self.start = start;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token, Token::Sign(known) if known == sign)
    }

    fn eat(&mut self, sign: &str) -> Parsed<bool> {
        let found = self.is(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &'static str) -> Parsed<()> {
        if self.eat(sign)? {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{sign}` is missing")))
    }

    fn unexpected(&self, message: &str) -> Box<CelError> {
        let found = match &self.token {
            Token::End => " before the end".to_owned(),
            Token::Sign(sign) => format!(" before `{sign}`"),
            Token::Ident(name) => format!(" before `{name}`"),
            _ => String::new(),
        };
        CelError::invalid(self.start, format!("{message}{found}"))
    }

    fn node(&self, start: usize, kind: Kind) -> Parsed<Box<Expr>> {
        // Sources are at most 4 KiB long.
        Expr::new(kind, Span { start: start as u32, end: self.end as u32 })
    }

    /// One level deeper; parentheses, brackets and operands on the right count alike.
    fn enter(&mut self) -> Parsed<()> {
        if self.nesting >= EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.start));
        }
        self.nesting += 1;
        Ok(())
    }

    fn expression(&mut self) -> Parsed<Box<Expr>> {
        self.enter()?;
        let start = self.start;
        let condition = self.binary(OR)?;
        let whole = if self.is("?") { self.conditional(start, condition)? } else { condition };
        self.nesting -= 1;
        Ok(whole)
    }

    fn conditional(&mut self, start: usize, condition: Box<Expr>) -> Parsed<Box<Expr>> {
        self.advance()?;
        let yes = self.binary(OR)?;
        self.expect(":")?;
        let no = self.expression()?;
        self.node(start, Kind::Conditional([condition, yes, no]))
    }

    fn member(&mut self) -> Parsed<Box<Expr>> {
        let start = self.start;
        let mut expr = self.primary()?;
        loop {
            expr = if self.eat(".")? {
                self.selector(start, expr)?
            } else if self.eat("[")? {
                self.index(start, expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    fn selector(&mut self, start: usize, operand: Box<Expr>) -> Parsed<Box<Expr>> {
        let optional = self.eat("?")?;
        let field = match self.advance_name()? {
            Some(field) => field,
            None => return Err(self.unexpected("a name is missing after the dot")),
        };
        let quoted = field.1;
        if !optional && !quoted && self.eat("(")? {
            let args = self.arguments()?;
            let target = Some(operand);
            return self.node(start, Kind::Call { target, function: field.0, args });
        }
        self.node(start, Kind::Select { operand, field: field.0, optional })
    }

    /// Reads a name after a dot, and whether it stood in backquotes.
    fn advance_name(&mut self) -> Parsed<Option<(Arc<str>, bool)>> {
        Ok(match &self.token {
            Token::Ident(name) => {
                let name = Arc::clone(name);
                self.advance()?;
                Some((name, false))
            }
            Token::Quoted(name) => {
                let name = Arc::clone(name);
                self.advance()?;
                Some((name, true))
            }
            _ => None,
        })
    }

    fn index(&mut self, start: usize, operand: Box<Expr>) -> Parsed<Box<Expr>> {
        let optional = self.eat("?")?;
        let index = self.expression()?;
        self.expect("]")?;
        self.node(start, Kind::Index { operand, index, optional })
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        let mut args = Vec::new();
        if self.eat(")")? {
            return Ok(args);
        }
        loop {
            args.push(*self.expression()?);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn primary(&mut self) -> Parsed<Box<Expr>> {
        match self.token {
            Token::Sign(sign) => self.bracketed(sign),
            Token::Ident(_) => self.name(false),
            Token::End | Token::Quoted(_) => Err(self.unexpected("an expression is missing")),
            _ => self.literal(""),
        }
    }

    fn bracketed(&mut self, sign: &'static str) -> Parsed<Box<Expr>> {
        let start = self.start;
        match sign {
            "(" => self.parenthesis(),
            "[" => self.list(start),
            "{" => self.map(start),
            "." => {
                self.advance()?;
                self.name(true)
            }
            "-" => {
                self.advance()?;
                self.literal("-")
            }
            _ => Err(self.unexpected("an expression is missing")),
        }
    }

    fn parenthesis(&mut self) -> Parsed<Box<Expr>> {
        self.advance()?;
        let expr = self.expression()?;
        self.expect(")")?;
        Ok(expr)
    }

    fn name(&mut self, absolute: bool) -> Parsed<Box<Expr>> {
        let start = self.start;
        let Token::Ident(name) = &self.token else {
            return Err(self.unexpected("a name is missing after the dot"));
        };
        let name = Arc::clone(name);
        if matches!(&*name, "null" | "true" | "false") && !absolute {
            return self.literal("");
        }
        if RESERVED.contains(&&*name) {
            return Err(CelError::invalid(start, format!("`{name}` is a reserved word")));
        }
        self.advance()?;
        if self.eat("(")? {
            let args = self.arguments()?;
            return self.node(start, Kind::Call { target: None, function: name, args });
        }
        if self.is("{") {
            return Err(CelError::invalid(start, "messages of named types do not exist here"));
        }
        self.node(start, Kind::Ident { name, absolute })
    }

    fn literal(&mut self, sign: &str) -> Parsed<Box<Expr>> {
        let start = self.start - sign.len();
        let signed =
            |text: Arc<str>| if sign.is_empty() { text } else { format!("-{text}").into() };
        let literal = match self.advance()? {
            Token::Int(text) => Literal::Int(signed(text)),
            Token::Double(text) => Literal::Double(signed(text)),
            Token::Uint(text) if sign.is_empty() => Literal::Uint(text),
            Token::Uint(_) => {
                return Err(CelError::invalid(start, "a uint cannot be negative"));
            }
            Token::String(text) => Literal::String(text),
            Token::Bytes(bytes) => Literal::Bytes(bytes),
            Token::Ident(name) if *name == *"null" => Literal::Null,
            Token::Ident(name) => Literal::Bool(*name == *"true"),
            _ => return Err(CelError::invalid(start, "an expression is missing")),
        };
        self.node(start, Kind::Literal(literal))
    }

    fn list(&mut self, start: usize) -> Parsed<Box<Expr>> {
        self.advance()?;
        let mut items = Vec::new();
        while !self.is("]") {
            let optional = self.eat("?")?;
            items.push(Element { optional, expr: *self.expression()? });
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("]")?;
        self.node(start, Kind::List(items))
    }

    fn map(&mut self, start: usize) -> Parsed<Box<Expr>> {
        self.advance()?;
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.eat("?")?;
            let key = Element { optional, expr: *self.expression()? };
            self.expect(":")?;
            entries.push((key, *self.expression()?));
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("}")?;
        self.node(start, Kind::Map(entries))
    }
}
