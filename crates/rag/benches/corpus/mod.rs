//! Text of a fixed seed whose words are as frequent as those of prose: two in five are stop words, the rest follow Zipf and
//! Mandelbrot's law over 50,000.

const STOP: [&str; 20] = [
    "the", "of", "and", "to", "a", "in", "is", "that", "it", "for", "was", "on", "with", "as",
    "be", "by", "at", "this", "from", "not",
];
const SYLLABLES: [&str; 32] = [
    "ba", "cor", "den", "fi", "gal", "hem", "il", "jor", "ka", "lum", "mer", "nor", "op", "pra",
    "qui", "ros", "sta", "tem", "ul", "ver", "wen", "xi", "yor", "zan", "bri", "cla", "dro", "fen",
    "gri", "hol", "mi", "ne",
];
const VOCABULARY: f64 = 50_000.0;
/// Mandelbrot's shift: the most frequent word that is none of the stop words is one in three hundred.
const SHIFT: f64 = 50.0;

pub(crate) struct Words(u64);

impl Words {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// splitmix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn content(&mut self) -> String {
        let share = self.share();
        let rank = SHIFT * ((VOCABULARY + SHIFT) / SHIFT).powf(share) - SHIFT;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 50,000")]
        let mut rank = rank as usize + 32;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % 32]);
            rank /= 32;
        }
        word
    }

    /// About `bytes` of sentences and paragraphs.
    pub(crate) fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 64);
        while text.len() < bytes {
            for _ in 0..3 + self.below(4) {
                for _ in 0..8 + self.below(12) {
                    if self.below(5) < 2 {
                        let stop = self.below(STOP.len());
                        text.push_str(STOP[stop]);
                    } else {
                        text.push_str(&self.content());
                    }
                    text.push(' ');
                }
                text.pop();
                text.push_str(". ");
            }
            text.push_str("\n\n");
        }
        text
    }

    /// Three words and a stop word.
    pub(crate) fn question(&mut self) -> String {
        format!("{} of {} {}", self.content(), self.content(), self.content())
    }
}
