//! The copies of a page of events.

use indexmap::IndexMap;

use crate::envelope::{FLAG_ABSENT, FLAG_MAPPED, FLAG_SEALED};
use crate::error::CoreError;
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, TRANSFORM_PAGE_BYTES, TRANSFORM_PAGE_STEPS,
};
use crate::rows::{Page, Row};
use crate::rules::Rules;

use super::Transform;
use super::compile::TypeRules;
use super::copy::Copied;
use super::event::{Copier, Event, Memory};
use super::personal::Opened;

/// What copies are made for.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The id of the job: the namespace of the ids of copies.
    pub id: &'a [u8; 16],
    /// The rules in force, to which copies are held as all appends are.
    pub rules: &'a Rules,
    /// What pseudonyms are made under; without it they fail.
    pub pseudonym_key: Option<&'a [u8; 32]>,
    /// Whether copies are sealed before they are stored; if not, none may have personal values of
    /// its source.
    pub seals: bool,
    /// The rules of the store that is read: what they say is personal is left out of examples and
    /// errors, whatever rules copies are held to.
    pub hides: &'a Rules,
    /// Most events of each type of which an example is kept.
    pub examples_max: usize,
}

/// What became of the events of one type.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Events that were looked at.
    pub read: u64,
    /// Copies.
    pub written: u64,
    /// Copies of another type.
    pub renamed: u64,
    /// Events with more than one copy.
    pub split: u64,
    /// Events without a copy, but for those whose payload was deleted.
    pub dropped: u64,
    /// Of these, events that cancel another one, which counts again where it was copied.
    pub dropped_cancellations: u64,
    /// Events without a copy because their payload was deleted.
    pub deleted: u64,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its stream.
    pub stream: String,
    /// Its version.
    pub version: i64,
    /// Its position.
    pub position: i64,
    /// Its id.
    pub event_id: [u8; 16],
    /// Its type.
    pub event_type: String,
    /// Its data, with `null` for what is personal.
    pub data: Vec<u8>,
    /// Its copies, as a range of those of the page.
    pub copies: std::ops::Range<usize>,
    /// The data of the copies; in these too `null` stands for what is personal.
    pub copied: Vec<Vec<u8>>,
}

/// The copies of a page, or of the part of it that was done.
#[derive(Debug, Default)]
pub struct Copies {
    /// In the order of the source events, those of one in the order of its rules.
    pub events: Vec<Copied>,
    /// Index of the first row that was not done: of the one that failed, or where the page was left
    /// because it grew large or took long.
    pub next: usize,
    /// Why the row at `next` has no copies.
    pub failed: Option<CoreError>,
    /// By event type, in the order in which they came.
    pub counts: IndexMap<String, Count>,
    /// Of the first events of each type.
    pub examples: Vec<Example>,
    /// Data, metadata, types and tags of all copies.
    pub size_bytes: usize,
}

impl Transform {
    /// Copies the rows of a page from the one at index `first` on. The page has the names of the
    /// streams, and events as they are stored. It is left early where an event fails, where the
    /// copies have more than [`TRANSFORM_PAGE_BYTES`], and after [`TRANSFORM_PAGE_STEPS`].
    ///
    /// An error is that of a page that cannot be read. What fails of an event is TRANSFORM_FAILED,
    /// or EVENT_CORRUPT if this store did not validate it and it is not valid.
    pub fn copy(&self, page: &impl Page, first: usize, job: Job<'_>) -> Result<Copies, CoreError> {
        let mut copier = Copier {
            name: &self.name,
            targets: &self.targets,
            job: job.id,
            rules: job.rules,
            pseudonym_key: job.pseudonym_key,
            seals: job.seals,
            hides: job.hides,
            memory: Memory::default(),
        };
        let mut copies = Copies { next: first, ..Copies::default() };
        while copies.next < page.len() {
            let row = page.row(copies.next)?;
            let stream = row.stream.ok_or_else(|| bug("the page has no names of streams"))?;
            if self.targets.reads(stream) {
                if row.flags & FLAG_MAPPED != 0 {
                    return Err(bug("a transform reads events as they are stored"));
                }
                let root = match page.root(copies.next)? {
                    None if self.reads_root => return Err(bug("the page has no roots")),
                    root => root.unwrap_or(stream),
                };
                let opened = page.opened(copies.next);
                let hidden = row.flags & (FLAG_SEALED | FLAG_ABSENT) == FLAG_SEALED;
                if hidden && opened.is_empty() && !row.deleted {
                    return Err(not_opened());
                }
                let opened = Opened::of(opened);
                let event = Event { row: &row, index: copies.next, stream, root, opened };
                if let Err(error) = copies.add(self.rules_of(&row), &event, &mut copier, job) {
                    copies.failed = Some(error);
                    return Ok(copies);
                }
            }
            copies.next += 1;
            if copies.size_bytes > TRANSFORM_PAGE_BYTES
                || copier.memory.steps > TRANSFORM_PAGE_STEPS
            {
                break;
            }
        }
        Ok(copies)
    }

    fn rules_of(&self, row: &Row<'_>) -> Option<&TypeRules> {
        let named = self.rules.types.get(row.event_type.as_bytes());
        named.or(self.rules.others.as_ref())
    }
}

impl Copies {
    fn add(
        &mut self,
        rules: Option<&TypeRules>,
        event: &Event<'_>,
        copier: &mut Copier<'_>,
        job: Job<'_>,
    ) -> Result<(), CoreError> {
        let first = self.events.len();
        if let Some(rules) = rules.filter(|_| !event.row.deleted) {
            copier.copy(rules, event, &mut self.events)?;
        }
        self.count(event.row, first);
        let copies = &self.events[first..];
        self.size_bytes += copies.iter().map(|copy| copy.size_bytes).sum::<usize>();
        self.note(rules, event, first, copier, job.examples_max);
        Ok(())
    }

    fn count(&mut self, row: &Row<'_>, first: usize) {
        let copies = &self.events[first..];
        let count = match self.counts.get_mut(row.event_type) {
            Some(count) => count,
            None => self.counts.entry(row.event_type.to_owned()).or_default(),
        };
        let renamed = copies.iter().filter(|copy| *copy.event_type != *row.event_type).count();
        count.read += 1;
        count.written += copies.len() as u64;
        count.renamed += renamed as u64;
        count.split += u64::from(copies.len() > 1);
        count.deleted += u64::from(row.deleted);
        if copies.is_empty() && !row.deleted {
            count.dropped += 1;
            count.dropped_cancellations += u64::from(row.cancels.is_some());
        }
    }

    fn note(
        &mut self,
        rules: Option<&TypeRules>,
        event: &Event<'_>,
        first: usize,
        copier: &Copier<'_>,
        examples_max: usize,
    ) {
        let Event { row, stream, .. } = event;
        let known = || self.examples.iter().filter(|one| one.event_type == row.event_type).count();
        if examples_max == 0 || known() >= examples_max {
            return;
        }
        let shown = |copy: &Copied| {
            let types = rules?;
            let rule = types.rules.iter().find(|rule| rule.ordinal == copy.ordinal)?;
            let hidden = copier.hidden(event, types, rule, (copy.category(), &copy.event_type));
            Some(hidden.shown(&copy.data))
        };
        let shown = |copy: &Copied| shown(copy).unwrap_or_default();
        self.examples.push(Example {
            stream: (*stream).to_owned(),
            version: row.version,
            position: row.position,
            event_id: *row.event_id,
            event_type: row.event_type.to_owned(),
            data: copier.shown(event),
            copies: first..self.events.len(),
            copied: self.events[first..].iter().map(shown).collect(),
        });
    }

    /// The copies as appends: those of one target stream, in their order, as many as one append
    /// may have; in the order of the first of each.
    pub fn appends(&self) -> Vec<Vec<&Copied>> {
        let mut appends: Vec<(usize, Vec<&Copied>)> = Vec::new();
        let mut open: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
        for copy in &self.events {
            let known = open.get(&*copy.stream).copied().filter(|place| {
                let (bytes, events) = &appends[*place];
                events.len() < APPEND_EVENTS_MAX && bytes + copy.size_bytes <= APPEND_BYTES_MAX
            });
            let place = known.unwrap_or_else(|| {
                appends.push((copy.stream.len(), Vec::new()));
                appends.len() - 1
            });
            open.insert(&copy.stream, place);
            appends[place].0 += copy.size_bytes;
            appends[place].1.push(copy);
        }
        appends.into_iter().map(|(_, events)| events).collect()
    }
}

fn not_opened() -> CoreError {
    CoreError::new(
        "KEYS_UNAVAILABLE",
        "events of the sources have sealed values, and this server has no key store",
    )
    .fact("problem", "not_configured")
}

fn bug(problem: &str) -> CoreError {
    CoreError::new("BUG", problem)
}
