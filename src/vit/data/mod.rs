//! Labelled pictures: a folder per class, tar archives of such folders (plain, gz, xz), CIFAR-10's binary batches.

mod archive;
mod cifar;
mod folder;
#[cfg(test)]
mod tests;

use crate::preprocess::Preprocess;
use crate::{Error, Result};
use compute::parallel;
use std::path::{Path, PathBuf};

/// Largest file of one picture.
const MOST_FILE_BYTES: u64 = 64 << 20;
/// Most pictures of a data set.
const MOST_PICTURES: usize = 20_000_000;
/// Most bytes of all pictures in memory.
const MOST_BYTES: usize = 16 << 30;
/// Pictures that are decoded at a time.
const BATCH: usize = 1024;

/// Pictures of one size with their classes, in the order of class and name.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// Height and width of all pictures.
    pub size: (usize, usize),
    /// `[pictures, height, width, 3]`, 8 bits each.
    pub pixels: Vec<u8>,
    /// Class of each picture.
    pub labels: Vec<u32>,
    /// Name of each picture, for messages.
    pub names: Vec<String>,
    /// What was left out because it could not be read: one line each that names the file.
    pub skipped: Vec<String>,
}

/// A picture that has not been decoded yet.
struct Found {
    class: String,
    name: String,
    bytes: Bytes,
}

enum Bytes {
    /// Encoded, in memory.
    Encoded(Vec<u8>),
    /// In a file.
    File(PathBuf),
    /// Decoded, of 32 by 32 pixels.
    Cifar(Vec<u8>),
}

impl Labelled {
    /// Reads `path`, a folder with one folder per class, an archive of one, or CIFAR-10's binary batches (a folder of them,
    /// of which the training batches are read, or one file); pictures are fitted to `size`.
    ///
    /// Which kind it is tells its content. In an archive the class is the name of the folder that a picture lies in.
    ///
    /// # Errors
    /// If `path` cannot be read, holds no pictures, or more than fit in memory. Single pictures that cannot be read are
    /// left out and listed in [`Labelled::skipped`].
    pub fn read(path: &Path, size: (usize, usize), preprocess: &Preprocess, threads: usize) -> Result<Self> {
        let mut collector =
            Collector { size, preprocess, threads, waiting: Vec::new(), done: Vec::new(), skipped: Vec::new() };
        let mut names = Vec::new();
        if path.is_dir() {
            if cifar::is_folder(path) {
                names = cifar::read_folder(path, &mut |found| collector.add(found))?;
            } else {
                folder::read(path, &mut |found| collector.add(found))?;
            }
        } else if cifar::is_batch(path)? {
            names = cifar::read_file(path, &mut |found| collector.add(found))?;
        } else {
            archive::read(path, &mut |found| collector.add(found))?;
        }
        collector.finish(path, names)
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of picture `i`.
    pub fn picture(&self, i: usize) -> &[u8] {
        let len = self.size.0 * self.size.1 * 3;
        &self.pixels[i * len..][..len]
    }

    /// Takes the class names of `model` for its own, in their order.
    ///
    /// # Errors
    /// One line that names a class which `model` does not have.
    pub fn relabel(&mut self, path: &Path, model: &[String]) -> Result<()> {
        let place = |class: &String| {
            model.iter().position(|other| other == class).ok_or_else(|| Error::File {
                path: path.to_owned(),
                problem: format!("expected classes of the model ({}), found {class:?}", first_of(model)),
            })
        };
        let places: Vec<u32> = self.classes.iter().map(|c| place(c).map(|p| p as u32)).collect::<Result<_>>()?;
        self.labels.iter_mut().for_each(|label| *label = places[*label as usize]);
        self.classes = model.to_vec();
        Ok(())
    }
}

/// Decodes pictures as they come, some at a time on all threads.
struct Collector<'a> {
    size: (usize, usize),
    preprocess: &'a Preprocess,
    threads: usize,
    waiting: Vec<Found>,
    done: Vec<(String, String, Vec<u8>)>,
    skipped: Vec<String>,
}

impl Collector<'_> {
    fn add(&mut self, found: Found) -> Result<()> {
        self.waiting.push(found);
        let bytes = (self.done.len() + self.waiting.len()).saturating_mul(self.size.0 * self.size.1 * 3);
        if self.done.len() + self.waiting.len() > MOST_PICTURES || bytes > MOST_BYTES {
            let problem = format!("expected pictures of at most {MOST_BYTES} bytes together, found more");
            return Err(Error::File { path: self.waiting[self.waiting.len() - 1].name.clone().into(), problem });
        }
        if self.waiting.len() >= BATCH {
            self.decode();
        }
        Ok(())
    }

    fn decode(&mut self) {
        // What becomes of an item: its pixels, or what is wrong with it.
        type Pixels = std::result::Result<Vec<u8>, String>;
        let (size, preprocess) = (self.size, self.preprocess);
        let mut work: Vec<(Found, Option<Pixels>)> = self.waiting.drain(..).map(|found| (found, None)).collect();
        parallel::for_each(&mut work, self.threads, |_, (found, result)| {
            let image = match &found.bytes {
                Bytes::Encoded(bytes) => scene::upright_from_bytes(Path::new(&found.name), bytes),
                Bytes::File(path) => scene::read_upright(path),
                Bytes::Cifar(pixels) => {
                    let data = pixels.iter().map(|v| f32::from(*v) / 255.0).collect();
                    scene::Image::new(cifar::SIDE as u32, cifar::SIDE as u32, data)
                }
            };
            *result = Some(image.map(|image| preprocess.fit(&image, size)).map_err(|e| e.to_string()));
        });
        for (found, result) in work {
            match result.expect("every item was worked on") {
                Ok(pixels) => self.done.push((found.class, found.name, pixels)),
                Err(problem) => self.skipped.push(problem),
            }
        }
    }

    /// Sorts by class and name. Classes are `names` in their order, where those are given.
    fn finish(mut self, path: &Path, names: Vec<String>) -> Result<Labelled> {
        self.decode();
        if self.done.is_empty() {
            let first = self
                .skipped
                .first()
                .map_or(String::new(), |line| format!("; the first of {}: {line}", self.skipped.len()));
            let problem =
                format!("expected a folder per class with pictures, or an archive of them, found no picture{first}");
            return Err(Error::File { path: path.to_owned(), problem });
        }
        self.done.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let mut classes = names;
        if classes.is_empty() {
            classes = self.done.iter().map(|(class, ..)| class.clone()).collect();
            classes.dedup();
        }
        let mut labelled = Labelled {
            classes,
            size: self.size,
            pixels: Vec::with_capacity(self.done.len() * self.size.0 * self.size.1 * 3),
            labels: Vec::with_capacity(self.done.len()),
            names: Vec::with_capacity(self.done.len()),
            skipped: self.skipped,
        };
        for (class, name, pixels) in self.done {
            let label = labelled.classes.iter().position(|c| *c == class).expect("classes were taken from here");
            labelled.labels.push(label as u32);
            labelled.names.push(name);
            labelled.pixels.extend(pixels);
        }
        Ok(labelled)
    }
}

/// The first names of a list, and how many more there are.
fn first_of(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}
