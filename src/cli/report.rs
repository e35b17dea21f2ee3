//! What a subcommand tells: a table for people, JSON for programs.

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

/// How a subcommand prints what it found.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Rows under named columns.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// None yet.
    pub fn new<const N: usize>(columns: [&'static str; N]) -> Rows {
        Rows { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One more, a value for each column.
    pub fn add<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row.into());
    }

    /// A list of objects, keyed by the columns with `_` for spaces.
    pub fn to_json(&self) -> Value {
        let keys: Vec<String> = self.columns.iter().map(|name| name.replace(' ', "_")).collect();
        let object = |row: &Vec<Value>| keys.iter().cloned().zip(row.iter().cloned()).collect::<Map<_, _>>();
        self.rows.iter().map(|row| Value::Object(object(row))).collect()
    }

    /// To standard output.
    pub fn print(&self, output: Output) {
        match output {
            Output::Json => print_json(&self.to_json()),
            Output::Table => println!("{}", self.to_table()),
        }
    }

    /// For people.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(cell));
        }
        table
    }
}

/// A value in words.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// One JSON value to standard output.
pub fn print_json(value: &Value) {
    println!("{value:#}");
}

/// A word on the way: for programs beside the answer, not in it.
pub fn say(output: Output, text: &str) {
    match output {
        Output::Json => eprintln!("{text}"),
        Output::Table => println!("{text}"),
    }
}

/// A bar on a terminal's standard error for what takes long; nothing elsewhere, nor for programs.
pub fn progress(output: Output, of: u64, what: &str) -> ProgressBar {
    if output == Output::Json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {msg}  {eta}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(of).with_style(style).with_message(what.to_owned())
}

/// Says that something was done: `created events`, or `{"created": "events"}`.
pub fn done(output: Output, what: &str, name: &str) {
    match output {
        Output::Json => print_json(&serde_json::json!({ what: name })),
        Output::Table => println!("{what} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_are_a_table_and_a_list_of_objects() {
        let mut rows = Rows::new(["topic", "in sync"]);
        rows.add(["events".into(), vec![1, 2].into()]);
        rows.add(["x".into(), Value::Null]);
        let expected =
            serde_json::json!([{"topic": "events", "in_sync": [1, 2]}, {"topic": "x", "in_sync": null}]);
        assert_eq!(rows.to_json(), expected);
        let table = rows.to_table().to_string();
        assert!(table.contains("1 2") && table.contains("in sync") && table.contains(" - "), "{table}");
    }
}
