"""Golden cases: what folds come to, byte for byte, wherever the core runs.

    python -m tests.golden.write            write tests/golden/folds/*.json
    python -m tests.golden.write --check    write nothing; exit 1 and name what is stale

The cases come from the conformance cases that hydrate streams, and from `events.yaml` and
`times.py` here. Their files are run by the core (`rust/eventfold-core/tests/golden_folds.rs`), by
the SDK, by the server, by the package for Node, and by a browser.

A file is an object with `cases`; a case has

    name      unique over all files
    fold      text of the document; or `fold_parts`, texts and how often each is repeated
    stream    name of the stream, and `root`, if that of its line of periods is another
    events    as they are recorded: `id`, `type`, `version`, `position`, `recorded_us` and
              `occurred_us` (since 1970), `writer`, `data` and `metadata` as text, `tags`;
              `flags`, `erased_paths`, `withheld_paths`, `copied_from`, `cancels`, `deleted` where
              they have such
    local     true: a server would give the events other places, times or marks
    expect    `digest`, `exists`, `version`, `position`, `events_read`, `events_folded`, `state` as
              text, and `erased_paths` and `withheld_paths`, if there are any; or `reason` and
              `facts`. A state of more than 4 KiB is `state_sha256` and `state_bytes`
"""
