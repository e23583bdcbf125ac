//! A confusion matrix as a picture: rows are true classes, columns answers, in the order of the model's classes.

use scene::Image;
use std::path::Path;

/// Longest side of the picture.
const MOST_SIDE: usize = 1024;

/// Draws `confusion` with shades of blue for the part of each row and white lines between cells.
pub fn draw(classes: &[String], confusion: &[Vec<usize>], path: &Path) -> anyhow::Result<()> {
    let count = classes.len();
    let cell = (MOST_SIDE / count).clamp(1, 48);
    let side = count * cell;
    let mut image = Image::black(side as u32, side as u32);
    for (i, pixel) in image.data.chunks_exact_mut(3).enumerate() {
        let (y, x) = (i / side, i % side);
        let row = &confusion[y / cell];
        let share = row[x / cell] as f32 / row.iter().sum::<usize>().max(1) as f32;
        // The root lets rare mistakes be seen.
        let shade = share.sqrt();
        let line = cell > 4 && (y % cell == 0 || x % cell == 0);
        let colour = if line { [1.0; 3] } else { [0.97 - 0.92 * shade, 0.98 - 0.75 * shade, 1.0 - 0.5 * shade] };
        pixel.copy_from_slice(&colour);
    }
    Ok(scene::write::write_png(path, &image)?)
}
