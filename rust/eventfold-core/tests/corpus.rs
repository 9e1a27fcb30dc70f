//! Goal: what fuzzing once found stays fixed, on stable and on every run of the tests.
//! Method: the bodies of the fuzz targets (`rust/fuzz`) over all files of their corpora.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

#[test]
fn the_corpora_hold() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpora.join(name);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("the folder can be read").path();
            let data = std::fs::read(&path).expect("the file can be read");
            // The thread of a test has less stack than a server's.
            let outcome = std::panic::catch_unwind(|| target(&data));
            assert!(outcome.is_ok(), "{} breaks {name}", path.display());
            count += 1;
        }
        assert!(count > 5, "{name} has {count} files");
    }
}
