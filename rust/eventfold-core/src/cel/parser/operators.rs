//! Operators: precedence climbing. Chains that are joined from the left are one node, so that
//! their length is no depth.

use super::super::ast::{Binary, Expr, Kind, Unary};
use super::super::error::Parsed;
use super::super::lexer::Token;
use super::Parser;

/// How tightly `||` and `&&` bind; operators of two operands follow.
pub(super) const OR: u8 = 1;
const AND: u8 = 2;

/// Operators whose chains are one node.
#[derive(Debug, Clone, Copy)]
enum Chain {
    And,
    Or,
}

fn chain_precedence(chain: Chain) -> u8 {
    match chain {
        Chain::And => AND,
        Chain::Or => OR,
    }
}

impl Parser<'_> {
    /// Operands joined by operators that bind at least so tightly.
    pub(super) fn binary(&mut self, precedence_min: u8) -> Parsed<Box<Expr>> {
        let start = self.start;
        let mut left = self.unary()?;
        while let Some(operator) = self.operator() {
            let precedence = operator.map_or_else(chain_precedence, Binary::precedence);
            if precedence < precedence_min {
                break;
            }
            self.advance()?;
            self.enter()?;
            let right = self.binary(precedence + 1)?;
            self.nesting -= 1;
            left = self.joined(start, operator, left, right)?;
        }
        Ok(left)
    }

    /// The node of two operands; chains of `&&`, of `||` and of arithmetic grow in place.
    fn joined(
        &self,
        start: usize,
        operator: Result<Binary, Chain>,
        left: Box<Expr>,
        right: Box<Expr>,
    ) -> Parsed<Box<Expr>> {
        let kind = match operator {
            Ok(operator) if operator.is_arithmetic() => arithmetic(operator, *left, *right),
            Ok(operator) => Kind::Binary(operator, left, right),
            Err(chain) => logic(chain, *left, *right),
        };
        self.node(start, kind)
    }

    fn operator(&self) -> Option<Result<Binary, Chain>> {
        Some(Ok(match &self.token {
            Token::Sign("&&") => return Some(Err(Chain::And)),
            Token::Sign("||") => return Some(Err(Chain::Or)),
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
        }))
    }

    fn unary(&mut self) -> Parsed<Box<Expr>> {
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
            expr = self.node(start, Kind::Unary(sign, expr))?;
        }
        Ok(expr)
    }
}

fn arithmetic(operator: Binary, left: Expr, right: Expr) -> Kind {
    match left {
        Expr { kind: Kind::Arithmetic(first, mut rest), .. }
            if rest
                .first()
                .is_some_and(|(known, _)| known.precedence() == operator.precedence()) =>
        {
            rest.push((operator, right));
            Kind::Arithmetic(first, rest)
        }
        first => Kind::Arithmetic(Box::new(first), vec![(operator, right)]),
    }
}

fn logic(chain: Chain, left: Expr, right: Expr) -> Kind {
    let mut operands = match (chain, left) {
        (Chain::And, Expr { kind: Kind::And(operands), .. })
        | (Chain::Or, Expr { kind: Kind::Or(operands), .. }) => operands,
        (_, first) => vec![first],
    };
    operands.push(right);
    match chain {
        Chain::And => Kind::And(operands),
        Chain::Or => Kind::Or(operands),
    }
}
