//! Documents to folds that run: expressions compiled, their inputs known by event type.

use std::sync::Arc;

use crate::by_type::{ByType, Typed};
use crate::cel::ast::{Ast, Binary, Expr, Kind};
use crate::cel::{self, CelError, Env, Program};
use crate::limits::JSON_DEPTH_MAX;
use crate::value::{TypeValue, Value};

use super::assign::Step;
use super::document::{
    Action, Assignment, Case, Document, Expression, Handler, Let, Right, case_name,
};
use super::inputs::Inputs;
use super::path::{Path, Segment};
use super::refusal::{Parsed, Refusal, Source as Text};
use super::scope::{self, FIRST_LET, Source};
use super::sum::Sum;

/// Everything that one event type does.
#[derive(Debug)]
pub(crate) struct TypeHandler {
    pub(crate) event_type: Arc<str>,
    pub(crate) inputs: Inputs,
    /// The numbers of the names that it reads whose values come with the event.
    pub(crate) given: Vec<usize>,
    /// The `let`s of the document that the cases need, in order, by variable index.
    pub(crate) lets: Vec<(usize, CompiledLet)>,
    pub(crate) lets_sources: Vec<Source>,
    /// The number of all names that come with the event and `let`s of the document: their places
    /// come before those of a case.
    pub(crate) document_lets: usize,
    pub(crate) cases: Vec<CompiledCase>,
}

#[derive(Debug)]
pub(crate) struct CompiledCase {
    /// The name in errors.
    pub(crate) name: String,
    pub(crate) sources: Vec<Source>,
    pub(crate) lets: Vec<CompiledLet>,
    pub(crate) when: Option<Program>,
    pub(crate) deletes: bool,
    pub(crate) assignments: Vec<CompiledAssignment>,
}

/// A `let`; shared by the handlers that need it.
#[derive(Debug, Clone)]
pub(crate) struct CompiledLet {
    /// The name in errors, `let.name`.
    pub(crate) path: Arc<str>,
    pub(crate) program: Arc<Program>,
}

#[derive(Debug)]
pub(crate) struct CompiledAssignment {
    /// The path as written, for errors.
    pub(crate) path: String,
    pub(crate) target: Target,
    pub(crate) right: CompiledRight,
}

#[derive(Debug)]
pub(crate) enum CompiledRight {
    Constant(Value),
    Computed(Computed),
    /// `<the target> + items`, and nothing else of the same event can touch the target: the list
    /// grows in place by the items. Where there is no list, the whole expression says what comes
    /// out.
    Append {
        whole: Computed,
        items: Program,
    },
}

/// A whole expression, and the shorter way where it is a sum of two numbers.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) program: Program,
    pub(crate) sum: Option<Sum>,
}

#[derive(Debug)]
pub(crate) enum Target {
    Static(Vec<Step>),
    Computed(Vec<TargetStep>),
}

#[derive(Debug)]
pub(crate) enum TargetStep {
    Known(Step),
    Program(Program),
}

/// The handlers of a fold, found by event type.
pub(crate) type Handlers = ByType<TypeHandler>;

impl Typed for TypeHandler {
    fn event_type(&self) -> &Arc<str> {
        &self.event_type
    }
}

/// Compiles the handlers of a document. `given` are names whose values come with each event.
pub(crate) fn handlers(document: &Document, given: &[String], text: &Text<'_>) -> Parsed<Handlers> {
    let mut env = scope::base_env("state");
    scope::declare_given(&mut env, given);
    let compiler = Compiler { text, given };
    let lets = compiler.lets(&document.lets, &mut env)?;
    let cases = document.handlers.iter().map(|handler| handler.cases.len()).sum();
    check_work(cases, &document.lets, &env)?;
    let compile = |handler| compiler.handler(handler, &env, &lets);
    let list = document.handlers.iter().map(compile).collect::<Parsed<Vec<_>>>()?;
    Ok(Handlers::new(list))
}

/// Every handler sees the `let`s of the document: refuses a document in which both are so many
/// that their product would cost seconds or gigabytes.
pub(crate) fn check_work(cases: usize, lets: &[Let], env: &Env) -> Parsed<()> {
    const WORK_MAX: usize = 500_000;
    let shared = env.slots().len() + lets.len();
    match lets.first() {
        Some(first) if cases * shared > WORK_MAX => {
            let problem = "there are too many `let`s for that many handlers";
            Err(Refusal::new(first.expression.at, problem))
        }
        _ => Ok(()),
    }
}

/// Compiles what stands in the text of a document.
pub(crate) struct Compiler<'a> {
    pub(crate) text: &'a Text<'a>,
    /// Names whose values come with each event.
    pub(crate) given: &'a [String],
}

impl Compiler<'_> {
    pub(crate) fn program(&self, expression: &Expression, env: &mut Env) -> Parsed<Program> {
        cel::compile(&expression.ast, env).map_err(|error| self.refuse(expression, error))
    }

    /// A condition, which is true or false.
    pub(crate) fn condition(&self, expression: &Expression, env: &mut Env) -> Parsed<Program> {
        let named = |refusal: Box<Refusal>| refusal.path("when");
        let program = self.program(expression, env).map_err(named)?;
        if never_bool(&program) {
            let problem = "a condition must be true or false";
            return Err(named(Refusal::new(expression.at, problem)));
        }
        Ok(program)
    }

    fn refuse(&self, expression: &Expression, error: CelError) -> Box<Refusal> {
        let at = self.text.inside(expression.at, &expression.source, error.offset);
        Refusal::of_expression(at, error)
    }

    /// Compiles `let`s in order; each sees those before it.
    pub(crate) fn lets(&self, lets: &[Let], env: &mut Env) -> Parsed<Vec<CompiledLet>> {
        let mut compiled = Vec::with_capacity(lets.len());
        for entry in lets {
            let path = format!("let.{}", entry.name);
            let named = |refusal: Box<Refusal>| refusal.path(&path);
            if env.variable(&entry.name).is_some() {
                let taken = self.given.contains(&entry.name);
                let by = if taken { "`resolve`" } else { "another `let`" };
                let problem = format!("the name `{}` is taken by {by}", entry.name);
                return Err(named(Refusal::new(entry.expression.at, problem)));
            }
            let program = self.program(&entry.expression, env).map_err(named)?;
            env.declare_whole(&entry.name, program.static_type().clone());
            compiled.push(CompiledLet { path: path.into(), program: Arc::new(program) });
        }
        Ok(compiled)
    }

    fn handler(&self, handler: &Handler, base: &Env, lets: &[CompiledLet]) -> Parsed<TypeHandler> {
        let mut compiled = Vec::with_capacity(handler.cases.len());
        for (index, case) in handler.cases.iter().enumerate() {
            let name = case_name(&handler.event_type, handler.listed, index);
            let mut env = base.clone();
            let named = |refusal: Box<Refusal>| refusal.handler(&name);
            let case = self.case(case, name.clone(), handler, &mut env).map_err(named)?;
            compiled.push((case, env));
        }
        let first_let = FIRST_LET + self.given.len();
        let of_cases: Vec<&Program> =
            compiled.iter().flat_map(|(case, _)| case.programs()).collect();
        let needed = needed_lets(&of_cases, lets, first_let);
        let mut inputs = Inputs::default();
        let lets_used: Vec<&Program> = needed.iter().map(|(_, entry)| &*entry.program).collect();
        let lets_sources = inputs.sources(&lets_used, base.slots());
        let mut cases = Vec::with_capacity(compiled.len());
        for (mut case, env) in compiled {
            let sources = inputs.sources(&case.programs(), env.slots());
            case.sources = sources;
            cases.push(case);
        }
        let by_case = cases.iter().flat_map(CompiledCase::programs);
        let programs: Vec<&Program> = by_case.chain(lets_used).collect();
        let given = scope::given_used(&programs, self.given.len());
        Ok(TypeHandler {
            event_type: handler.event_type.as_str().into(),
            inputs,
            given,
            lets: needed,
            lets_sources,
            document_lets: self.given.len() + lets.len(),
            cases,
        })
    }

    fn case(
        &self,
        case: &Case,
        name: String,
        handler: &Handler,
        env: &mut Env,
    ) -> Parsed<CompiledCase> {
        let lets = self.lets(&case.lets, env)?;
        let when = case.when.as_ref().map(|when| self.condition(when, env)).transpose()?;
        let mut assignments = Vec::new();
        if let Action::Assign(written) = &case.action {
            for assignment in written {
                let named = |refusal: Box<Refusal>| refusal.path(&assignment.path_source);
                assignments.push(self.assignment(assignment, handler, env).map_err(named)?);
            }
        }
        let deletes = matches!(case.action, Action::Delete);
        Ok(CompiledCase { name, sources: Vec::new(), lets, when, deletes, assignments })
    }

    fn assignment(
        &self,
        assignment: &Assignment,
        handler: &Handler,
        env: &mut Env,
    ) -> Parsed<CompiledAssignment> {
        let target = self.target(assignment, env)?;
        let right = match &assignment.right {
            Right::Literal(value) => CompiledRight::Constant(value.clone()),
            Right::Expression(expression) => {
                let program = self.program(expression, env)?;
                let whole = Computed { program, sum: Sum::of(&expression.ast, env) };
                let items = appended(&assignment.path, &expression.ast)
                    .filter(|_| !touched_elsewhere(assignment, handler));
                match items.and_then(|items| cel::compile(&items, env).ok()) {
                    Some(items) => CompiledRight::Append { whole, items },
                    None => CompiledRight::Computed(whole),
                }
            }
        };
        Ok(CompiledAssignment { path: assignment.path_source.clone(), target, right })
    }

    fn target(&self, assignment: &Assignment, env: &mut Env) -> Parsed<Target> {
        let segments = &assignment.path.segments;
        if segments.len() > JSON_DEPTH_MAX {
            let problem = format!("a path has at most {JSON_DEPTH_MAX} parts");
            return Err(Refusal::new(assignment.at, problem));
        }
        let mut steps = Vec::with_capacity(segments.len());
        for segment in segments {
            steps.push(match segment {
                Segment::Key(key) => TargetStep::Known(Step::key(key)),
                Segment::Index(index) => TargetStep::Known(Step::index(*index)),
                Segment::Computed(computed) => {
                    let program = cel::compile(&computed.ast, env).map_err(|mut error| {
                        error.offset += computed.offset;
                        let written = &assignment.path_source;
                        let at = self.text.inside(assignment.at, written, error.offset);
                        Refusal::of_expression(at, error)
                    })?;
                    TargetStep::Program(program)
                }
            });
        }
        if !assignment.path.is_static() {
            return Ok(Target::Computed(steps));
        }
        let known = |step| match step {
            TargetStep::Known(step) => Some(step),
            TargetStep::Program(_) => None,
        };
        Ok(Target::Static(steps.into_iter().filter_map(known).collect()))
    }
}

/// Whether the type of a program is known, and is not bool.
pub(crate) fn never_bool(program: &Program) -> bool {
    use crate::cel::StaticType;
    !matches!(program.static_type(), StaticType::Dyn | StaticType::Known(TypeValue::Bool))
}

/// The `let`s of the document that programs need, those of other `let`s included.
pub(crate) fn needed_lets(
    programs: &[&Program],
    lets: &[CompiledLet],
    first_let: usize,
) -> Vec<(usize, CompiledLet)> {
    let mut needed = vec![false; lets.len()];
    for index in (0..lets.len()).rev() {
        let variable = first_let + index;
        let by_program = programs.iter().any(|program| program.uses_variable(variable));
        let by_let = lets
            .iter()
            .zip(&needed)
            .any(|(other, needed)| *needed && other.program.uses_variable(variable));
        needed[index] = by_program || by_let;
    }
    lets.iter()
        .enumerate()
        .filter(|(index, _)| needed[*index])
        .map(|(index, entry)| (first_let + index, entry.clone()))
        .collect()
}

/// Whether another assignment for the same event may change the target before this one does.
fn touched_elsewhere(assignment: &Assignment, handler: &Handler) -> bool {
    handler
        .cases
        .iter()
        .filter_map(|case| match &case.action {
            Action::Assign(assignments) => Some(assignments),
            Action::Delete => None,
        })
        .flatten()
        .filter(|other| !std::ptr::eq(*other, assignment))
        .any(|other| other.path.may_overlap(&assignment.path))
}

/// The items, if an expression is `state.<path> + items`.
fn appended(path: &Path, ast: &Ast) -> Option<Ast> {
    let Kind::Arithmetic(first, rest) = &ast.root.kind else { return None };
    let [(Binary::Add, items)] = rest.as_slice() else { return None };
    if path.segments.is_empty() || !is_place(first, &path.segments) {
        return None;
    }
    Some(Ast { root: Box::new(items.clone()) })
}

/// Whether an expression is `state` followed by the fields of a path.
fn is_place(expr: &Expr, segments: &[Segment]) -> bool {
    let mut expr = expr;
    for segment in segments.iter().rev() {
        match (&expr.kind, segment) {
            (Kind::Select { operand, field, optional: false }, Segment::Key(key))
                if field == key =>
            {
                expr = operand;
            }
            _ => return false,
        }
    }
    matches!(&expr.kind, Kind::Ident { name, absolute: false } if &**name == "state")
}

impl CompiledCase {
    /// All programs of the case.
    fn programs(&self) -> Vec<&Program> {
        let mut programs: Vec<&Program> = self.lets.iter().map(|entry| &*entry.program).collect();
        programs.extend(&self.when);
        for assignment in &self.assignments {
            match &assignment.right {
                CompiledRight::Constant(_) => {}
                CompiledRight::Computed(whole) => programs.push(&whole.program),
                CompiledRight::Append { whole, items } => programs.extend([&whole.program, items]),
            }
            if let Target::Computed(steps) = &assignment.target {
                programs.extend(steps.iter().filter_map(|step| match step {
                    TargetStep::Program(program) => Some(program),
                    TargetStep::Known(_) => None,
                }));
            }
        }
        programs
    }
}
