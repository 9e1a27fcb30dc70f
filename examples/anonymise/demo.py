"""Makes visits of patients, and copies them for statistics."""

import sys
from pathlib import Path

import eventfold
from eventfold import Client, Event, RecordedEvent

TRANSFORM = Path(__file__).with_name("patients.transform.yaml")
# By number: name, birthday and postcode; and visits: doctor, weight and day.
PATIENTS: dict[str, tuple[str, str, str, list[tuple[str, float, str]]]] = {
    "4711": (
        "Ada",
        "1987-05-31",
        "80331",
        [("Dr. Who", 71.5, "2026-01-12"), ("Dr. No", 74, "2026-03-02")],
    ),
    "4712": ("Bob", "1990-11-02", "81541", [("Dr. Who", 80, "2026-02-20")]),
}


# What is sealed, of the patient whose stream it is in.
PERSONAL = {
    "PatientRegistered": ("/name", "/email", "/born", "/postcode"),
    "PatientVisited": ("/weight", "/day", "/note"),
}


def fill(store: Client) -> None:
    """Says what is personal, registers the patients and notes their visits."""
    for event_type, pointers in PERSONAL.items():
        personal = dict.fromkeys(pointers)
        store.put_privacy_rules({"privacy": event_type, "personal": personal})
    for number, (name, born, postcode, visits) in PATIENTS.items():
        data = {"name": name, "email": f"{name}@x.org", "born": born, "postcode": postcode}
        events = [Event("PatientRegistered", data)]
        for doctor, weight, day in visits:
            visit = {"doctor": doctor, "weight": weight, "day": day, "note": f"{name} coughs"}
            events.append(Event("PatientVisited", visit, tags=[f"patient:{name}"]))
        store.append(f"Patient-{number}", events, expected_version=0)


def anonymise(store: Client) -> list[RecordedEvent]:
    """Copies them; the copies."""
    job = store.start_transform(TRANSFORM)
    store.wait_transform(job.transform_id, timeout=120)
    return store.read_all(categories=["Case"], copies="include").to_list()


def main() -> None:
    """Runs all of it on a server."""
    with eventfold.Client(sys.argv[1]) as store:
        fill(store)
        for event in anonymise(store):
            print(event.stream, event.type, event.data)


if __name__ == "__main__":
    main()
