//! The tags of one row.

use super::column::{Element, Elements};

/// The tags of one event, in their stored order.
#[derive(Debug, Clone)]
pub struct Tags<'a>(Source<'a>);

#[derive(Debug, Clone)]
enum Source<'a> {
    /// A binary array of texts that was checked.
    Array(Elements<'a>),
    Texts(&'a [&'a str]),
}

impl<'a> Tags<'a> {
    /// No tags.
    pub fn none() -> Self {
        Self(Source::Texts(&[]))
    }

    /// Tags that are texts already.
    pub fn from_texts(tags: &'a [&'a str]) -> Self {
        Self(Source::Texts(tags))
    }

    /// Checks a binary array of texts without NULLs.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let elements = Elements::begin(bytes, Element::Text).ok()?;
        let mut rest = elements.clone();
        while let Some(tag) = rest.next().ok()? {
            std::str::from_utf8(tag?).ok()?;
        }
        Some(Self(Source::Array(elements)))
    }

    /// The number of tags.
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Array(elements) => elements.left(),
            Source::Texts(texts) => texts.len(),
        }
    }

    /// Whether there is no tag.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tags in order.
    pub fn iter(&self) -> TagsIter<'a> {
        TagsIter(self.0.clone())
    }
}

impl<'a> IntoIterator for &Tags<'a> {
    type Item = &'a str;
    type IntoIter = TagsIter<'a>;

    fn into_iter(self) -> TagsIter<'a> {
        self.iter()
    }
}

/// The tags of one event in order.
#[derive(Debug, Clone)]
pub struct TagsIter<'a>(Source<'a>);

impl<'a> Iterator for TagsIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            // Both errors are ruled out by `decode`.
            Source::Array(elements) => std::str::from_utf8(elements.next().ok()???).ok(),
            Source::Texts(texts) => {
                let (first, rest) = texts.split_first()?;
                *texts = rest;
                Some(first)
            }
        }
    }
}
