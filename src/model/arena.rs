//! Memory for keys and values: taken from the system in large pieces and used again from block to block. The system hands
//! out a page when it is first written, by whichever thread does so; clearing it all at once would hold up everyone.

use std::ops::Range;

use memmap2::MmapMut;

use super::cpu::lanes::Aligned;

/// Lines of a piece, unless a block is larger: 32 MiB.
const PIECE: usize = (32 << 20) / size_of::<Aligned>();

/// Ranges that are free: ascending, none touching the next.
#[derive(Debug, Default, PartialEq)]
pub struct Free(Vec<Range<usize>>);

impl Free {
    /// All of a range.
    pub fn new(range: Range<usize>) -> Self {
        Self(vec![range])
    }

    /// So many in a row, if there are; the first one.
    pub fn take(&mut self, count: usize) -> Option<usize> {
        let at = self.0.iter().position(|range| range.len() >= count)?;
        let start = self.0[at].start;
        self.0[at].start += count;
        if self.0[at].is_empty() {
            self.0.remove(at);
        }
        Some(start)
    }

    /// A range is free again, or for the first time.
    pub fn give_back(&mut self, range: Range<usize>) {
        let at = self.0.partition_point(|free| free.start < range.start);
        self.0.insert(at, range);
        self.0.dedup_by(|next, range| {
            let touching = range.end == next.start;
            if touching {
                range.end = next.end;
            }
            touching
        });
    }
}

/// Pieces and what is free in them.
#[derive(Default)]
pub struct Arena {
    pieces: Vec<Piece>,
}

struct Piece {
    map: MmapMut,
    free: Free,
}

/// Lines of a piece that belong to one block.
#[derive(Debug)]
pub struct Slot {
    piece: usize,
    lines: Range<usize>,
}

impl Arena {
    /// So many lines. What they hold was put there as keys and values before, or is zero.
    ///
    /// # Panics
    /// The system refuses memory: how much a run takes is compared with what there is before it begins.
    pub fn take(&mut self, count: usize) -> Slot {
        for (piece, Piece { free, .. }) in self.pieces.iter_mut().enumerate() {
            if let Some(start) = free.take(count) {
                return Slot { piece, lines: start..start + count };
            }
        }
        let size = count.max(PIECE);
        let map = MmapMut::map_anon(size * size_of::<Aligned>()).expect("memory for keys and values");
        self.pieces.push(Piece { map, free: Free::new(0..size) });
        self.take(count)
    }

    /// A block's lines are free again.
    pub fn give_back(&mut self, slot: Slot) {
        self.pieces[slot.piece].free.give_back(slot.lines);
    }

    /// A block's lines.
    pub fn lines(&self, slot: &Slot) -> &[Aligned] {
        // SAFETY: the map is aligned to pages, holds the slot, and any bytes are floats.
        unsafe {
            let first = self.pieces[slot.piece].map.as_ptr().cast::<Aligned>();
            std::slice::from_raw_parts(first.add(slot.lines.start), slot.lines.len())
        }
    }

    /// A block's lines, to be written.
    pub fn lines_mut(&mut self, slot: &Slot) -> &mut [Aligned] {
        // SAFETY: as above, and the arena is borrowed alone.
        unsafe {
            let first = self.pieces[slot.piece].map.as_mut_ptr().cast::<Aligned>();
            std::slice::from_raw_parts_mut(first.add(slot.lines.start), slot.lines.len())
        }
    }

    /// Copy lines of one block, from a line on, to another's.
    pub fn copy(&mut self, (from, a): (&Slot, usize), (to, b): (&Slot, usize), count: usize) {
        let source = self.lines(from)[a..a + count].as_ptr();
        // SAFETY: both stand in their blocks, and two blocks have no line in common.
        unsafe { std::ptr::copy(source, self.lines_mut(to)[b..b + count].as_mut_ptr(), count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let mut arena = Arena::default();
        let slots: Vec<Slot> = [3, 5, 7].map(|count| arena.take(count)).into();
        assert_eq!(slots.iter().map(|slot| slot.lines.clone()).collect::<Vec<_>>(), [0..3, 3..8, 8..15]);
        arena.lines_mut(&slots[2])[6].0[15] = 2.;
        let [first, second, third] = <[Slot; 3]>::try_from(slots).unwrap();
        arena.give_back(first);
        arena.give_back(second);
        assert_eq!(arena.pieces[0].free, Free(vec![0..8, 15..PIECE]));
        assert_eq!(arena.take(8).lines, 0..8);
        assert_eq!(arena.lines(&third)[6].0[15], 2.);
        let large = arena.take(2 * PIECE);
        assert_eq!((large.piece, large.lines.clone()), (1, 0..2 * PIECE));
        arena.give_back(large);
        arena.give_back(third);
        assert_eq!(arena.pieces[1].free, Free(vec![0..2 * PIECE]));
        assert_eq!(arena.pieces[0].free, Free(vec![8..PIECE]));
    }
}
