//! Pages of rows as they come from the database, whatever bytes they are.

use std::sync::{Arc, OnceLock};

use eventfold_core::fold::{Fold, FoldRun};
use eventfold_core::rows::{COLUMNS, Page, Rows};
use eventfold_core::wire::{encode_page, event_size};

use super::choices::Choices;

/// Handlers that read much, little and nothing of a row.
const FOLD: &str = r#"
fold: f
handlers:
  A: {meta: "{'id': meta.id, 'tags': meta.tags, 'at': meta.occurred_at, 'm': meta.metadata}"}
  B: {n: event.a}
  C: delete
"#;

/// For each column two bytes of length (65,535: absent), then its bytes.
pub fn rows_decode(data: &[u8]) {
    let mut choices = Choices::new(data);
    let columns: Vec<Option<&[u8]>> = (0..COLUMNS)
        .map(|_| {
            let length = u16::from_be_bytes([choices.byte(), choices.byte()]);
            (length != u16::MAX).then(|| choices.take(usize::from(length)))
        })
        .collect();
    let Ok(rows) = Rows::decode(columns) else { return };
    let mut size = 0;
    let mut good = true;
    for row in rows.iter() {
        match row {
            Ok(row) => {
                assert_eq!(row.tags.iter().count(), row.tags.len());
                let event = event_size(&row, row.stream.unwrap_or("s"));
                size += 1 + varint_size(event) + event;
            }
            Err(error) => {
                assert_eq!(error.reason, "BUG");
                good = false;
            }
        }
    }
    match encode_page(&rows, Some("s")) {
        Ok(page) => assert!(good && page.len() == size),
        Err(_) => assert!(!good),
    }
    static COMPILED: OnceLock<Arc<Fold>> = OnceLock::new();
    let fold = COMPILED.get_or_init(|| Arc::new(Fold::parse(FOLD).expect("the fold compiles")));
    let mut run = FoldRun::new(Arc::clone(fold), "a-1", "a-1");
    let fed = run.feed(&rows);
    assert_eq!(run.finish().is_ok(), fed.is_ok());
}

fn varint_size(number: usize) -> usize {
    (64 - (number as u64 | 1).leading_zeros() as usize).div_ceil(7)
}
