//! The options of a table's rows.

use anyhow::Result;

use super::TableColumns;
use super::rows::{Found, TableRow};

/// Where options are.
pub(super) enum OptionsColumn {
    /// In a column that the corpus file names.
    Named(String),
    /// In the one called `options`, if there is one.
    Usual,
    /// The task needs none.
    Unread,
}

impl OptionsColumn {
    /// Where these columns have them.
    pub fn new(columns: &TableColumns) -> Self {
        match &columns.options {
            _ if !columns.with_options => Self::Unread,
            Some(name) => Self::Named(name.clone()),
            None => Self::Usual,
        }
    }

    /// The options of a row; none where it has no such column.
    pub fn of(&self, row: &TableRow) -> Result<Vec<String>> {
        let (name, found) = match self {
            Self::Named(name) => (name.as_str(), row.get(name)),
            Self::Usual => ("options", row.get("options")),
            Self::Unread => return Ok(Vec::new()),
        };
        let options: Vec<String> = match found {
            Some(Found::Texts(texts)) => texts,
            Some(Found::Text(text)) => text.split('|').map(|option| option.trim().into()).collect(),
            None if matches!(self, Self::Usual) => return Ok(Vec::new()),
            None => return Err(row.refuse(&format!("has no column `{name}` of options"))),
            Some(Found::Unread(why)) => return Err(row.refuse(&format!("has `{name}` {why}"))),
            Some(Found::Number(_) | Found::Other) => {
                return Err(row.refuse(&format!(
                    "has `{name}` that are not a list of texts; write [\"yes\", \"no\"], or yes | no in TSV and CSV"
                )));
            }
        };
        match options.iter().any(|option| option.trim().is_empty()) {
            true => Err(row.refuse(&format!("has an empty option in `{name}`; fill it in or take it out"))),
            false => Ok(options),
        }
    }
}
