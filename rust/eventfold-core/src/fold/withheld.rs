//! States for those who may not see personal values.

use crate::error::CoreError;
use crate::json::absent::{Shown, with_absent, without_absent};
use crate::json::scan::scan_value;
use crate::json::write::write_value;

use super::Marks;

impl Marks {
    /// A state text as others may see it, with `null` also in place of what is marked; `erased` and
    /// `withheld` are pointers to the `null`s that stand for absent values already.
    pub fn withhold_text<'a>(
        &self,
        state: &[u8],
        erased: impl IntoIterator<Item = &'a str>,
        withheld: impl IntoIterator<Item = &'a str>,
    ) -> Result<Shown, CoreError> {
        let mut text = with_absent(state, erased, withheld);
        if !self.is_empty() {
            let value = scan_value(&text).map_err(|_| not_a_state())?;
            text.clear();
            write_value(&self.withhold(&value), &mut text).map_err(|_| not_a_state())?;
        }
        Ok(without_absent(&text).unwrap_or(Shown { text, ..Shown::default() }))
    }
}

fn not_a_state() -> CoreError {
    CoreError::new("INVALID_REQUEST", "the state is not valid JSON")
        .fact("field", "state")
        .fact("problem", "syntax")
}

#[cfg(test)]
mod tests {
    use crate::cel::marks::Mark;

    use super::*;

    fn marks(name: &str) -> Marks {
        let mut mark = Mark::default();
        mark.put(&[Some(name.into())], &Mark::whole());
        Marks::new(mark)
    }

    #[test]
    fn what_is_marked_is_withheld_and_what_is_erased_stays_so() {
        let state = br#"{"a":1.50,"b":{"c":"x"},"d":null,"e":[null]}"#;
        let shown = marks("b").withhold_text(state, ["/d"], ["/e/0"]).unwrap();
        assert_eq!(shown.text, br#"{"a":1.50,"b":null,"d":null,"e":[null]}"#);
        assert_eq!(shown.erased, ["/d"]);
        assert_eq!(shown.withheld, ["/b", "/e/0"]);
        let shown = marks("d").withhold_text(state, ["/d"], []).unwrap();
        assert_eq!(shown.text, state);
        assert_eq!(shown.erased, ["/d"]);
        assert!(shown.withheld.is_empty());
    }

    #[test]
    fn without_marks_nothing_else_is_absent() {
        let shown = Marks::default().withhold_text(b"{ \"a\": null }", ["/a"], []).unwrap();
        assert_eq!(shown.text, b"{ \"a\": null }");
        assert_eq!(shown.erased, ["/a"]);
    }

    #[test]
    fn a_text_that_is_no_json_is_refused() {
        let error = marks("a").withhold_text(b"{", [], []).unwrap_err();
        assert_eq!(error.reason, "INVALID_REQUEST");
    }
}
