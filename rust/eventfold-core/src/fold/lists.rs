//! Lists in documents: of categories, and of whatever else has names.

use crate::limits::CATEGORY_CHARS_MAX;

use super::refusal::{Parsed, Refusal};
use super::tree::{Kind, Node};

/// The items of a list of one to `items_max`.
pub(crate) fn list<'a>(node: &'a Node, what: &str, items_max: usize) -> Parsed<&'a [Node]> {
    match &node.kind {
        Kind::List(items) if (1..=items_max).contains(&items.len()) => Ok(items),
        _ => {
            let problem = format!("`{what}` is a list of 1 to {items_max}");
            Err(Refusal::new(node.at, problem))
        }
    }
}

/// The names of a list, each of which stands once, in byte order.
pub(crate) fn names(
    node: &Node,
    what: &str,
    items_max: usize,
    read: impl Fn(&Node) -> Parsed<String>,
) -> Parsed<Vec<String>> {
    let nodes = list(node, what, items_max)?;
    let mut names = Vec::with_capacity(nodes.len());
    for node in nodes {
        let name = read(node)?;
        if names.contains(&name) {
            return Err(Refusal::new(node.at, format!("`{name}` stands twice")));
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

/// A list of categories.
pub(crate) fn categories(node: &Node, what: &str, items_max: usize) -> Parsed<Vec<String>> {
    names(node, what, items_max, category)
}

/// The name of a category.
pub(crate) fn category(node: &Node) -> Parsed<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match node.text() {
        Some(name)
            if (1..=CATEGORY_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed) =>
        {
            Ok(name.to_owned())
        }
        _ => {
            let problem = format!(
                "a category has 1 to {CATEGORY_CHARS_MAX} of the characters A-Z, a-z, 0-9 and `_`"
            );
            Err(Refusal::new(node.at, problem))
        }
    }
}
