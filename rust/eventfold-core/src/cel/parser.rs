//! Tokens to a syntax tree: precedence climbing with a bound on nesting.

use std::sync::Arc;

use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

use super::ast::{Ast, Binary, Element, Expr, Kind, Literal, Span, Unary, too_deep};
use super::error::{CelError, EXPRESSION_TOO_LONG};
use super::lexer::{Lexer, Token};

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
    if source.len() > EXPRESSION_BYTES_MAX {
        return Err(CelError {
            offset: EXPRESSION_BYTES_MAX,
            message: format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"),
            reason: EXPRESSION_TOO_LONG,
        });
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
    fn advance(&mut self) -> Result<Token, CelError> {
        self.end = self.lexer.place();
        let (token, start) = self.lexer.next()?;
        self.start = start;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token, Token::Sign(known) if known == sign)
    }

    fn eat(&mut self, sign: &str) -> Result<bool, CelError> {
        let found = self.is(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), CelError> {
        if self.eat(sign)? {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{sign}` is missing")))
    }

    fn unexpected(&self, message: &str) -> CelError {
        let found = match &self.token {
            Token::End => " before the end".to_owned(),
            Token::Sign(sign) => format!(" before `{sign}`"),
            Token::Ident(name) => format!(" before `{name}`"),
            _ => String::new(),
        };
        CelError::invalid(self.start, format!("{message}{found}"))
    }

    fn node(&self, start: usize, kind: Kind) -> Result<Expr, CelError> {
        // Sources are at most 4 KiB long.
        Expr::new(kind, Span { start: start as u32, end: self.end as u32 })
    }

    fn expression(&mut self) -> Result<Expr, CelError> {
        if self.nesting >= EXPRESSION_DEPTH_MAX {
            return Err(too_deep(self.start));
        }
        self.nesting += 1;
        let start = self.start;
        let condition = self.or()?;
        let result =
            if self.eat("?")? { self.conditional(start, condition) } else { Ok(condition) };
        self.nesting -= 1;
        result
    }

    fn conditional(&mut self, start: usize, condition: Expr) -> Result<Expr, CelError> {
        let yes = self.or()?;
        self.expect(":")?;
        let no = self.expression()?;
        self.node(start, Kind::Conditional(Box::new([condition, yes, no])))
    }

    fn or(&mut self) -> Result<Expr, CelError> {
        let start = self.start;
        let first = self.and()?;
        if !self.is("||") {
            return Ok(first);
        }
        let mut operands = match first.kind {
            Kind::Or(operands) => operands,
            _ => vec![first],
        };
        while self.eat("||")? {
            operands.push(self.and()?);
        }
        self.node(start, Kind::Or(operands))
    }

    fn and(&mut self) -> Result<Expr, CelError> {
        let start = self.start;
        let first = self.binary(3)?;
        if !self.is("&&") {
            return Ok(first);
        }
        let mut operands = match first.kind {
            Kind::And(operands) => operands,
            _ => vec![first],
        };
        while self.eat("&&")? {
            operands.push(self.binary(3)?);
        }
        self.node(start, Kind::And(operands))
    }

    fn binary(&mut self, precedence_min: u8) -> Result<Expr, CelError> {
        let start = self.start;
        let mut left = self.unary()?;
        while let Some(operator) = self.operator() {
            if operator.precedence() < precedence_min {
                break;
            }
            self.advance()?;
            let right = self.binary(operator.precedence() + 1)?;
            left = self.node(start, Kind::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<Binary> {
        Some(match &self.token {
            Token::Ident(name) if **name == *"in" => Binary::In,
            Token::Sign("<") => Binary::Less,
            Token::Sign("<=") => Binary::LessEqual,
            Token::Sign(">") => Binary::Greater,
            Token::Sign(">=") => Binary::GreaterEqual,
            Token::Sign("==") => Binary::Equal,
            Token::Sign("!=") => Binary::NotEqual,
            Token::Sign("+") => Binary::Add,
            Token::Sign("-") => Binary::Subtract,
            Token::Sign("*") => Binary::Multiply,
            Token::Sign("/") => Binary::Divide,
            Token::Sign("%") => Binary::Remainder,
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Expr, CelError> {
        let mut signs = Vec::new();
        loop {
            let start = self.start;
            if self.is("!") {
                signs.push((Unary::Not, start));
            } else if self.is("-") {
                if self.lexer.number_follows() {
                    break;
                }
                signs.push((Unary::Negate, start));
            } else {
                break;
            }
            self.advance()?;
        }
        let mut expr = self.member()?;
        for (sign, start) in signs.into_iter().rev() {
            expr = self.node(start, Kind::Unary(sign, Box::new(expr)))?;
        }
        Ok(expr)
    }

    fn member(&mut self) -> Result<Expr, CelError> {
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

    fn selector(&mut self, start: usize, operand: Expr) -> Result<Expr, CelError> {
        let optional = self.eat("?")?;
        let field = match self.advance_name()? {
            Some(field) => field,
            None => return Err(self.unexpected("a name is missing after the dot")),
        };
        let quoted = field.1;
        if !optional && !quoted && self.eat("(")? {
            let args = self.arguments()?;
            let target = Some(Box::new(operand));
            return self.node(start, Kind::Call { target, function: field.0, args });
        }
        let operand = Box::new(operand);
        self.node(start, Kind::Select { operand, field: field.0, optional })
    }

    /// Reads a name after a dot, and whether it stood in backquotes.
    fn advance_name(&mut self) -> Result<Option<(Arc<str>, bool)>, CelError> {
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

    fn index(&mut self, start: usize, operand: Expr) -> Result<Expr, CelError> {
        let optional = self.eat("?")?;
        let index = Box::new(self.expression()?);
        self.expect("]")?;
        self.node(start, Kind::Index { operand: Box::new(operand), index, optional })
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, CelError> {
        let mut args = Vec::new();
        if self.eat(")")? {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn primary(&mut self) -> Result<Expr, CelError> {
        match self.token {
            Token::Sign(sign) => self.bracketed(sign),
            Token::Ident(_) => self.name(false),
            Token::End | Token::Quoted(_) => Err(self.unexpected("an expression is missing")),
            _ => self.literal(""),
        }
    }

    fn bracketed(&mut self, sign: &'static str) -> Result<Expr, CelError> {
        let start = self.start;
        match sign {
            "(" => {
                self.advance()?;
                let expr = self.expression()?;
                self.expect(")")?;
                Ok(expr)
            }
            "[" => {
                self.advance()?;
                self.list(start)
            }
            "{" => {
                self.advance()?;
                self.map(start)
            }
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

    fn name(&mut self, absolute: bool) -> Result<Expr, CelError> {
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

    fn literal(&mut self, sign: &str) -> Result<Expr, CelError> {
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

    fn list(&mut self, start: usize) -> Result<Expr, CelError> {
        let mut items = Vec::new();
        while !self.is("]") {
            let optional = self.eat("?")?;
            items.push(Element { optional, expr: self.expression()? });
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("]")?;
        self.node(start, Kind::List(items))
    }

    fn map(&mut self, start: usize) -> Result<Expr, CelError> {
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.eat("?")?;
            let key = Element { optional, expr: self.expression()? };
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("}")?;
        self.node(start, Kind::Map(entries))
    }
}
