//! The columns of a row as one JSON value.

use serde_json::{Map, Value};

use super::shape::{Leaf, Shape, ShapeKind};
use super::values::OfRow;

/// What is made of a row.
pub struct Assembly<'a> {
    pub leaves: &'a [Leaf],
    /// What each of these columns has.
    pub columns: Vec<OfRow>,
    /// Columns whose values are no JSON values, and the clauses that say why. Null takes their place.
    pub unread: Vec<(String, String)>,
}

impl Assembly<'_> {
    /// The whole row; `None` if its columns do not agree about its lists.
    pub fn row(&mut self, shape: &Shape) -> Option<Map<String, Value>> {
        let Value::Object(row) = self.value(shape)? else { return None };
        self.columns.iter().all(OfRow::is_over).then_some(row)
    }

    fn value(&mut self, shape: &Shape) -> Option<Value> {
        if let Some(level) = shape.optional
            && let Some(first) = self.columns.get(shape.leaves.clone())?.first()
            && first.defined()? < level
        {
            return self.skip(shape).map(|()| Value::Null);
        }
        match &shape.kind {
            ShapeKind::Unread => Some(Value::Null),
            ShapeKind::Leaf => self.leaf(shape.leaves.start),
            ShapeKind::Group(fields) => {
                let field = |(name, shape): &(String, Shape)| Some((name.clone(), self.value(shape)?));
                fields.iter().map(field).collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            ShapeKind::List { item, from, again } => self.list(shape, item, *from, *again),
        }
    }

    fn leaf(&mut self, leaf: usize) -> Option<Value> {
        match self.columns.get_mut(leaf)?.take()? {
            Ok(value) => Some(value),
            Err(why) => {
                let name = &self.leaves.get(leaf)?.name;
                if self.unread.last().is_none_or(|(last, _)| last != name) {
                    self.unread.push((name.clone(), why.into()));
                }
                Some(Value::Null)
            }
        }
    }

    fn list(&mut self, shape: &Shape, item: &Shape, from: i16, again: i16) -> Option<Value> {
        let first = shape.leaves.start;
        // Nothing of its items is read, so neither is their number.
        if shape.leaves.is_empty() {
            return Some(Value::Null);
        }
        if self.columns.get(first)?.defined()? < from {
            return self.skip(shape).map(|()| Value::Array(Vec::new()));
        }
        let mut items = Vec::new();
        loop {
            items.push(self.value(item)?);
            match self.columns.get(first)?.repeated() {
                Some(level) if level == again => (),
                Some(level) if level > again => return None,
                _ => return Some(Value::Array(items)),
            }
        }
    }

    fn skip(&mut self, shape: &Shape) -> Option<()> {
        self.columns.get_mut(shape.leaves.clone())?.iter_mut().try_for_each(OfRow::skip)
    }
}
