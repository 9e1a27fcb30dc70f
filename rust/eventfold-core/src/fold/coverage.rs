//! What stored events reach of a fold: which handlers, and which of the fields that they read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::value::Value;

use super::Fold;
use super::compile::TypeHandler;

/// Gathers what runs of one fold reach; shared by runs in any number of threads.
#[derive(Debug)]
pub struct Coverage {
    fold: Arc<Fold>,
    /// One for each event type with a handler, in the order of the document.
    types: Vec<TypeCoverage>,
    index: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct TypeCoverage {
    /// Whether an event of the type was read.
    read: AtomicBool,
    /// Whether an event reached the case, and its condition was true.
    cases: Vec<AtomicBool>,
    /// Whether an event had the field.
    fields: Vec<AtomicBool>,
}

impl Coverage {
    /// Begins with nothing reached.
    pub fn new(fold: &Arc<Fold>) -> Self {
        let unseen = |count: usize| (0..count).map(|_| AtomicBool::new(false)).collect();
        let types = fold.handlers.iter().map(|handler| TypeCoverage {
            read: AtomicBool::new(false),
            cases: unseen(handler.cases.len()),
            fields: unseen(handler.inputs.wanted.len()),
        });
        let names = fold.handlers.iter().map(|handler| Arc::clone(&handler.event_type));
        Self { types: types.collect(), index: names.zip(0..).collect(), fold: Arc::clone(fold) }
    }

    /// Whether this is the coverage of that very fold.
    pub fn is_of(&self, fold: &Arc<Fold>) -> bool {
        Arc::ptr_eq(&self.fold, fold)
    }

    /// The handlers that no event reached, or whose condition was never true, in the order of
    /// the document; named as in errors.
    pub fn unused_handlers(&self) -> Vec<String> {
        let mut unused = Vec::new();
        for (handler, known) in self.fold.handlers.iter().zip(&self.types) {
            for (case, reached) in handler.cases.iter().zip(&known.cases) {
                if !reached.load(Ordering::Relaxed) {
                    unused.push(case.name.clone());
                }
            }
        }
        unused
    }

    /// The top-level fields that handlers name and that no event of their type had, each with
    /// the type. Types of which there was no event are passed over: nothing is known of them.
    pub fn unseen_fields(&self) -> Vec<(String, String)> {
        let mut unseen = Vec::new();
        for (handler, known) in self.fold.handlers.iter().zip(&self.types) {
            if !known.read.load(Ordering::Relaxed) {
                continue;
            }
            for (name, seen) in handler.inputs.wanted.iter().zip(&known.fields) {
                if !seen.load(Ordering::Relaxed) {
                    unseen.push((handler.event_type.to_string(), name.clone()));
                }
            }
        }
        unseen
    }

    /// Notes an event: which of the wanted fields it has, and the cases whose condition was true.
    pub(super) fn note(&self, handler: &TypeHandler, fields: &[Option<Value>], cases: &[usize]) {
        let place = self.index.get(&handler.event_type);
        let Some(known) = place.and_then(|place| self.types.get(*place)) else { return };
        set(&known.read);
        let found = known.fields.iter().zip(fields).filter(|(_, field)| field.is_some());
        found.for_each(|(seen, _)| set(seen));
        cases.iter().filter_map(|case| known.cases.get(*case)).for_each(set);
    }
}

/// Looking first keeps the memory of the flag shared between threads once it is set.
fn set(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}
