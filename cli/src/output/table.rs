//! A table for people: a heading, and columns set apart by space.

use std::fmt;

use comfy_table::{CellAlignment, presets};

/// Rows below a heading.
pub(crate) struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// A table with this heading. A `>` before a heading sets its column to the right.
    pub(crate) fn new<const COLUMNS: usize>(heading: [&str; COLUMNS]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(heading.map(|title| title.trim_start_matches('>')));
        for (column, title) in table.column_iter_mut().zip(heading) {
            column.set_padding((0, 2));
            if title.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table }
    }

    /// Adds a row.
    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.table.add_row(cells.map(|cell| super::printable(&cell)));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_set_apart_and_numbers_stand_at_the_right() {
        let mut table = Table::new(["NAME", ">TASKS"]);
        table.row(["one".into(), "7".into()]);
        table.row(["\u{1b}[2Jtwo".into(), "1000".into()]);

        assert_eq!(table.to_string(), "NAME          TASKS\none               7\n\\u{1b}[2Jtwo   1000");
    }
}
