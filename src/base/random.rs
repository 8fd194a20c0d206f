//! Random numbers: numpy's and PyTorch's generator, where theirs are to be met, and one whose numbers can be asked for in any
//! order.

/// The generator SplitMix64 (Steele, Lea and Flood, 2014): integer arithmetic only, so the same everywhere.
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Begins here.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `bound` (which is above 0), each equally likely: multiply and reject (Lemire, 2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        // Of the 2^64 products, the first 2^64 mod bound of each residue would favour some results: draw again.
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }
}

/// From one state of [`SplitMix64`] to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number of a state.
fn mixed(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// From 0 to 1, 1 not included: the number of this place in a stream of [`SplitMix64`].
pub fn uniform(stream: u64, number: u64) -> f64 {
    let state = stream.wrapping_add(number.wrapping_add(1).wrapping_mul(STEP));
    (mixed(state) >> 11) as f64 / (1u64 << 53) as f64
}

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// MT19937 by Matsumoto and Nishimura (1998), seeded by one 32-bit word (their `init_genrand`).
pub struct MersenneTwister {
    state: [u32; WORDS],
    next: usize,
}

impl MersenneTwister {
    /// Seeded by one word.
    pub fn new(seed: u32) -> MersenneTwister {
        let mut state = [seed; WORDS];
        for i in 1..WORDS {
            let before = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        MersenneTwister { state, next: WORDS }
    }

    fn refill(&mut self) {
        for i in 0..WORDS {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % WORDS] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + SHIFT) % WORDS] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number from 0 to `max`, both included: words are cut to the bits of `max` and drawn again until one fits.
    /// numpy's legacy `random_interval` draws 32-bit words whenever `max` fits in one, as it does here.
    pub fn up_to(&mut self, max: u32) -> u32 {
        let mask = u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.word() & mask;
            if value <= max {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut random = SplitMix64::new(1_234_567);
        let first = [(); 3].map(|()| random.bits());
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draws_are_in_range_and_even() {
        let mut random = SplitMix64::new(7);
        let mut seen = [0u32; 5];
        for _ in 0..50_000 {
            seen[random.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (9_700..10_300).contains(count)), "{seen:?}");
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn the_generator_agrees_with_its_authors() {
        // First outputs for the seed 5489, the default of the reference implementation.
        let mut random = MersenneTwister::new(5489);
        assert_eq!(
            [random.word(), random.word(), random.word()],
            [3_499_211_612, 581_869_302, 3_890_346_734]
        );
        // The 10000th output is the check value in the C++ standard.
        for _ in 3..9_999 {
            random.word();
        }
        assert_eq!(random.word(), 4_123_659_995);
    }

    #[test]
    fn a_stream_is_its_own_and_the_same_again() {
        assert_eq!(uniform(7, 3), uniform(7, 3));
        assert!(uniform(7, 3) != uniform(8, 3) && uniform(7, 3) != uniform(7, 4));
    }
}
