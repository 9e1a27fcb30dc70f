//! Ids for events that come without.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of the counter within a millisecond.
const COUNTER_BITS: u32 = 42;
const COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;
/// The counter starts in its lower half, so that it has room to count.
const COUNTER_SEED_MAX: u64 = COUNTER_MAX >> 1;

/// Makes UUIDs of version 7 (RFC 9562, method 1 of section 6.2) that increase strictly: 48 bits of
/// milliseconds, a counter that starts at random in each new one, 32 random bits.
#[derive(Debug, Default)]
struct Source {
    millis: u64,
    counter: u64,
}

impl Source {
    fn next(&mut self, now_millis: u64, noise: u128) -> [u8; 16] {
        let seed = (noise >> 32) as u64 & COUNTER_SEED_MAX;
        if now_millis > self.millis {
            (self.millis, self.counter) = (now_millis, seed);
        } else if self.counter < COUNTER_MAX {
            // The clock stands still or went back: counting on keeps the order.
            self.counter += 1;
        } else {
            (self.millis, self.counter) = (self.millis + 1, seed);
        }
        let millis = u128::from(self.millis & 0xffff_ffff_ffff);
        let counter = u128::from(self.counter);
        let id = millis << 80
            | 0x7 << 76
            | (counter >> 30) << 64
            | 0b10 << 62
            | (counter & 0x3fff_ffff) << 32
            | noise & 0xffff_ffff;
        id.to_be_bytes()
    }
}

/// A UUID of version 7, greater than all before it.
pub fn new_id() -> [u8; 16] {
    static SOURCE: Mutex<Source> = Mutex::new(Source { millis: 0, counter: 0 });
    // A process never forks with work under way, so nobody else holds the lock for ever.
    let mut source = SOURCE.lock().unwrap_or_else(PoisonError::into_inner);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    source.next(now.as_millis() as u64, rand::random())
}

#[cfg(test)]
mod tests {
    use super::{COUNTER_MAX, Source, new_id};

    #[test]
    fn ids_increase_whatever_the_clock_does() {
        let mut source = Source::default();
        let times = [5, 5, 9, 4, 4, 10, 10, 3, 11];
        let ids: Vec<_> = times.iter().map(|now| source.next(*now, u128::MAX)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        source.counter = COUNTER_MAX;
        let next = source.next(1, 0);
        assert!(next > ids[8]);
        assert_eq!(next[..6], [0, 0, 0, 0, 0, 12]);
    }

    #[test]
    fn they_are_of_version_7() {
        let ids: Vec<_> = (0..1_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id[6] >> 4 == 7 && id[8] >> 6 == 0b10));
        // The last 32 bits are drawn anew for each.
        assert!(ids.windows(2).any(|pair| pair[0][12..] != pair[1][12..]));
    }
}
