//! The Mandelbrot set: which points escape, and when.

/// The picture: the usual view of the set, so many points wide and high.
#[derive(Debug, PartialEq)]
pub struct View {
    pub width: usize,
    pub height: usize,
    /// A point that has not escaped after so many steps counts as one of the set.
    pub iterations: u32,
}

impl Default for View {
    fn default() -> Self {
        Self { width: 640, height: 480, iterations: 1000 }
    }
}

impl View {
    /// After how many steps each point of a row escapes; `None` for a point of the set.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Option<u32>> {
        let imaginary = between(-1.25, 1.25, row, self.height);
        (0..self.width).map(move |column| escape(between(-2.5, 1.0, column, self.width), imaginary, self.iterations))
    }
}

/// The middle of cell `at` when the way from `from` to `to` is cut into `cells`.
fn between(from: f64, to: f64, at: usize, cells: usize) -> f64 {
    from + (to - from) * (at as f64 + 0.5) / cells as f64
}

fn escape(real: f64, imaginary: f64, iterations: u32) -> Option<u32> {
    let (mut x, mut y) = (0.0, 0.0);
    for step in 0..iterations {
        let (xx, yy) = (x * x, y * y);
        if xx + yy > 4.0 {
            return Some(step);
        }
        y = 2.0 * x * y + imaginary;
        x = xx - yy + real;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_set_never_escapes_and_the_far_away_does_at_once() {
        assert_eq!(escape(0.0, 0.0, 10_000), None);
        assert_eq!(escape(-1.0, 0.0, 10_000), None);
        assert_eq!(escape(3.0, 3.0, 10_000), Some(1));
    }

    #[test]
    fn the_picture_is_the_same_upside_down() {
        let view = View { width: 31, height: 10, iterations: 40 };
        for row in 0..5 {
            assert!(view.row(row).eq(view.row(9 - row)), "row {row}");
        }
    }
}
