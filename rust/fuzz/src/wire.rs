//! Answers of a server as a client gets them, whatever bytes they are.

use eventfold_core::wire::EventPage;

/// A message of a read; and the same bytes as one event.
pub fn event_page(data: &[u8]) {
    if let Ok(page) = EventPage::decode(data) {
        for index in 0..page.len() {
            let event = page.event(index).expect("an indexed event can be read");
            let alone = EventPage::of_event(event.serialised()).expect("its bytes are an event");
            assert_eq!(alone.event(0), Some(event));
        }
        assert!(page.event(page.len()).is_none());
        assert!(page.rest().len() <= data.len());
    }
    if let Ok(page) = EventPage::of_event(data) {
        let event = page.event(0).expect("a checked event can be read");
        for text in [event.id(), event.stream(), event.event_type(), event.writer()] {
            assert!(std::str::from_utf8(text).is_ok());
        }
        match event.with_row(|row| Ok((row.version, row.tags.len()))) {
            Ok(row) => assert_eq!(row, (event.version(), event.tags().len())),
            Err(error) => assert_eq!(error.reason, "INVALID_REQUEST"),
        }
    }
}
