//! The keys of subjects that are in memory, under a lease.
//!
//! Who reads asks here; what is missing is asked for together, and whoever administers keys puts it
//! in. A key is used only while the lease of the process lasts: after that others may count on its
//! not being used, whatever this process has missed.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use eventfold_core::append::{SubjectKeys, Subjects};
use eventfold_core::error::CoreError;
use eventfold_core::privacy::{DataKey, Keys, Look, SubjectId};
use lru::LruCache;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

/// All keys of a subject.
#[derive(Debug, Clone)]
enum Held {
    /// By version, the newest last; at least one.
    Keys(Vec<Arc<DataKey>>),
    /// They were destroyed.
    Erased,
    /// The key store does not know it.
    Lost,
}

impl Held {
    fn for_sealing(&self) -> SubjectKeys {
        match self {
            Self::Keys(keys) => match (keys.first(), keys.last()) {
                (Some(first), Some(current)) => {
                    SubjectKeys::Known { current: Arc::clone(current), first: Arc::clone(first) }
                }
                _ => SubjectKeys::Missing,
            },
            Self::Erased => SubjectKeys::Erased,
            Self::Lost => SubjectKeys::Missing,
        }
    }
}

type Told = Result<(), CoreError>;

/// How often a version is asked for that is newer than all others: an answer may have been on its
/// way since before it was made.
const NEWER_ASKED_MAX: u32 = 3;

struct State {
    subjects: LruCache<SubjectId, Held>,
    names: LruCache<String, SubjectId>,
    /// Who waits for the keys of a subject.
    waiting: HashMap<SubjectId, Vec<oneshot::Sender<Told>>>,
    /// Those of them that nobody has begun to look for.
    wanted: Vec<SubjectId>,
    /// Versions that were newer than all that was known, and how often they were asked for.
    ahead: LruCache<SubjectId, (u32, u32)>,
}

/// Keys in memory.
pub struct Keyring {
    store_id: OnceLock<[u8; 16]>,
    state: Mutex<State>,
    /// By the clock that goes on while the machine sleeps, in microseconds.
    lease_until: AtomicU64,
    /// How often keys were taken out; what was opened before may show what is erased by now.
    epoch: AtomicU64,
    /// Events whose values could not be opened although they should.
    failed: AtomicU64,
    /// Called when somebody begins to wait.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").finish_non_exhaustive()
    }
}

impl Keyring {
    /// An empty one without a lease, for the keys of so many subjects; the one unused for longest
    /// goes first. `wake` is called when there is something to be looked for.
    pub fn new(subjects_max: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let room = NonZeroUsize::new(subjects_max).unwrap_or(NonZeroUsize::MIN);
        let state = State {
            subjects: LruCache::new(room),
            names: LruCache::new(room),
            ahead: LruCache::new(room),
            waiting: HashMap::new(),
            wanted: Vec::new(),
        };
        Self {
            store_id: OnceLock::new(),
            state: Mutex::new(state),
            lease_until: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            wake,
        }
    }

    /// Says which store it is whose values these keys open; once, before the first lease.
    pub fn bind(&self, store_id: [u8; 16]) {
        _ = self.store_id.set(store_id);
    }

    /// That store.
    pub fn store_id(&self) -> &[u8; 16] {
        self.store_id.get().unwrap_or(&[0; 16])
    }

    /// Prolongs the lease up to a time of [`boottime_us`].
    pub fn renew(&self, until_us: u64) {
        self.lease_until.fetch_max(until_us, Ordering::AcqRel);
    }

    /// Ends the lease now.
    pub fn end_lease(&self) {
        self.lease_until.store(0, Ordering::Release);
    }

    /// Whether keys may be used.
    pub fn is_leased(&self) -> bool {
        boottime_us() < self.lease_until.load(Ordering::Acquire)
    }

    /// What what is opened now is to be held to before it leaves; see
    /// [`may_leave`](Self::may_leave).
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Notes that values of an event are not what was sealed, or that their key is lost.
    pub fn count_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes it so often.
    pub fn add_failed(&self, count: u64) {
        self.failed.fetch_add(count, Ordering::Relaxed);
    }

    /// How often that was noted and not yet taken.
    pub fn take_failed(&self) -> u64 {
        self.failed.swap(0, Ordering::Relaxed)
    }

    /// Whether what was opened in an epoch may leave the process.
    pub fn may_leave(&self, epoch: u64) -> bool {
        self.epoch() == epoch && self.is_leased()
    }

    /// The key that values of a subject are sealed under now.
    pub fn current(&self, subject: &SubjectId) -> Look {
        match self.state().subjects.get(subject) {
            Some(Held::Keys(keys)) => {
                keys.last().map_or(Look::Lost, |key| Look::Key(Arc::clone(key)))
            }
            Some(Held::Erased) => Look::Erased,
            Some(Held::Lost) => Look::Lost,
            None => Look::Missing,
        }
    }

    /// Puts in all keys of a subject, and its name if it is active. They go in only if none was
    /// taken out since `epoch`, when they were looked for: they may be gone by now; false: so it
    /// is, and they have to be looked for again.
    pub fn put(
        &self,
        subject: SubjectId,
        name: Option<String>,
        mut keys: Vec<Arc<DataKey>>,
        epoch: u64,
    ) -> bool {
        let mut state = self.state();
        if self.epoch() != epoch {
            return false;
        }
        keys.sort_by_key(|key| key.version());
        let held = if keys.is_empty() { Held::Lost } else { Held::Keys(keys) };
        state.subjects.put(subject, held);
        if let Some(name) = name {
            state.names.put(name, subject);
        }
        state.tell(&subject, Ok(()));
        true
    }

    /// Puts in that a name has no keys any more, since its subject was erased.
    pub fn put_erased_name(&self, name: String, subject: SubjectId) {
        let mut state = self.state();
        state.subjects.put(subject, Held::Erased);
        state.names.put(name, subject);
        state.tell(&subject, Ok(()));
    }

    /// Tells who waits for the keys of a subject why they cannot be had now.
    pub fn fail(&self, subject: &SubjectId, error: CoreError) {
        self.state().tell(subject, Err(error));
    }

    /// Takes out the keys of a subject for good.
    pub fn erase(&self, subject: SubjectId) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        state.subjects.put(subject, Held::Erased);
        let names: Vec<String> = state
            .names
            .iter()
            .filter(|(_, id)| **id == subject)
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            state.names.pop(&name);
        }
        state.tell(&subject, Ok(()));
    }

    /// Takes out everything: what is used next is looked for anew.
    pub fn evict_all(&self) {
        let mut state = self.state();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        state.subjects.clear();
        state.names.clear();
    }

    /// Subjects whose keys somebody waits for, each of them once.
    pub fn take_wanted(&self) -> Vec<SubjectId> {
        std::mem::take(&mut self.state().wanted)
    }

    /// Waits until the keys of subjects are here, or erased.
    pub async fn fetch(&self, subjects: &[SubjectId]) -> Result<(), CoreError> {
        let mut told = Vec::new();
        let mut is_new = false;
        {
            let mut state = self.state();
            for subject in subjects {
                if state.subjects.contains(subject) {
                    continue;
                }
                let (sender, receiver) = oneshot::channel();
                let waiting = state.waiting.entry(*subject).or_default();
                waiting.push(sender);
                told.push(receiver);
                if waiting.len() == 1 {
                    state.wanted.push(*subject);
                    is_new = true;
                }
            }
        }
        if is_new {
            (self.wake)();
        }
        for told in told {
            told.await.unwrap_or_else(|_| Err(unavailable("the server is shutting down")))?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, subject: &SubjectId, told: Told) {
        for waiting in self.waiting.remove(subject).unwrap_or_default() {
            let _ = waiting.send(told.clone());
        }
        self.wanted.retain(|wanted| wanted != subject);
    }

    /// Whether to ask for a version that is newer than all that is known; notes that it is.
    fn asks_again(&mut self, subject: &SubjectId, version: u32) -> bool {
        match self.ahead.get_mut(subject) {
            Some((known, times)) if *known == version => {
                *times += 1;
                *times <= NEWER_ASKED_MAX
            }
            _ => {
                self.ahead.put(*subject, (version, 1));
                true
            }
        }
    }
}

impl Keys for Keyring {
    fn look(&self, subject: &SubjectId, version: u32) -> Look {
        let mut state = self.state();
        let newest = match state.subjects.get(subject) {
            None => return Look::Missing,
            Some(Held::Erased) => return Look::Erased,
            Some(Held::Lost) => return Look::Lost,
            Some(Held::Keys(keys)) => {
                if let Some(key) = keys.iter().find(|key| key.version() == version) {
                    return Look::Key(Arc::clone(key));
                }
                keys.last().map_or(0, |newest| newest.version())
            }
        };
        // A newer one may not be known here yet, unless the key store has none either.
        if newest < version && state.asks_again(subject, version) {
            state.subjects.pop(subject);
            return Look::Missing;
        }
        Look::Lost
    }
}

impl Subjects for Keyring {
    fn of(&self, name: &str) -> SubjectKeys {
        let mut state = self.state();
        let Some(subject) = state.names.get(name).copied() else { return SubjectKeys::Missing };
        state.subjects.get(&subject).map_or(SubjectKeys::Missing, Held::for_sealing)
    }

    fn of_id(&self, subject: &SubjectId) -> SubjectKeys {
        self.state().subjects.get(subject).map_or(SubjectKeys::Missing, Held::for_sealing)
    }
}

/// Why personal values can neither be read nor written now.
pub fn unavailable(problem: &str) -> CoreError {
    CoreError::new("KEYS_UNAVAILABLE", format!("personal values cannot be opened now: {problem}"))
        .fact("problem", problem)
}

/// The time that leases are held to, in microseconds since the machine was started; it goes on
/// while the machine sleeps.
pub fn boottime_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eventfold_core::append::{SubjectKeys, Subjects};
    use eventfold_core::privacy::{DataKey, Keys, Look};

    use super::{Keyring, boottime_us, unavailable};

    fn ring(room: usize) -> Keyring {
        Keyring::new(room, Box::new(|| ()))
    }

    fn key(subject: u8, version: u32) -> Arc<DataKey> {
        Arc::new(DataKey::new([subject; 16], version, &[subject; 32]).unwrap())
    }

    fn put(ring: &Keyring, subject: u8) -> bool {
        let keys = vec![key(subject, 2), key(subject, 1)];
        ring.put([subject; 16], Some(format!("a-{subject}")), keys, ring.epoch())
    }

    #[test]
    fn keys_are_found_by_version_and_by_name() {
        let ring = ring(10);
        assert!(put(&ring, 1));
        assert!(matches!(ring.look(&[1; 16], 1), Look::Key(key) if key.version() == 1));
        // A version that nobody has, as a text that was tampered with may name it.
        for _ in 0..super::NEWER_ASKED_MAX {
            assert!(matches!(ring.look(&[1; 16], 3), Look::Missing));
            assert!(put(&ring, 1));
        }
        assert!(matches!(ring.look(&[1; 16], 3), Look::Lost));
        let SubjectKeys::Known { current, first } = ring.of("a-1") else { panic!() };
        assert_eq!((current.version(), first.version()), (2, 1));
        assert!(matches!(ring.of("a-2"), SubjectKeys::Missing));
    }

    #[test]
    fn what_is_erased_stays_so_and_nothing_that_was_looked_for_before_comes_in() {
        let ring = ring(10);
        put(&ring, 1);
        let epoch = ring.epoch();
        ring.renew(u64::MAX);
        assert!(ring.may_leave(epoch));
        ring.erase([1; 16]);
        assert!(!ring.may_leave(epoch));
        assert!(matches!(ring.look(&[1; 16], 1), Look::Erased));
        assert!(matches!(ring.of("a-1"), SubjectKeys::Missing));
        assert!(!ring.put([1; 16], None, vec![key(1, 1)], epoch));
        assert!(matches!(ring.look(&[1; 16], 1), Look::Erased));
    }

    #[test]
    fn failed_openings_are_counted_until_they_are_taken() {
        let ring = ring(1);
        ring.count_failed();
        ring.count_failed();
        assert_eq!((ring.take_failed(), ring.take_failed()), (2, 0));
    }

    #[test]
    fn the_one_unused_for_longest_goes_first() {
        let ring = ring(2);
        put(&ring, 1);
        put(&ring, 2);
        ring.look(&[1; 16], 1);
        put(&ring, 3);
        assert!(matches!(ring.look(&[2; 16], 1), Look::Missing));
        assert!(matches!(ring.look(&[1; 16], 1), Look::Key(_)));
    }

    #[test]
    fn a_lease_ends_by_itself() {
        let ring = ring(1);
        assert!(!ring.is_leased());
        ring.renew(boottime_us() + 10_000_000);
        assert!(ring.is_leased());
        // A renewal that comes late takes nothing away.
        ring.renew(1);
        assert!(ring.is_leased());
        ring.end_lease();
        ring.renew(boottime_us() - 1);
        assert!(!ring.is_leased());
    }

    #[test]
    fn who_waits_is_told() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ring = Arc::new(ring(10));
        runtime.block_on(async {
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let ring = Arc::clone(&ring);
                    tokio::spawn(async move { ring.fetch(&[[1; 16], [2; 16]]).await })
                })
                .collect();
            tokio::task::yield_now().await;
            let mut wanted = ring.take_wanted();
            wanted.sort_unstable();
            assert_eq!(wanted, [[1; 16], [2; 16]]);
            assert!(ring.take_wanted().is_empty());
            put(&ring, 1);
            ring.fail(&[2; 16], unavailable("no"));
            for waiting in waiting {
                assert_eq!(waiting.await.unwrap().unwrap_err().reason, "KEYS_UNAVAILABLE");
            }
            put(&ring, 2);
            ring.fetch(&[[1; 16], [2; 16]]).await.unwrap();
        });
    }
}
