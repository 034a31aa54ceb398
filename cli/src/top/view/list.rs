//! Rows under a heading; those around the one that is chosen, where there are more than fit.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Row as TableRow, Table};

use super::style;
use crate::output::printable;
use crate::top::lists::{Column, Row, Width, arranged};
use crate::top::state::{Sort, State};

pub(super) fn draw<'a, R: Row + 'a>(
    state: &State,
    rows: Option<impl Iterator<Item = &'a R>>,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let view = state.view();
    let Some(rows) = rows else { return frame.render_widget(Text::from("not heard of yet").dim(), area) };
    let rows = arranged(rows, &view.filter, view.sort);
    if rows.is_empty() {
        let nothing = if view.filter.is_empty() { "there are none" } else { "none like that; esc shows all" };
        return frame.render_widget(Text::from(nothing).dim(), area);
    }
    let columns: Vec<(usize, &Column)> =
        R::COLUMNS.iter().enumerate().filter(|(_, column)| area.width >= column.from).collect();

    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let keys: Vec<_> = rows.iter().map(|row| row.key()).collect();
    let chosen = state.chosen(&keys).unwrap_or(0);
    let first = chosen.saturating_sub(height / 2).min(rows.len().saturating_sub(height));
    let shown = rows.iter().enumerate().skip(first).take(height).map(|(place, row)| {
        let cells = columns.iter().map(|&(at, column)| cell(&printable(&row.cell(at)), column));
        let style = style(row.tone());
        TableRow::new(cells).style(if place == chosen { style.add_modifier(Modifier::REVERSED) } else { style })
    });

    let widths = columns.iter().map(|(_, column)| match column.width {
        Width::Fixed(width) => Constraint::Length(width),
        Width::Rest => Constraint::Fill(1),
    });
    let heading = columns.iter().map(|&(at, column)| cell(&title(at, column, view.sort), column));
    let heading = TableRow::new(heading).style(Style::new().bold());
    frame.render_widget(Table::new(shown, widths).header(heading).column_spacing(1), area);
}

fn cell(text: &str, column: &Column) -> Cell<'static> {
    let side = if column.is_number { Alignment::Right } else { Alignment::Left };
    Cell::from(Text::from(text.to_owned()).alignment(side))
}

fn title(at: usize, column: &Column, sort: Sort) -> String {
    match (sort.column == at, sort.descending) {
        (true, false) => format!("{}↑", column.title),
        (true, true) => format!("{}↓", column.title),
        (false, _) => column.title.to_owned(),
    }
}
