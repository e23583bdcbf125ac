//! The text in C of what is declared in Rust.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Columns of a line of a header.
const COLUMNS: usize = 120;

/// A field of a twin, as its text needs it.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its declaration, such as `float eye[3]`.
    pub declaration: String,
    /// Bytes from the start of the struct.
    pub offset: usize,
    /// Its documentation, line by line.
    pub doc: &'static str,
}

/// A comment of as many lines as it needs, indented by `indent` spaces. Links of Rust's documentation become names.
pub fn comment(indent: usize, doc: &str) -> String {
    let words = doc.replace("[`", "`").replace("`]", "`");
    let (mut text, mut line) = (String::new(), String::new());
    for word in words.split_whitespace() {
        if !line.is_empty() && indent + 3 + line.chars().count() + 1 + word.chars().count() > COLUMNS {
            writeln!(text, "{:indent$}// {line}", "").expect("a string grows");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    if !line.is_empty() {
        writeln!(text, "{:indent$}// {line}", "").expect("a string grows");
    }
    text
}

/// A declaration in a struct, with its comment beside it where there is room, else above.
pub fn member(declaration: &str, doc: &str) -> String {
    let beside = comment(0, doc);
    match beside.lines().count() {
        0 => format!("    {declaration};\n"),
        1 if 4 + declaration.len() + 2 + beside.trim_end().chars().count() <= COLUMNS => {
            format!("    {declaration}; {beside}")
        }
        _ => format!("{}    {declaration};\n", comment(4, doc)),
    }
}

/// A struct with assertions that its size and the offsets of its fields are as in Rust.
pub fn struct_text(name: &str, doc: &str, fields: &[Field], size: usize) -> String {
    let mut text = comment(0, doc);
    writeln!(text, "struct {name} {{").expect("a string grows");
    fields.iter().for_each(|field| text += &member(&field.declaration, field.doc));
    text += "};\n";
    let offsets = fields.iter().map(|field| format!("OFFSET_OF({name}, {}) == {}", field.name, field.offset));
    let mut line = "static_assert(".to_owned();
    for condition in std::iter::once(format!("sizeof({name}) == {size}")).chain(offsets) {
        if line.len() + condition.len() + 4 > COLUMNS {
            text += line.trim_end();
            text.push('\n');
            line = " ".repeat("static_assert(".len());
        }
        line += &format!("{condition} && ");
    }
    text += line.trim_end().trim_end_matches("&&").trim_end();
    text += &format!(",\n              \"{name} is laid out as in Rust\");\n");
    text
}

/// A constant that both sides use: the value is Rust's.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// `constexpr int kName = 12;`
    declaration: String,
    doc: &'static str,
}

impl Constant {
    /// A whole number as an `int`.
    ///
    /// # Panics
    /// If it is none.
    pub fn int(name: &str, value: impl TryInto<i32>, doc: &'static str) -> Self {
        let value = value.try_into().unwrap_or_else(|_| panic!("{name} is an int"));
        Self { declaration: format!("constexpr int {name} = {value};"), doc }
    }

    /// A `float`, written so that C reads the same number.
    pub fn float(name: &str, value: f32, doc: &'static str) -> Self {
        Self { declaration: format!("constexpr float {name} = {value:?}f;"), doc }
    }

    /// The line in C.
    pub fn text(&self) -> String {
        format!("{}{}\n", comment(0, self.doc), self.declaration)
    }
}

/// The macros in C that name the values 0, 1 and so on of a constant of an instance: `PRECISION_F32` for the kind `F32` of
/// the constant `PRECISION`.
pub fn choice_text<'a>(constant: &str, doc: &str, kinds: impl IntoIterator<Item = &'a str>) -> String {
    let lines = kinds.into_iter().enumerate().map(|(value, kind)| format!("#define {constant}_{kind} {value}\n"));
    comment(0, doc) + &lines.collect::<String>()
}

/// A header: what it is, how it is made, and its parts with an empty line between.
pub fn header(doc: &str, includes: &[&str], parts: impl IntoIterator<Item = String>) -> String {
    let made = "Made from declarations in Rust: change those, then run `cargo run -p gnt --bin twins`.";
    let mut text = comment(0, doc) + &comment(0, made) + "#pragma once\n";
    includes.iter().for_each(|name| text += &format!("#include \"{name}\"\n"));
    parts.into_iter().for_each(|part| text += &format!("\n{part}"));
    text
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels").join(path)
}

/// Writes a header in `kernels/`. One that is so already keeps its time, so that nothing is compiled again.
///
/// # Errors
/// A sentence, if the file cannot be written.
pub fn write(path: &str, text: &str) -> Result<(), String> {
    if std::fs::read_to_string(file(path)).is_ok_and(|found| found == text) {
        return Ok(());
    }
    std::fs::write(file(path), text).map_err(|problem| format!("kernels/{path}: {problem}"))
}

/// Compares a header in `kernels/` with the text that its declarations give; where the environment variable `UPDATE_TWINS`
/// is set, writes it.
///
/// # Errors
/// A sentence that names the first line that differs, or why the file cannot be read or written.
pub fn compare(path: &str, text: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE_TWINS").is_some() {
        return write(path, text);
    }
    let found = std::fs::read_to_string(file(path)).map_err(|problem| format!("kernels/{path}: {problem}"))?;
    let lines = found.lines().count().max(text.lines().count());
    let padded =
        |text: &str| text.lines().map(str::to_owned).chain(std::iter::repeat(String::new())).take(lines).collect();
    let (found, expected): (Vec<_>, Vec<_>) = (padded(&found), padded(text));
    match (0..lines).find(|line| found[*line] != expected[*line]) {
        None => Ok(()),
        Some(line) => Err(format!(
            "kernels/{path}:{}: expected {:?}, found {:?}; `cargo run -p gnt --bin twins` writes the file anew",
            line + 1,
            expected[line],
            found[line]
        )),
    }
}
