//! What the events of an append refer to, where their types demand that it is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Append;
use crate::envelope::{References, uuid_text};
use crate::error::CoreError;

/// References that must lead somewhere, without those that the append itself fulfils: events that
/// stand in it before, and streams that it begins before.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    demands: Vec<Demand>,
}

/// One reference.
#[derive(Debug, Clone)]
struct Demand {
    /// The part of the append, and the event in it, from 0.
    part: usize,
    event: usize,
    target: Target,
}

#[derive(Debug, Clone)]
enum Target {
    /// A stored event.
    Event([u8; 16]),
    /// A stream that has begun.
    Stream(Arc<str>),
    /// The event that refers.
    Own([u8; 16]),
    /// An event that stands in the append behind it.
    Later([u8; 16]),
}

impl Demands {
    /// What an append demands; `demanded`: whether an event type does.
    pub fn of(append: &Append, demanded: impl Fn(&str) -> bool) -> Self {
        let mut demands = Vec::new();
        // Most appends refer to nothing: what they bring themselves is only noted when needed.
        let mut own: Option<Own<'_>> = None;
        for (part_index, part) in append.parts.iter().enumerate() {
            for (event, references) in part.references() {
                if !demanded(part.event_type(event)) {
                    continue;
                }
                let own = own.get_or_insert_with(|| Own::of(append));
                let place = (part_index, event);
                let events = references.events.iter().filter_map(|id| own.event(id, place));
                let streams = references.streams.iter().filter_map(|name| own.stream(name, place));
                let demand = |target| Demand { part: part_index, event, target };
                demands.extend(events.chain(streams).map(demand));
            }
        }
        Self { demands }
    }

    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.demands.is_empty()
    }

    /// What must be looked up: events that must be stored, and streams that must have begun.
    pub fn sought(&self) -> References {
        let mut sought = References::default();
        for demand in &self.demands {
            match &demand.target {
                Target::Event(id) => drop(sought.events.insert(*id)),
                Target::Stream(name) => drop(sought.streams.insert(Arc::clone(name))),
                Target::Own(_) | Target::Later(_) => {}
            }
        }
        sought
    }

    /// The refusal of each part of the append that refers to what is not there, with the index of
    /// the part, in order; for an append to one stream at most one. Given is what was looked up in
    /// vain.
    pub fn refusals(
        &self,
        missing_events: &HashSet<[u8; 16]>,
        missing_streams: &HashSet<String>,
    ) -> Vec<(usize, CoreError)> {
        let is_broken = |demand: &&Demand| match &demand.target {
            Target::Event(id) => missing_events.contains(id),
            Target::Stream(name) => missing_streams.contains(&**name),
            Target::Own(_) | Target::Later(_) => true,
        };
        let broken: Vec<&Demand> = self.demands.iter().filter(is_broken).collect();
        let parts = broken.chunk_by(|one, other| one.part == other.part);
        parts.map(|part| (part[0].part, part[0].refusal(part.len()))).collect()
    }
}

impl Demand {
    fn refusal(&self, count: usize) -> CoreError {
        let (problem, message) = match self.target {
            Target::Event(_) => ("missing", "the event refers to an event that is not stored"),
            Target::Stream(_) => ("missing", "the event refers to a stream without events"),
            Target::Own(_) => ("own", "the event refers to itself"),
            Target::Later(_) => ("later", "the event refers to one behind it in the same append"),
        };
        let refusal = CoreError::new("REFERENCE_NOT_FOUND", message)
            .fact("event_index", self.event)
            .fact("problem", problem);
        let refusal = match &self.target {
            Target::Stream(name) => refusal.fact("stream", name),
            Target::Event(id) | Target::Own(id) | Target::Later(id) => {
                refusal.fact("event_id", uuid_text(id))
            }
        };
        refusal.fact("count", count)
    }
}

/// The part of the append, and the index of the event in it; in the order of the log.
type Place = (usize, usize);

/// What an append brings itself.
struct Own<'a> {
    events: HashMap<&'a [u8; 16], Place>,
    /// By name the number of the part.
    streams: HashMap<&'a str, usize>,
}

impl<'a> Own<'a> {
    fn of(append: &'a Append) -> Self {
        let parts = append.parts.iter().enumerate();
        let events = parts.clone().flat_map(|(part_index, part)| {
            part.events().enumerate().map(move |(index, event)| (event.id, (part_index, index)))
        });
        let streams = parts.clone().map(|(index, part)| (part.stream(), index));
        Self { events: events.collect(), streams: streams.collect() }
    }

    /// What an event at a place demands by naming an event; `None`: nothing, it comes before.
    fn event(&self, id: &[u8; 16], place: Place) -> Option<Target> {
        match self.events.get(id) {
            None => Some(Target::Event(*id)),
            Some(own) if *own < place => None,
            Some(own) if *own == place => Some(Target::Own(*id)),
            Some(_) => Some(Target::Later(*id)),
        }
    }

    /// The same by naming a stream: its own has begun for all but the first event.
    fn stream(&self, name: &Arc<str>, (part, event): Place) -> Option<Target> {
        match self.streams.get(&**name) {
            Some(own) if *own < part || *own == part && event > 0 => None,
            _ => Some(Target::Stream(Arc::clone(name))),
        }
    }
}
