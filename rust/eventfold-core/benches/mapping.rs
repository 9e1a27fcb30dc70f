//! Nanoseconds that mapping an event costs, beside those of encoding it.
//!
//! `cargo bench --bench mapping`, or with `-- PART` as for `fold`. Events have about 200 bytes of
//! data, in pages as PostgreSQL sends them.

#[path = "../tests/common/mod.rs"]
mod common;
mod measure;

use std::hint::black_box;
use std::sync::Arc;

use common::{Event, columns};
use eventfold_core::mapping::{Mapper, Mapping, Mappings};
use eventfold_core::rows::{Page, Rows};
use eventfold_core::wire::encode_page;
use measure::{EVENTS, PAGE, measure};

const MAPPINGS: [(&str, &str); 6] = [
    ("of another type", "mapping: B\nrenames: {mail: email}"),
    ("that changes nothing", "mapping: A\ndefaults: {mail: '', address.city: ''}"),
    ("two defaults", "mapping: A\ndefaults: {country: CH, address.zone: null}"),
    ("a rename", "mapping: A\nrenames: {mail: email}"),
    (
        "renames and defaults",
        "mapping: A\nrenames: {mail: email, plz: address.zip}\n\
         defaults: {country: CH, address.zone: null}",
    ),
    ("a computed field", "mapping: A\ncomputed: {full_name: \"event.first + ' ' + event.last\"}"),
];

fn events() -> Vec<Event> {
    let event = |index: usize| {
        let data = format!(
            r#"{{"first":"Ada","last":"Lovelace {index}","mail":"ada.{index}@example.org",
"plz":"8001","address":{{"street":"Bahnhofstrasse 1","city":"Z\u00fcrich"}},"age":36,
"balance":1234.50,"note":"{}"}}"#,
            "x".repeat(24)
        );
        Event::new(index as i64 + 1, "A", &data)
    };
    (0..EVENTS).map(event).collect()
}

fn main() {
    let pages: Vec<_> =
        events().chunks(PAGE).map(|page| Rows::decode(columns(page)).expect("decodes")).collect();
    measure("encode pages", || {
        for rows in &pages {
            black_box(encode_page(rows, Some("user-1")).expect("the page encodes"));
        }
    });
    for (name, source) in MAPPINGS {
        let mapping = Mapping::parse(source).expect("the mapping compiles");
        let mappings = Mappings::new([Arc::new(mapping)]);
        measure(&format!("map, {name}"), || {
            let mut mapper = Mapper::default();
            for rows in &pages {
                let mut mapped = Vec::with_capacity(rows.payload_bytes());
                for row in rows.iter() {
                    let row = row.expect("the row can be read");
                    black_box(mappings.apply(&row, "user-1", &mut mapper, &mut mapped))
                        .expect("the mapping does not fail");
                }
                black_box(mapped);
            }
        });
    }
}
