//! A drawing -> files: SVG whose letters are outlines, so that it looks the same everywhere, PDF, and PNG. The font is part
//! of the program.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, anyhow};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Node, Options, Tree, WriteOptions, fontdb};

use super::pdf::pdf;
use super::style::Style;
use super::svg::{Drawing, TextPart, Type, escaped};
use crate::base::together::Together;

/// Pixels of the PNG for one of the SVG: for print.
const PNG_SCALE: f32 = 2.;

static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_data(font.to_vec());
    }
    Arc::new(fonts)
});

fn parsed(svg: &str) -> Result<Tree> {
    let options = Options { fontdb: FONTS.clone(), font_family: "DejaVu Sans".into(), ..Options::default() };
    Tree::from_str(svg, &options).context("a drawing is not valid SVG")
}

/// How wide a text is, in pixels.
///
/// # Errors
/// The text cannot be set.
pub fn width(parts: &[TextPart], how: Type) -> Result<f64> {
    let mut drawing = Drawing::default();
    drawing.text(0., 0., parts, how);
    let tree = parsed(&drawing.finish(10., 10.))?;
    let text = tree.root().children().iter().find_map(|node| match node {
        Node::Text(text) => Some(f64::from(text.bounding_box().width())),
        _ => None,
    });
    Ok(text.unwrap_or(0.))
}

/// An image, and what to say where it cannot be seen.
pub struct Image {
    pub svg: String,
    pub title: String,
    pub description: String,
    /// Whether the SVG file holds letters as text.
    svg_text: bool,
}

impl Image {
    /// A drawing with its title, unless the style has one.
    pub fn new(svg: String, title: &str, description: String, style: &Style) -> Self {
        let title = style.title.clone().unwrap_or_else(|| title.into());
        Self { svg, title, description, svg_text: style.svg_text }
    }

    /// Write `<base>.svg`, `<base>.pdf` and `<base>.png` among the files of a call.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn write(&self, base: &Path, files: &mut Together) -> Result<[PathBuf; 3]> {
        let tree = parsed(&self.svg)?;
        let svg = match self.svg_text {
            true => self.svg.clone(),
            false => tree.to_string(&WriteOptions { preserve_text: false, ..WriteOptions::default() }),
        };
        let drawn = [self.described(&svg).into_bytes(), pdf(&tree, &self.title)?, png(&tree)?];
        let paths = ["svg", "pdf", "png"].map(|extension| with_ending(base, extension));
        for (path, bytes) in paths.iter().zip(&drawn) {
            files.write(path, |out| Ok(out.write_all(bytes)?))?;
        }
        Ok(paths)
    }

    /// Title and description for those who do not see it.
    fn described(&self, svg: &str) -> String {
        let said = format!(
            "\n    <title>{}</title>\n    <desc>{}</desc>",
            escaped(&self.title),
            escaped(&self.description)
        );
        match svg.find('>') {
            Some(end) => format!("{}{said}{}", &svg[..=end], &svg[end + 1..]),
            None => svg.into(),
        }
    }
}

/// A path with an ending after whatever it has: names of models hold dots.
pub fn with_ending(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn png(tree: &Tree) -> Result<Vec<u8>> {
    let size = tree.size().to_int_size().scale_by(PNG_SCALE);
    let size = size.ok_or_else(|| anyhow!("a drawing without extent"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).context("a drawing without extent")?;
    resvg::render(tree, Transform::from_scale(PNG_SCALE, PNG_SCALE), &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}
