//! A drawing -> PDF: the same paths as in the SVG, letters as outlines.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, TextStr};
use resvg::tiny_skia::{PathSegment, Transform};
use resvg::usvg::{FillRule, Group, LineCap, LineJoin, Node, Paint, Path, Tree};

/// Points of print for one pixel: 72 and 96 an inch.
const POINTS: f32 = 0.75;

/// The whole file, the same for the same drawing.
///
/// # Errors
/// The content cannot be compressed.
pub fn pdf(tree: &Tree, title: &str) -> Result<Vec<u8>> {
    let [catalog, pages, page, content, info] = [1, 2, 3, 4, 5].map(Ref::new);
    let (width, height) = (tree.size().width() * POINTS, tree.size().height() * POINTS);
    let mut page_content = Page { content: Content::new(), opacities: BTreeMap::new() };
    // y runs upwards in PDF.
    page_content.content.transform([POINTS, 0., 0., -POINTS, 0., height]);
    page_content.group(tree.root());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&page_content.content.finish())?;
    let compressed = zlib.finish()?;

    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page]).count(1);
    let mut written = pdf.page(page);
    written.media_box(Rect::new(0., 0., width, height)).parent(pages).contents(content);
    let mut resources = written.resources();
    let mut states = resources.ext_g_states();
    for (percent, name) in &page_content.opacities {
        let opacity = *percent as f32 / 100.;
        states
            .insert(Name(name.as_bytes()))
            .start::<pdf_writer::writers::ExtGraphicsState>()
            .non_stroking_alpha(opacity)
            .stroking_alpha(opacity);
    }
    states.finish();
    resources.finish();
    written.finish();
    pdf.stream(content, &compressed).filter(Filter::FlateDecode);
    pdf.document_info(info).title(TextStr(title)).producer(TextStr("icl-mask"));
    Ok(pdf.finish())
}

/// The page so far.
struct Page {
    content: Content,
    /// Names of the opacities that are used, by percent.
    opacities: BTreeMap<u32, String>,
}

impl Page {
    fn group(&mut self, group: &Group) {
        for node in group.children() {
            match node {
                Node::Group(group) => self.group(group),
                Node::Path(path) => self.path(path),
                Node::Text(text) => self.group(text.flattened()),
                // The drawings hold none.
                Node::Image(_) => {}
            }
        }
    }

    fn path(&mut self, path: &Path) {
        if !path.is_visible() {
            return;
        }
        self.content.save_state();
        self.content.transform(matrix(path.abs_transform()));
        if let Some(fill) = path.fill()
            && let Paint::Color(colour) = fill.paint()
        {
            self.opacity(fill.opacity().get());
            let [r, g, b] = [colour.red, colour.green, colour.blue].map(|part| f32::from(part) / 255.);
            self.content.set_fill_rgb(r, g, b);
            self.segments(path);
            match fill.rule() {
                FillRule::NonZero => self.content.fill_nonzero(),
                FillRule::EvenOdd => self.content.fill_even_odd(),
            };
        }
        if let Some(stroke) = path.stroke()
            && let Paint::Color(colour) = stroke.paint()
        {
            self.opacity(stroke.opacity().get());
            let [r, g, b] = [colour.red, colour.green, colour.blue].map(|part| f32::from(part) / 255.);
            self.content.set_stroke_rgb(r, g, b).set_line_width(stroke.width().get());
            self.content.set_line_cap(match stroke.linecap() {
                LineCap::Butt => LineCapStyle::ButtCap,
                LineCap::Round => LineCapStyle::RoundCap,
                LineCap::Square => LineCapStyle::ProjectingSquareCap,
            });
            self.content.set_line_join(match stroke.linejoin() {
                LineJoin::Round => LineJoinStyle::RoundJoin,
                LineJoin::Bevel => LineJoinStyle::BevelJoin,
                LineJoin::Miter | LineJoin::MiterClip => LineJoinStyle::MiterJoin,
            });
            let dashes = stroke.dasharray().unwrap_or_default().iter().copied();
            self.content.set_dash_pattern(dashes, stroke.dashoffset());
            self.segments(path);
            self.content.stroke();
        }
        self.content.restore_state();
    }

    /// How much of what is below shines through; nothing, until it is said.
    fn opacity(&mut self, opacity: f32) {
        let percent = (opacity * 100.).round() as u32;
        let name = self.opacities.entry(percent).or_insert_with(|| format!("a{percent}"));
        self.content.set_parameters(Name(name.as_bytes()));
    }

    fn segments(&mut self, path: &Path) {
        let (mut x, mut y) = (0., 0.);
        for segment in path.data().segments() {
            match segment {
                PathSegment::MoveTo(to) => {
                    self.content.move_to(to.x, to.y);
                    (x, y) = (to.x, to.y);
                }
                PathSegment::LineTo(to) => {
                    self.content.line_to(to.x, to.y);
                    (x, y) = (to.x, to.y);
                }
                // PDF has cubic curves only.
                PathSegment::QuadTo(by, to) => {
                    let two_thirds = |from: f32, by: f32| from + (by - from) * 2. / 3.;
                    self.content.cubic_to(
                        two_thirds(x, by.x),
                        two_thirds(y, by.y),
                        two_thirds(to.x, by.x),
                        two_thirds(to.y, by.y),
                        to.x,
                        to.y,
                    );
                    (x, y) = (to.x, to.y);
                }
                PathSegment::CubicTo(a, b, to) => {
                    self.content.cubic_to(a.x, a.y, b.x, b.y, to.x, to.y);
                    (x, y) = (to.x, to.y);
                }
                PathSegment::Close => {
                    self.content.close_path();
                }
            }
        }
    }
}

fn matrix(transform: Transform) -> [f32; 6] {
    [transform.sx, transform.ky, transform.kx, transform.sy, transform.tx, transform.ty]
}
