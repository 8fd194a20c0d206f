//! What rows look like: the columns of a file, and how those within others become objects and lists.

use std::ops::Range;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::Type;

/// A column, or columns within one.
pub struct Shape {
    /// It is null below this level, if it may be null.
    pub optional: Option<i16>,
    /// The columns of values that it is made of.
    pub leaves: Range<usize>,
    pub kind: ShapeKind,
}

/// What a [`Shape`] becomes.
pub enum ShapeKind {
    /// A value.
    Leaf,
    /// An object with these keys.
    Group(Vec<(String, Shape)>),
    /// A list. It is empty below the level `from`; its next item has the level `again`.
    List { item: Box<Shape>, from: i16, again: i16 },
    /// Nothing, for its type is not read.
    Unread,
}

/// A column of values.
pub struct Leaf {
    /// Its number in the file.
    pub column: usize,
    /// Its name; those of the columns that it is within come first, with dots.
    pub name: String,
    pub kind: LeafKind,
}

/// How values are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// True or false.
    Truth,
    /// A whole number.
    Whole,
    /// One without a sign.
    Unsigned,
    /// A fraction.
    Fraction,
    /// UTF-8, also where the file does not say so.
    Text,
}

/// The columns of a file.
pub struct Columns {
    /// The columns of values that are read.
    pub leaves: Vec<Leaf>,
    /// The names of those that are not, and the clauses that say why.
    pub unread: Vec<(String, String)>,
    /// All of them, in their order.
    pub shape: Shape,
    columns: usize,
}

impl Columns {
    /// Those of a file's schema.
    ///
    /// # Errors
    /// A clause about the file: columns that cannot be told apart, or a list that is not written as Parquet writes lists.
    pub fn new(schema: &Type) -> Result<Self, String> {
        let empty = Shape { optional: None, leaves: 0..0, kind: ShapeKind::Unread };
        let mut all = Self { leaves: Vec::new(), unread: Vec::new(), shape: empty, columns: 0 };
        all.shape = Shape { kind: all.group(schema, "", Levels::default())?, ..all.shape };
        all.shape.leaves = 0..all.leaves.len();
        Ok(all)
    }

    fn group(&mut self, group: &Type, within: &str, levels: Levels) -> Result<ShapeKind, String> {
        let mut fields: Vec<(String, Shape)> = Vec::new();
        for field in group.get_fields() {
            let name = match within {
                "" => field.name().to_string(),
                within => format!("{within}.{}", field.name()),
            };
            if fields.iter().any(|(known, _)| known == field.name()) {
                return Err(format!("it has two columns `{name}`; rename one"));
            }
            fields.push((field.name().into(), self.shape(field, &name, levels)?));
        }
        Ok(ShapeKind::Group(fields))
    }

    fn shape(&mut self, field: &Type, name: &str, levels: Levels) -> Result<Shape, String> {
        let first = self.leaves.len();
        let (optional, kind) = match field.get_basic_info().repetition() {
            Repetition::REQUIRED => (None, self.kind(field, name, levels)?),
            Repetition::OPTIONAL => {
                let levels = levels.optional();
                (Some(levels.defined), self.kind(field, name, levels)?)
            }
            // A list that is not written as one.
            Repetition::REPEATED => (None, self.list(field, name, levels.repeated())?),
        };
        Ok(Shape { optional, leaves: first..self.leaves.len(), kind })
    }

    /// What a field becomes, whether or not it may be null.
    fn kind(&mut self, field: &Type, name: &str, levels: Levels) -> Result<ShapeKind, String> {
        if field.is_primitive() {
            return Ok(self.leaf(field, name));
        }
        let (converted, logical) = annotations(field);
        let list = converted == ConvertedType::LIST || matches!(logical, Some(LogicalType::List));
        let map = matches!(converted, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE)
            || matches!(logical, Some(LogicalType::Map));
        match field.get_fields() {
            _ if map => {
                self.columns += leaves_of(field);
                self.unread.push((name.into(), "of the type MAP, which is not read".into()));
                Ok(ShapeKind::Unread)
            }
            [repeated] if list && repeated.get_basic_info().repetition() == Repetition::REPEATED => {
                let levels = levels.repeated();
                // Older writers leave out the level between a list and its items.
                let items = repeated.is_group()
                    && repeated.get_fields().len() == 1
                    && repeated.name() != "array"
                    && repeated.name() != format!("{}_tuple", field.name());
                if !items {
                    return self.list(repeated, name, levels);
                }
                let item = self.shape(&repeated.get_fields()[0], name, levels)?;
                Ok(ShapeKind::List { item: Box::new(item), from: levels.defined, again: levels.repeated })
            }
            _ if list => Err(format!("its column `{name}` is not written as Parquet writes lists")),
            _ => self.group(field, name, levels),
        }
    }

    /// A list whose items are a repeated field; the levels are those within it.
    fn list(&mut self, repeated: &Type, name: &str, levels: Levels) -> Result<ShapeKind, String> {
        let first = self.leaves.len();
        let kind = self.kind(repeated, name, levels)?;
        let item = Shape { optional: None, leaves: first..self.leaves.len(), kind };
        Ok(ShapeKind::List { item: Box::new(item), from: levels.defined, again: levels.repeated })
    }

    fn leaf(&mut self, field: &Type, name: &str) -> ShapeKind {
        let column = self.columns;
        self.columns += 1;
        match understood(field) {
            Ok(kind) => {
                self.leaves.push(Leaf { column, name: name.into(), kind });
                ShapeKind::Leaf
            }
            Err(kind) => {
                self.unread.push((name.into(), format!("of the type {kind}, which is not read")));
                ShapeKind::Unread
            }
        }
    }
}

/// How many levels of null and of lists a value is within.
#[derive(Default, Clone, Copy)]
struct Levels {
    defined: i16,
    repeated: i16,
}

impl Levels {
    fn optional(self) -> Self {
        Self { defined: self.defined + 1, ..self }
    }

    fn repeated(self) -> Self {
        Self { defined: self.defined + 1, repeated: self.repeated + 1 }
    }
}

fn leaves_of(field: &Type) -> usize {
    match field.is_primitive() {
        true => 1,
        false => field.get_fields().iter().map(|field| leaves_of(field)).sum(),
    }
}

fn annotations(field: &Type) -> (ConvertedType, Option<&LogicalType>) {
    let info = field.get_basic_info();
    (info.converted_type(), info.logical_type_ref())
}

/// How the values of a column are to be understood, or the name of a type that is not read.
fn understood(field: &Type) -> Result<LeafKind, String> {
    use ConvertedType as Old;
    use LogicalType as New;
    let (old, new) = annotations(field);
    let physical = field.get_physical_type();
    let known = match physical {
        Physical::BOOLEAN => Some(LeafKind::Truth),
        Physical::FLOAT | Physical::DOUBLE => Some(LeafKind::Fraction),
        Physical::INT32 | Physical::INT64 => match (old, new) {
            (Old::UINT_8 | Old::UINT_16 | Old::UINT_32 | Old::UINT_64, _) => Some(LeafKind::Unsigned),
            (Old::INT_8 | Old::INT_16 | Old::INT_32 | Old::INT_64, _) => Some(LeafKind::Whole),
            (Old::NONE, None | Some(New::Unknown)) => Some(LeafKind::Whole),
            _ => None,
        },
        Physical::BYTE_ARRAY => match (old, new) {
            (Old::UTF8 | Old::ENUM | Old::JSON, _) | (Old::NONE, None | Some(New::Unknown)) => {
                Some(LeafKind::Text)
            }
            _ => None,
        },
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => None,
    };
    known.ok_or_else(|| match new {
        Some(new) => format!("{new:?}").split(['(', '{', ' ']).next().unwrap_or_default().to_uppercase(),
        None if old != Old::NONE => old.to_string(),
        None => physical.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::schema::parser::parse_message_type;

    fn columns(fields: &str) -> Result<Columns, String> {
        Columns::new(&parse_message_type(&format!("message schema {{ {fields} }}")).unwrap())
    }

    #[test]
    fn types_are_understood_or_named() {
        let all = columns(
            "required int64 a; optional int32 b (UINT_32); optional group s { required binary t (UTF8); \
             optional int64 when (TIMESTAMP(NANOS,true)); } optional int32 day (DATE); required double x; \
             optional group m (MAP) { repeated group kv { required binary k (UTF8); optional int32 v; } } \
             optional binary raw; optional int96 old; required boolean y;",
        )
        .unwrap();
        let read: Vec<_> = all.leaves.iter().map(|leaf| (leaf.column, &*leaf.name, leaf.kind)).collect();
        use LeafKind::*;
        let expected = [
            (0, "a", Whole),
            (1, "b", Unsigned),
            (2, "s.t", Text),
            (5, "x", Fraction),
            (8, "raw", Text),
            (10, "y", Truth),
        ];
        assert_eq!(read, expected);
        let unread: Vec<String> = all.unread.iter().map(|(name, why)| format!("{name} {why}")).collect();
        let said = [
            "s.when of the type TIMESTAMP, which is not read",
            "day of the type DATE, which is not read",
            "m of the type MAP, which is not read",
            "old of the type INT96, which is not read",
        ];
        assert_eq!(unread, said);
    }

    #[test]
    fn lists_are_found_as_any_writer_writes_them() {
        for fields in [
            "optional group a (LIST) { repeated group list { optional binary element (UTF8); } }",
            "optional group a (LIST) { repeated binary array (UTF8); }",
            "optional group a (LIST) { repeated group array { required binary x (UTF8); } }",
            "repeated binary a (UTF8);",
        ] {
            let all = columns(fields).unwrap();
            let ShapeKind::Group(fields) = &all.shape.kind else { panic!("no group") };
            assert!(matches!(fields[0].1.kind, ShapeKind::List { again: 1, .. }), "a list");
            assert_eq!(all.leaves.len(), 1);
        }
        assert!(
            columns("required int32 a; required int32 a;").is_err_and(|why| why.contains("two columns `a`"))
        );
        assert!(columns("optional group a (LIST) { optional int32 b; }").is_err());
    }
}
