//! Documents to passes that run.
//!
//! A pass finds its places once, and then makes its changes: first renames and defaults, then what
//! is computed, which sees these. A default inside of what a rename moves, or in its old place,
//! cannot be told from what was found before: then defaults are a pass of their own.

use crate::cel::Program;
use crate::fold::compile::Compiler;
use crate::fold::document::Expression;
use crate::fold::inputs::Inputs;
use crate::fold::refusal::{Parsed, Refusal, Source as Text};
use crate::fold::scope::{self, META, MetaField, Source};

use super::document::{Document, Rename, Target};
use super::normal::json_text;
use super::tree::Tree;

/// One walk through the data of an event.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(super) tree: Tree,
    pub(super) steps: Vec<Step>,
    /// The texts of its defaults, one after the other.
    pub(super) texts: Vec<u8>,
    /// Whether its entries compute; else they rename or are defaults.
    pub(super) computes: bool,
    /// Whether something that it writes and that is known is spelled with an escape.
    pub(super) escapes: bool,
}

/// What an entry does.
#[derive(Debug)]
pub(super) struct Step {
    /// The entry in errors.
    pub(super) name: String,
    pub(super) kind: StepKind,
}

#[derive(Debug)]
pub(super) enum StepKind {
    /// From node to node, by so many levels deeper.
    Rename { from: usize, to: usize, depth: usize },
    /// A part of the texts of the pass.
    Default { at: usize, first: usize, last: usize },
    /// A value for a node at that depth.
    Compute { at: usize, depth: usize, program: Program },
}

/// The computed fields of a mapping: what they read.
#[derive(Debug, Default)]
pub(super) struct Computed {
    pub(super) inputs: Inputs,
    pub(super) sources: Vec<Source>,
}

/// Compiles a document.
pub(super) fn compile(document: Document, text: &Text<'_>) -> Parsed<(Vec<Pass>, Computed)> {
    let Document { renames, defaults, computed, .. } = document;
    let apart = defaults.iter().any(|(target, _)| renames.iter().any(|known| hides(known, target)));
    let mut passes = vec![Pass::new()];
    renames.into_iter().for_each(|rename| passes[0].rename(rename));
    if apart {
        passes.push(Pass::new());
    }
    for (target, value) in &defaults {
        passes[usize::from(apart)].default(target, json_text(value).as_bytes());
    }
    let (pass, found) = compute(computed, text)?;
    passes.push(pass);
    passes.retain(|pass| !pass.steps.is_empty());
    passes.iter_mut().for_each(Pass::note_escapes);
    Ok((passes, found))
}

/// Compiles what is computed, and finds out what that reads.
fn compute(entries: Vec<(Target, Expression)>, text: &Text<'_>) -> Parsed<(Pass, Computed)> {
    // No expression can name the empty name: there is no state.
    let mut env = scope::base_env("");
    let compiler = Compiler { text, given: &[] };
    let pass = Pass::of_computed(entries, |expression| {
        let program = compiler.program(expression, &mut env)?;
        check_meta(&program, env.slots(), expression)?;
        Ok(program)
    })?;
    let programs: Vec<&Program> = pass.computed().map(|(.., program)| program).collect();
    let mut inputs = Inputs::default();
    let sources = inputs.sources(&programs, env.slots());
    Ok((pass, Computed { inputs, sources }))
}

/// Whether the value of a place is unknown in the pass of a rename.
fn hides(rename: &Rename, target: &Target) -> bool {
    target.is_within(&rename.from)
        || target.is_within(&rename.to) && target.keys.len() > rename.to.keys.len()
}

impl Pass {
    fn new() -> Self {
        Self {
            tree: Tree::new(),
            steps: Vec::new(),
            texts: Vec::new(),
            computes: false,
            escapes: false,
        }
    }

    fn rename(&mut self, rename: Rename) {
        let Rename { from, to } = rename;
        let depth = to.keys.len();
        let kind = StepKind::Rename {
            from: self.tree.add(&from.keys),
            to: self.tree.add(&to.keys),
            depth,
        };
        self.steps.push(Step { name: from.name, kind });
    }

    fn default(&mut self, target: &Target, text: &[u8]) {
        let first = self.texts.len();
        self.texts.extend_from_slice(text);
        let at = self.tree.add(&target.keys);
        let kind = StepKind::Default { at, first, last: self.texts.len() };
        self.steps.push(Step { name: target.name.clone(), kind });
    }

    /// A pass that computes; `compile` is given each expression.
    pub(crate) fn of_computed(
        entries: Vec<(Target, Expression)>,
        mut compile: impl FnMut(&Expression) -> Parsed<Program>,
    ) -> Parsed<Self> {
        let mut pass = Self { computes: true, ..Self::new() };
        for (target, expression) in entries {
            let program =
                compile(&expression).map_err(|refusal: Box<Refusal>| refusal.path(&target.name))?;
            let (at, depth) = (pass.tree.add(&target.keys), target.keys.len());
            let kind = StepKind::Compute { at, depth, program };
            pass.steps.push(Step { name: target.name, kind });
        }
        Ok(pass)
    }

    /// The programs of what it computes, each with its entry in errors and the depth of its place.
    pub(crate) fn computed(&self) -> impl Iterator<Item = (&str, usize, &Program)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Compute { depth, program, .. } => Some((&*step.name, *depth, program)),
            StepKind::Rename { .. } | StepKind::Default { .. } => None,
        })
    }

    fn note_escapes(&mut self) {
        let escaped = |text: &[u8]| text.contains(&b'\\');
        self.escapes =
            escaped(&self.texts) || self.tree.nodes.iter().any(|node| escaped(&node.written));
    }
}

/// What mappings do not read: where an event stands, which nobody knows before it is stored, and
/// what a reader of single events does not know of them.
const UNKNOWN: [MetaField; 4] =
    [MetaField::Root, MetaField::Mapped, MetaField::Version, MetaField::Position];

/// Refuses [`UNKNOWN`] fields, and `meta` as a whole, which has them.
fn check_meta(program: &Program, slots: &[(usize, String)], expression: &Expression) -> Parsed<()> {
    let unknown = |slot: &usize| {
        slots.get(*slot).is_some_and(|(variable, name)| {
            let field = scope::meta_field(name);
            *variable == META && field.is_some_and(|field| UNKNOWN.contains(&field))
        })
    };
    if program.uses_variable(META) || program.slots().iter().any(unknown) {
        let problem = "a mapping reads fields of `meta` by their names, and none of `version`, \
                       `position`, `root` and `mapped`";
        return Err(Refusal::new(expression.at, problem));
    }
    Ok(())
}
