//! A fold document: its tree turned into names, literals and parsed expressions.

use crate::cel::{self, Ast};
use crate::limits::{EVENT_TYPE_BYTES_MAX, EXPRESSION_BYTES_MAX, FOLD_ACCEPTS_MAX};
use crate::value::{Map, Value};

use super::literal::{Plain, literal_value, plain, plain_value};
use super::path::{Path, PathError};
use super::refusal::{Parsed, Position, QUOTE_HINT, Refusal, Source};
use super::tree::{Kind, Node};

/// Longest name of a fold, in bytes.
const FOLD_NAME_BYTES_MAX: usize = 128;
/// Most names of one `let`.
const LETS_MAX: usize = 200;

/// A fold document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) initial: Value,
    pub(crate) lets: Vec<Let>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) skip_cancelled: bool,
    pub(crate) keep: Keep,
    /// Digests of folds from whose carried states this one may start.
    pub(crate) accepts: Vec<String>,
}

/// When states of a fold are kept, as its document says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// The document does not say.
    #[default]
    Unsaid,
    /// Never.
    Off,
    /// Whenever that many events were folded since the last one.
    Every(u64),
}

/// An expression and where it stands.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) ast: Ast,
    pub(crate) source: String,
    pub(crate) at: Position,
}

/// A name for a value that several expressions share.
#[derive(Debug)]
pub(crate) struct Let {
    pub(crate) name: String,
    pub(crate) expression: Expression,
}

/// What one event type does.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) event_type: String,
    /// Whether the document gives a list, even of one.
    pub(crate) listed: bool,
    pub(crate) cases: Vec<Case>,
}

/// One way to handle a type: all of a handler, or an item of its list.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) lets: Vec<Let>,
    pub(crate) when: Option<Expression>,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    Delete,
    Assign(Vec<Assignment>),
}

#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) path: Path,
    /// The path as written.
    pub(crate) path_source: String,
    pub(crate) at: Position,
    pub(crate) right: Right,
}

/// The right-hand side of an assignment.
#[derive(Debug)]
pub(crate) enum Right {
    /// `true`, `false`, `null` or a number.
    Literal(Value),
    Expression(Expression),
}

/// Reads the tree of a document.
pub(crate) fn read(root: &Node, source: &Source<'_>) -> Parsed<Document> {
    let reader = Reader { source };
    let Kind::Map(entries) = &root.kind else {
        return Err(Refusal::new(root.at, "a fold document is a mapping with the key `fold`"));
    };
    let mut name = None;
    let mut document = Document::empty();
    for (key, value) in entries {
        if reader.part(&mut document, key, value)? {
            continue;
        }
        match key.text().unwrap_or_default() {
            "fold" => name = Some(fold_name(value)?),
            "keep" => document.keep = keep(value)?,
            "accepts" => document.accepts = accepts(value)?,
            other => {
                let problem = format!("a fold document has no key `{other}`");
                return Err(Refusal::new(key.at, problem).hint(
                    "the keys are `fold`, `initial`, `let`, `handlers`, `skip_cancelled`, `keep`, \
                     `accepts`",
                ));
            }
        }
    }
    document.name =
        name.ok_or_else(|| Refusal::new(root.at, "the key `fold`, its name, is missing"))?;
    Ok(document)
}

impl Document {
    /// A fold that does nothing.
    pub(crate) fn empty() -> Self {
        Self {
            name: String::new(),
            initial: Value::map(Map::new()),
            lets: Vec::new(),
            handlers: Vec::new(),
            skip_cancelled: false,
            keep: Keep::Unsaid,
            accepts: Vec::new(),
        }
    }
}

pub(crate) fn fold_name(node: &Node) -> Parsed<String> {
    document_name(node, "a fold")
}

/// The name that a document carries; `what` is what it is the name of.
pub(crate) fn document_name(node: &Node, what: &str) -> Parsed<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    match node.text() {
        Some(name)
            if !name.is_empty()
                && name.len() <= FOLD_NAME_BYTES_MAX
                && name.bytes().all(allowed) =>
        {
            Ok(name.to_owned())
        }
        _ => Err(Refusal::new(
            node.at,
            format!(
                "the name of {what} has 1 to {FOLD_NAME_BYTES_MAX} of the characters A-Z, a-z, \
                 0-9, `_`, `-` and `.`"
            ),
        )),
    }
}

fn boolean(node: &Node, key: &str) -> Parsed<bool> {
    match &node.kind {
        Kind::Scalar { text, plain: true } => match plain(text) {
            Plain::Bool(value) => Ok(value),
            _ => Err(Refusal::new(node.at, format!("`{key}` is true or false"))),
        },
        _ => Err(Refusal::new(node.at, format!("`{key}` is true or false"))),
    }
}

fn keep(node: &Node) -> Parsed<Keep> {
    let refuse = |at| Err(Refusal::new(at, "`keep` is `off` or `{every: N}` with N from 1"));
    match &node.kind {
        Kind::Scalar { text, .. } if matches!(text.as_str(), "off" | "false") => Ok(Keep::Off),
        Kind::Map(entries) => match entries.as_slice() {
            [(key, value)] if key.text() == Some("every") => {
                match value.text().and_then(|text| text.parse().ok()) {
                    Some(every @ 1..) => Ok(Keep::Every(every)),
                    _ => refuse(value.at),
                }
            }
            _ => refuse(node.at),
        },
        _ => refuse(node.at),
    }
}

fn accepts(node: &Node) -> Parsed<Vec<String>> {
    let refuse = |at| {
        let problem = format!(
            "`accepts` is a list of at most {FOLD_ACCEPTS_MAX} digests, each 64 of the digits 0-9, \
             a-f"
        );
        Refusal::new(at, problem)
    };
    let Kind::List(items) = &node.kind else { return Err(refuse(node.at)) };
    if items.len() > FOLD_ACCEPTS_MAX {
        return Err(refuse(node.at));
    }
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digest = |item: &Node| match item.text() {
        Some(text) if text.len() == 64 && text.bytes().all(digit) => Ok(text.to_owned()),
        _ => Err(refuse(item.at)),
    };
    items.iter().map(digest).collect()
}

/// Reads what holds expressions.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a Source<'a>,
}

impl Reader<'_> {
    /// Reads a part of a document that says what the fold does; false: the key is none of these.
    pub(crate) fn part(&self, document: &mut Document, key: &Node, value: &Node) -> Parsed<bool> {
        match key.text().unwrap_or_default() {
            "initial" => document.initial = literal_value(value)?,
            "let" => document.lets = self.lets(value)?,
            "handlers" => document.handlers = self.handlers(value)?,
            "skip_cancelled" => document.skip_cancelled = boolean(value, "skip_cancelled")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn handlers(&self, node: &Node) -> Parsed<Vec<Handler>> {
        let Kind::Map(entries) = &node.kind else {
            return Err(Refusal::new(node.at, "`handlers` maps event types to handlers"));
        };
        entries.iter().map(|(key, value)| self.handler(key, value)).collect()
    }

    fn handler(&self, key: &Node, value: &Node) -> Parsed<Handler> {
        let event_type = handled_type(key)?;
        let named = |refusal: Box<Refusal>| refusal.handler(event_type);
        let (listed, cases) = match &value.kind {
            Kind::List(items) => {
                let case = |(index, item)| {
                    let name = case_name(event_type, true, index);
                    self.case(item).map_err(|refusal: Box<Refusal>| refusal.handler(&name))
                };
                (true, items.iter().enumerate().map(case).collect::<Parsed<Vec<_>>>()?)
            }
            _ => (false, vec![self.case(value).map_err(named)?]),
        };
        Ok(Handler { event_type: event_type.to_owned(), listed, cases })
    }

    fn case(&self, node: &Node) -> Parsed<Case> {
        let plain_case = |action| Case { lets: Vec::new(), when: None, action };
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar { text, .. } if text == "delete" => {
                return Ok(plain_case(Action::Delete));
            }
            _ => {
                let problem = "a handler is assignments, `delete`, or a list of handlers";
                return Err(Refusal::new(node.at, problem));
            }
        };
        let mut case = plain_case(Action::Assign(Vec::new()));
        let mut delete = None;
        let mut assignments: Vec<Assignment> = Vec::new();
        for (key, value) in entries {
            match key.text().unwrap_or_default() {
                "when" => {
                    let when = self.expression(value).map_err(|refusal| refusal.path("when"))?;
                    case.when = Some(when);
                }
                "let" => case.lets = self.lets(value)?,
                "delete" if !boolean(value, "delete")? => {
                    return Err(Refusal::new(value.at, "`delete` can only be true")
                        .hint("a state's own key of that name is written `['delete']`"));
                }
                "delete" => delete = Some(key.at),
                _ => assignments.push(self.assignment(key, value, &assignments)?),
            }
        }
        case.action = match delete {
            None => Action::Assign(assignments),
            Some(_) if assignments.is_empty() => Action::Delete,
            Some(at) => {
                return Err(Refusal::new(at, "a handler either deletes or assigns, not both"));
            }
        };
        Ok(case)
    }

    fn assignment(&self, key: &Node, value: &Node, before: &[Assignment]) -> Parsed<Assignment> {
        let path_source = key.text().unwrap_or_default();
        let named = |refusal: Box<Refusal>| refusal.path(path_source);
        let path = self.path(key, path_source).map_err(named)?;
        if let Some(other) = before.iter().find(|other| other.path.overlaps(&path)) {
            let problem = format!(
                "`{}` and `{path_source}` name the same place, or one inside of the other",
                other.path_source
            );
            return Err(named(Refusal::new(key.at, problem)));
        }
        let right = self.right(value).map_err(named)?;
        Ok(Assignment { path, path_source: path_source.to_owned(), at: key.at, right })
    }

    /// The path that a text is.
    pub(crate) fn path(&self, key: &Node, text: &str) -> Parsed<Path> {
        Path::parse(text).map_err(|error| match error {
            PathError::Syntax(offset, problem) => {
                Refusal::new(self.source.inside(key.at, text, offset), problem)
            }
            PathError::TooLong(actual) => {
                let problem = format!("the path is longer than {EXPRESSION_BYTES_MAX} bytes");
                Refusal::new(key.at, problem).limit(
                    "EXPRESSION_TOO_LONG",
                    EXPRESSION_BYTES_MAX,
                    Some(actual),
                )
            }
            PathError::Expression(error) => self.expression_error(key.at, text, error),
        })
    }

    fn right(&self, node: &Node) -> Parsed<Right> {
        if let Kind::Scalar { text, plain: true } = &node.kind {
            match plain(text) {
                Plain::Text => {}
                other => return plain_value(node, other).map(Right::Literal),
            }
        }
        self.expression(node).map(Right::Expression)
    }

    /// An expression, which must be a text.
    pub(crate) fn expression(&self, node: &Node) -> Parsed<Expression> {
        let text = match &node.kind {
            Kind::Scalar { text, .. } => text,
            Kind::List(_) => {
                let problem = "a YAML list stands where an expression is expected";
                return Err(Refusal::new(node.at, problem).hint(QUOTE_HINT));
            }
            Kind::Map(_) => {
                let problem = "a YAML mapping stands where an expression is expected";
                return Err(Refusal::new(node.at, problem).hint(QUOTE_HINT));
            }
        };
        let ast = cel::parse(text).map_err(|error| self.expression_error(node.at, text, error))?;
        Ok(Expression { ast, source: text.clone(), at: node.at })
    }

    fn expression_error(&self, at: Position, text: &str, error: cel::CelError) -> Box<Refusal> {
        Refusal::of_text(self.source.inside(at, text, error.offset), text, error)
    }

    pub(crate) fn lets(&self, node: &Node) -> Parsed<Vec<Let>> {
        self.named(node, "let", LETS_MAX)
    }

    /// A mapping of names to expressions; `what` is the key that it stands behind.
    pub(crate) fn named(&self, node: &Node, what: &str, names_max: usize) -> Parsed<Vec<Let>> {
        let Kind::Map(entries) = &node.kind else {
            return Err(Refusal::new(node.at, format!("`{what}` maps names to expressions")));
        };
        if entries.len() > names_max {
            let problem = format!("a `{what}` has at most {names_max} names");
            return Err(Refusal::new(node.at, problem));
        }
        let read = |(key, value): &(Node, Node)| {
            let name = key.text().unwrap_or_default();
            let path = format!("{what}.{name}");
            let named = |refusal: Box<Refusal>| refusal.path(&path);
            check_name(key, name, what).map_err(named)?;
            let expression = self.expression(value).map_err(named)?;
            Ok(Let { name: name.to_owned(), expression })
        };
        entries.iter().map(read).collect()
    }
}

/// A name that expressions can use: one that parses as a name, and is not taken.
fn check_name(key: &Node, name: &str, what: &str) -> Parsed<()> {
    let taken = ["state", "event", "meta"].contains(&name);
    let is_name = cel::parse(name).is_ok_and(|ast| {
        matches!(&ast.root.kind, cel::ast::Kind::Ident { name: known, absolute: false }
            if **known == *name)
    });
    if taken || !is_name {
        return Err(Refusal::new(key.at, format!("`{name}` cannot be the name of a `{what}`")));
    }
    Ok(())
}

/// An event type that something is said of; also one of the server's own.
pub(crate) fn handled_type(key: &Node) -> Parsed<&str> {
    let event_type = key.text().unwrap_or_default();
    let control = event_type.chars().any(char::is_control);
    if event_type.is_empty() || event_type.len() > EVENT_TYPE_BYTES_MAX || control {
        let problem = format!(
            "an event type has 1 to {EVENT_TYPE_BYTES_MAX} bytes and no control characters"
        );
        return Err(Refusal::new(key.at, problem));
    }
    Ok(event_type)
}

/// The name of a case in errors: the event type, and the place in its list.
pub(crate) fn case_name(event_type: &str, listed: bool, index: usize) -> String {
    if listed { format!("{event_type}[{index}]") } else { event_type.to_owned() }
}
