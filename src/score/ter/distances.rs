//! The table of edit distances between the beginnings of two sentences, looked for around its diagonal only.

/// How far from the diagonal is looked, in words of the reference.
const BEAM: f64 = 25.0;
/// The cost of a cell outside the beam.
const FAR: usize = usize::MAX / 2;

/// How a cell is reached at its cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The two words are the same.
    Same,
    /// One word becomes the other.
    Replace,
    /// A word of the reference is put in.
    Insert,
    /// A word is taken out.
    Delete,
    /// It is not reached: it lies outside the beam.
    Far,
}

type Cell = (usize, Step);

/// The cells of a row that are within the beam; a whole row of two long texts would be long too.
struct Row {
    start: usize,
    cells: Vec<Cell>,
}

impl Row {
    fn at(&self, column: usize) -> Cell {
        let place = column.checked_sub(self.start);
        place.and_then(|place| self.cells.get(place)).copied().unwrap_or((FAR, Step::Far))
    }

    fn last(&self) -> usize {
        self.cells.last().map_or(FAR, |cell| cell.0)
    }
}

/// The table of some words against a reference.
pub struct Distances<'a> {
    reference: &'a [usize],
    /// Words of the hypothesis. A move changes their order, not their number.
    words: usize,
    /// A row for each beginning of the words, of a cell for each beginning of the reference.
    rows: Vec<Row>,
}

/// Which words belong together after the cheapest edits.
pub struct Alignment {
    /// For each word of the reference, how many words of the hypothesis end with the one that it is aligned to.
    pub places: Vec<usize>,
    /// For each word of the hypothesis, whether it is edited.
    pub wrong_words: Vec<bool>,
    /// For each word of the reference, whether an edit makes it.
    pub wrong_in_reference: Vec<bool>,
}

impl<'a> Distances<'a> {
    /// The table of these words.
    pub fn new(words: &[usize], reference: &'a [usize]) -> Self {
        let cells = (0..=reference.len()).map(|column| (column, Step::Insert)).collect();
        let mut table = Self { reference, words: words.len(), rows: vec![Row { start: 0, cells }] };
        for at in 1..=words.len() {
            let row = table.row(&table.rows[at - 1], at, words[at - 1]);
            table.rows.push(row);
        }
        table
    }

    /// The distance of the whole sentences.
    pub fn distance(&self) -> usize {
        self.rows[self.words].last()
    }

    /// The distance of the same words in another order, of which so many at the beginning are the same as before.
    pub fn distance_after(&self, same: usize, words: &[usize]) -> usize {
        let mut above = &self.rows[same];
        let mut row;
        for at in same + 1..=self.words {
            row = self.row(above, at, words[at - 1]);
            above = &row;
        }
        above.last()
    }

    /// The row of the words up to `at`, the last of which is `word`, from the row above it.
    fn row(&self, above: &Row, at: usize, word: usize) -> Row {
        let columns = self.reference.len() + 1;
        let ratio = self.reference.len() as f64 / self.words as f64;
        // Where the lengths differ so much that the beams of two rows would not meet, it is wider.
        let beam = if BEAM < ratio / 2.0 { (ratio / 2.0 + BEAM).ceil() } else { BEAM } as usize;
        let diagonal = (at as f64 * ratio).floor() as usize;
        let end = if at == self.words { columns } else { columns.min(diagonal + beam) };
        let start = diagonal.saturating_sub(beam);
        let mut cells: Vec<Cell> = Vec::with_capacity(end - start);
        for column in start..end {
            let left = cells.last().map_or(FAR, |cell| cell.0);
            cells.push(match column.checked_sub(1) {
                None => (above.at(0).0 + 1, Step::Delete),
                Some(before) => {
                    let is_same = self.reference[before] == word;
                    let (cost, step) = if is_same { (0, Step::Same) } else { (1, Step::Replace) };
                    // Of equal costs the first counts.
                    let mut best = (FAR, Step::Far);
                    for (cost, step) in [
                        (above.at(before).0 + cost, step),
                        (above.at(column).0 + 1, Step::Delete),
                        (left + 1, Step::Insert),
                    ] {
                        if best.0 > cost {
                            best = (cost, step);
                        }
                    }
                    best
                }
            });
        }
        Row { start, cells }
    }

    /// What the cheapest edits align.
    pub fn alignment(&self) -> Alignment {
        let (mut at, mut column) = (self.words, self.reference.len());
        let mut places = vec![0; column];
        let (mut wrong_words, mut wrong_in_reference) = (vec![false; at], vec![false; column]);
        loop {
            let step = self.rows[at].at(column).1;
            let (is_word, is_reference) = match step {
                _ if (at, column) == (0, 0) => break,
                Step::Same | Step::Replace => (true, true),
                Step::Insert => (false, true),
                Step::Delete => (true, false),
                // The beams of two rows meet, so the last cell is never reached from outside.
                Step::Far => break,
            };
            if is_reference {
                column -= 1;
                (places[column], wrong_in_reference[column]) = (at, step != Step::Same);
            }
            if is_word {
                at -= 1;
                wrong_words[at] = step != Step::Same;
            }
        }
        Alignment { places, wrong_words, wrong_in_reference }
    }
}
