//! A JSON text as a tree of places in it, made by the strict check as it goes.

use std::borrow::Cow;

use super::check::Sink;
use super::escapes::unescape;

/// Members of larger objects are found through an index.
const COMPARED_MAX: usize = 16;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// A string whose spelling has escapes.
    escaped: bool,
    key: Key,
    /// Of a scalar: first byte and the one behind it, without quotes. Of a container: how many
    /// values it has, and where its index begins.
    extent: (u32, u32),
    /// The node behind all that is inside.
    next: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    /// It stands in `keys`, not in the text.
    unescaped: bool,
    extent: (u32, u32),
}

/// The values of one text: the outermost first, each before what is inside of it. It keeps its
/// memory between texts, which have less than 4 GiB.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Keys whose spelling has escapes.
    keys: String,
    /// Members of large objects, in the order of their keys.
    order: Vec<u32>,
    /// Containers that have not ended.
    open: Vec<u32>,
    /// Of the value that comes next.
    key: Key,
}

/// A value in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    tree: &'a Tree,
    text: &'a str,
    index: u32,
}

impl Sink for Tree {
    fn begin(&mut self) {
        self.nodes.clear();
        self.keys.clear();
        self.order.clear();
        self.open.clear();
        self.key = Key::default();
    }

    fn open(&mut self, text: &[u8], start: usize) {
        let kind = if text[start] == b'{' { Kind::Object } else { Kind::Array };
        let index = self.push(kind, false, (0, 0));
        self.open.push(index);
    }

    fn close(&mut self, text: &[u8]) {
        let Some(index) = self.open.pop() else { return };
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[index as usize];
        node.next = next;
        if node.kind == Kind::Object && node.extent.0 as usize > COMPARED_MAX {
            node.extent.1 = self.order.len() as u32;
            self.sort(index, text);
        }
    }

    fn key(&mut self, start: usize, end: usize, unescaped: Option<&[u8]>) {
        self.key = match unescaped.and_then(|key| std::str::from_utf8(key).ok()) {
            None => Key { unescaped: false, extent: (start as u32, end as u32) },
            Some(key) => {
                let start = self.keys.len() as u32;
                self.keys.push_str(key);
                Key { unescaped: true, extent: (start, self.keys.len() as u32) }
            }
        };
    }

    fn scalar(&mut self, text: &[u8], start: usize, end: usize, escaped: bool) {
        let (kind, start, end) = match text[start] {
            b'"' => (Kind::String, start + 1, end - 1),
            b'n' => (Kind::Null, start, end),
            b't' => (Kind::True, start, end),
            b'f' => (Kind::False, start, end),
            _ => (Kind::Number, start, end),
        };
        self.push(kind, escaped, (start as u32, end as u32));
    }
}

impl Tree {
    /// A tree of one string, whose text is `root` with that string.
    pub(crate) fn of_string(&mut self, string: &str) {
        self.begin();
        self.push(Kind::String, false, (0, string.len() as u32));
    }

    /// The outermost value of the text that was checked last.
    pub(crate) fn root<'a>(&'a self, text: &'a str) -> Place<'a> {
        Place { tree: self, text, index: 0 }
    }

    fn push(&mut self, kind: Kind, escaped: bool, extent: (u32, u32)) -> u32 {
        if let Some(&parent) = self.open.last() {
            self.nodes[parent as usize].extent.0 += 1;
        }
        let index = self.nodes.len() as u32;
        let key = std::mem::take(&mut self.key);
        self.nodes.push(Node { kind, escaped, key, extent, next: index + 1 });
        index
    }

    /// Adds the members of an object that has ended to the index.
    fn sort(&mut self, object: u32, text: &[u8]) {
        let Self { nodes, keys, order, .. } = self;
        let first = order.len();
        let mut index = object + 1;
        while index < nodes[object as usize].next {
            order.push(index);
            index = nodes[index as usize].next;
        }
        let key = |index: &u32| {
            let Key { unescaped, extent: (start, end) } = nodes[*index as usize].key;
            let text = if unescaped { keys.as_bytes() } else { text };
            &text[start as usize..end as usize]
        };
        order[first..].sort_unstable_by(|left, right| key(left).cmp(key(right)));
    }
}

impl<'a> Place<'a> {
    fn node(&self) -> &'a Node {
        &self.tree.nodes[self.index as usize]
    }

    fn at(&self, index: u32) -> Self {
        Self { index, ..*self }
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        self.node().kind
    }

    /// Tells it from all others of the text.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Address of the tree, which is the same for all places of a text.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self.tree) as usize
    }

    /// A scalar as it is spelled, a string without its quotes.
    pub(crate) fn spelling(&self) -> &'a str {
        let (start, end) = self.node().extent;
        &self.text[start as usize..end as usize]
    }

    /// What a string says.
    pub(crate) fn string(&self) -> Cow<'a, str> {
        let spelling = self.spelling();
        match self.node().escaped {
            false => Cow::Borrowed(spelling),
            true => Cow::Owned(unescape(spelling.as_bytes()).unwrap_or_default()),
        }
    }

    /// How many values a container has.
    pub(crate) fn len(&self) -> usize {
        self.node().extent.0 as usize
    }

    /// The key of a member.
    pub(crate) fn key(&self) -> &'a str {
        let Key { unescaped, extent: (start, end) } = self.node().key;
        let text = if unescaped { &self.tree.keys } else { self.text };
        &text[start as usize..end as usize]
    }

    /// The values of a container, in their order.
    pub(crate) fn values(&self) -> Values<'a> {
        Values { next: self.at(self.index + 1), end: self.node().next }
    }

    /// The member of an object that has this key.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let (members, first) = self.node().extent;
        let (members, first) = (members as usize, first as usize);
        if members <= COMPARED_MAX {
            return self.values().find(|member| member.key() == key);
        }
        let order = &self.tree.order[first..first + members];
        let found = order.binary_search_by(|index| self.at(*index).key().cmp(key)).ok()?;
        Some(self.at(order[found]))
    }
}

/// The values of a container.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    next: Place<'a>,
    end: u32,
}

impl<'a> Iterator for Values<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        let place = self.next;
        if place.index >= self.end {
            return None;
        }
        self.next.index = place.node().next;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Place, Tree};
    use crate::json::check::Checker;

    fn values(place: Place<'_>) -> Vec<Place<'_>> {
        place.values().collect()
    }

    #[test]
    fn a_tree_has_all_values_of_its_text() {
        let text = r#" {"a": [1, -2.50, "x\n"], "\u0062": {}, "c": [true, false, null, []]} "#;
        let mut tree = Tree::default();
        Checker::default().check_into(text.as_bytes(), true, &mut tree).unwrap();
        let root = tree.root(text);
        assert_eq!((root.kind(), root.len()), (Kind::Object, 3));
        let keys: Vec<_> = root.values().map(|member| member.key()).collect();
        assert_eq!(keys, ["a", "b", "c"]);
        let list = values(root.get("a").unwrap());
        assert_eq!(list.iter().map(Place::spelling).collect::<Vec<_>>(), ["1", "-2.50", "x\\n"]);
        assert_eq!(list[2].string(), "x\n");
        assert_eq!(root.get("b").map(|place| (place.kind(), place.len())), Some((Kind::Object, 0)));
        let kinds: Vec<_> = root.get("c").unwrap().values().map(|place| place.kind()).collect();
        assert_eq!(kinds, [Kind::True, Kind::False, Kind::Null, Kind::Array]);
        assert!(root.get("d").is_none());
    }

    #[test]
    fn members_of_large_objects_are_found_by_their_keys() {
        for members in [16, 17, 300] {
            let key = |number: usize| format!("{}\\u00e4", number * 7919 % 1_000);
            let body: Vec<_> = (0..members).map(|n| format!("\"{}\": {n}", key(n))).collect();
            // An object inside must not disturb the index of the one around it.
            let text = format!("{{\"in\": {{{0}}}, {0}}}", body.join(","));
            let mut tree = Tree::default();
            let checked = Checker::default().check_into(text.as_bytes(), true, &mut tree);
            assert!(checked.unwrap().escaped_keys);
            let root = tree.root(&text);
            for object in [root, root.get("in").unwrap()] {
                for number in 0..members {
                    let name = key(number).replace("\\u00e4", "ä");
                    let found = object.get(&name).map(|place| place.spelling().to_owned());
                    assert_eq!(found, Some(number.to_string()));
                }
                assert!(object.get("ä").is_none());
            }
        }
    }
}
