//! Random numbers: numpy's and PyTorch's generator, where theirs are to be met, and one whose numbers can be asked for in any
//! order.

/// From 0 to 1, 1 not included, the same for the same stream and number: SplitMix64 (Steele, Lea and Flood, 2014).
pub fn uniform(stream: u64, number: u64) -> f64 {
    let step = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = stream.wrapping_add(step);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
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
