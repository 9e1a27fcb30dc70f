//! Documents to rules that run: expressions compiled, what they read known by event type.

use std::sync::Arc;

use crate::by_type::{ByType, Typed};
use crate::cel::ast::{Ast, Kind, Literal};
use crate::cel::{Env, Program, StaticType};
use crate::fold::compile::{CompiledLet, Compiler, check_work, needed_lets};
use crate::fold::document::Expression;
use crate::fold::inputs::Inputs;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::fold::scope::{self, FIRST_LET, META, MetaField, Source};
use crate::mapping::compile::Pass;
use crate::names::split_stream_name;
use crate::value::{TypeValue, Value};

use super::Targets;
use super::document::{Document, RulePart, ShapePart, TypePart};

/// The name of what becomes of types without a rule, in errors.
pub(super) const OTHERS: &str = "others";

/// All rules of a document.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) types: ByType<TypeRules>,
    /// For types that are not named; `None`: they are dropped.
    pub(super) others: Option<TypeRules>,
}

/// What becomes of one event type.
#[derive(Debug)]
pub(super) struct TypeRules {
    event_type: Arc<str>,
    pub(super) inputs: Inputs,
    /// The `let`s that the rules need, in order, by variable index.
    pub(super) lets: Vec<(usize, CompiledLet)>,
    /// The number of all `let`s of the document.
    pub(super) lets_count: usize,
    pub(super) sources: Vec<Source>,
    /// None: its events are dropped.
    pub(super) rules: Vec<Rule>,
}

/// One copy of an event.
#[derive(Debug)]
pub(super) struct Rule {
    /// The name in errors.
    pub(super) name: String,
    /// Its place in the list of its type, from 0.
    pub(super) ordinal: u32,
    pub(super) when: Option<Program>,
    /// The new type.
    pub(super) event_type: Option<Arc<str>>,
    pub(super) stream: Arc<Program>,
    pub(super) data: Shape,
    pub(super) metadata: Shape,
    pub(super) tags: Option<Program>,
}

/// What becomes of data or metadata.
#[derive(Debug)]
pub(super) enum Shape {
    /// They stay.
    Kept,
    /// All is computed.
    Whole(Program),
    /// Places are computed.
    Fields(Box<Pass>),
}

impl Typed for TypeRules {
    fn event_type(&self) -> &Arc<str> {
        &self.event_type
    }
}

impl TypeRules {
    /// The event type; empty for those that are not named.
    pub(super) fn name(&self) -> &str {
        &self.event_type
    }

    /// Whether a rule reads the name of the first stream of a line of periods.
    pub(super) fn reads_root(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Meta(MetaField::Root)))
            || self.programs().iter().any(|program| program.uses_variable(META))
    }

    fn programs(&self) -> Vec<&Program> {
        let lets = self.lets.iter().map(|(_, entry)| &*entry.program);
        self.rules.iter().flat_map(Rule::programs).chain(lets).collect()
    }
}

impl Rule {
    fn programs(&self) -> Vec<&Program> {
        let mut programs = vec![&*self.stream];
        programs.extend(&self.when);
        programs.extend(&self.tags);
        for shape in [&self.data, &self.metadata] {
            match shape {
                Shape::Kept => {}
                Shape::Whole(program) => programs.push(program),
                Shape::Fields(pass) => programs.extend(pass.computed().map(|(.., one)| one)),
            }
        }
        programs
    }
}

/// Compiles a document.
pub(super) fn compile(document: Document, targets: &Targets, text: &Text<'_>) -> Parsed<Rules> {
    // No expression can name the empty name: there is no state.
    let mut base = scope::base_env("").anonymising(true);
    let compiler = Compiler { text, given: &[] };
    let lets = compiler.lets(&document.lets, &mut base)?;
    let rules = document.types.iter().map(|part| part.rules.len()).sum();
    check_work(rules, &document.lets, &base)?;
    let mut compiler = RuleCompiler { compiler, lets: &lets, targets, stream: None };
    if let Some(expression) = &document.stream {
        compiler.stream = Some(compiler.stream(expression, &mut base)?);
    }
    let types = document.types.into_iter().map(|part| compiler.type_rules(part, &base));
    let types = ByType::new(types.collect::<Parsed<Vec<_>>>()?);
    let others = document.keeps_others.then(|| compiler.others(&base)).flatten();
    Ok(Rules { types, others })
}

struct RuleCompiler<'a> {
    compiler: Compiler<'a>,
    lets: &'a [CompiledLet],
    targets: &'a Targets,
    /// The default one.
    stream: Option<Arc<Program>>,
}

impl RuleCompiler<'_> {
    fn type_rules(&self, part: TypePart, base: &Env) -> Parsed<TypeRules> {
        let mut env = base.clone();
        let names: Vec<String> = (0..part.rules.len()).map(|index| part.rule_name(index)).collect();
        let mut rules = Vec::with_capacity(names.len());
        for (index, (rule, name)) in part.rules.into_iter().zip(names).enumerate() {
            let compiled = self.rule(rule, index as u32, &name, &mut env);
            rules.push(compiled.map_err(|refusal: Box<Refusal>| refusal.handler(&name))?);
        }
        Ok(self.of_type(&part.event_type, rules, &env))
    }

    fn others(&self, base: &Env) -> Option<TypeRules> {
        let rule = Rule {
            name: OTHERS.to_owned(),
            ordinal: 0,
            when: None,
            event_type: None,
            stream: self.stream.clone()?,
            data: Shape::Kept,
            metadata: Shape::Kept,
            tags: None,
        };
        Some(self.of_type("", vec![rule], base))
    }

    fn of_type(&self, event_type: &str, rules: Vec<Rule>, env: &Env) -> TypeRules {
        let of_rules: Vec<&Program> = rules.iter().flat_map(Rule::programs).collect();
        let lets = needed_lets(&of_rules, self.lets, FIRST_LET);
        let of_lets = lets.iter().map(|(_, entry)| &*entry.program);
        let programs: Vec<&Program> = of_rules.into_iter().chain(of_lets).collect();
        let mut inputs = Inputs::default();
        let sources = inputs.sources(&programs, env.slots());
        let lets_count = self.lets.len();
        TypeRules { event_type: event_type.into(), inputs, lets, lets_count, sources, rules }
    }

    fn rule(&self, rule: RulePart, ordinal: u32, name: &str, env: &mut Env) -> Parsed<Rule> {
        let when = rule.when.as_ref().map(|when| self.compiler.condition(when, env)).transpose()?;
        let stream = match (&rule.stream, &self.stream) {
            (Some(expression), _) => self.stream(expression, env)?,
            (None, Some(stream)) => Arc::clone(stream),
            (None, None) => return Err(Refusal::new(rule.at, "the rule names no target stream")),
        };
        let optional = |kind: &StaticType| kind.known() == Some(TypeValue::Optional);
        let tags = rule.tags.as_ref().map(|expression| {
            let allowed =
                |kind: &StaticType| optional(kind) || kind.known() == Some(TypeValue::List);
            self.typed(expression, env, "tags", "a list of strings", allowed)
        });
        Ok(Rule {
            name: name.to_owned(),
            ordinal,
            when,
            event_type: rule.event_type.map(Into::into),
            stream,
            tags: tags.transpose()?,
            data: self.shape(rule.data, "data", env)?,
            metadata: self.shape(rule.metadata, "metadata", env)?,
        })
    }

    fn shape(&self, part: Option<ShapePart>, section: &str, env: &mut Env) -> Parsed<Shape> {
        Ok(match part {
            None => Shape::Kept,
            Some(ShapePart::Whole(expression)) => {
                let allowed = |kind: &StaticType| {
                    matches!(kind.known(), Some(TypeValue::Map | TypeValue::Optional))
                };
                Shape::Whole(self.typed(&expression, env, section, "a map", allowed)?)
            }
            Some(ShapePart::Fields(fields)) => {
                let compile = |expression: &Expression| self.compiler.program(expression, env);
                Shape::Fields(Box::new(Pass::of_computed(fields, compile)?))
            }
        })
    }

    /// A target stream; one that is known is checked.
    fn stream(&self, expression: &Expression, env: &mut Env) -> Parsed<Arc<Program>> {
        let allowed = |kind: &StaticType| kind.known() == Some(TypeValue::String);
        let program = self.typed(expression, env, "stream", "a string", allowed);
        let program = program.map_err(|refusal| refusal.hint_if_none(STREAM_HINT))?;
        let named = |problem| Refusal::new(expression.at, problem).path("stream");
        if let Some(Value::String(name)) = program.constant() {
            self.targets.check(name).map_err(named)?;
        } else if let Some((category, _)) = beginning(&expression.ast).and_then(split_stream_name)
            && !self.targets.is_target(category)
        {
            return Err(named(format!(
                "the target stream is of the category `{category}`, which is not in `into`"
            )));
        }
        Ok(Arc::new(program))
    }

    /// An expression whose type, as far as it is known, is one that is allowed.
    fn typed(
        &self,
        expression: &Expression,
        env: &mut Env,
        path: &str,
        what: &str,
        allowed: impl Fn(&StaticType) -> bool,
    ) -> Parsed<Program> {
        let named = |refusal: Box<Refusal>| refusal.path(path);
        let program = self.compiler.program(expression, env).map_err(named)?;
        let kind = program.static_type();
        match kind.known() {
            Some(known) if !allowed(kind) => {
                let problem =
                    format!("`{path}` is {what}, and the expression is a {}", known.name());
                Err(named(Refusal::new(expression.at, problem)))
            }
            _ => Ok(program),
        }
    }
}

/// The text that the value of an expression surely begins with, as far as that is plain to see.
fn beginning(ast: &Ast) -> Option<&str> {
    let Kind::Arithmetic(first, _) = &ast.root.kind else { return None };
    match &first.kind {
        Kind::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

const STREAM_HINT: &str = "`stream` is an expression, in which texts stand in quotes, such as \
                           \"'Month-' + meta.stream_id\"";
