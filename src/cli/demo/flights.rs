//! The demo's records: all 336,776 flights that left New York City in 2013.
//!
//! `tests/data/README.md` says where they come from and what the file looks like: text, column by column, in zstd.

use anyhow::{Context as _, Result, ensure};

const COMPRESSED: &[u8] = include_bytes!("../../../tests/data/flights.columns.zst");
/// Flights in the file.
pub const FLIGHTS: usize = 336_776;
/// A bound for the decompressed file.
const MAX_TEXT_BYTES: usize = 64 << 20;

/// The flights, one column after the other.
pub struct Flights {
    text: String,
    /// Where each line begins; the first is the head with the columns' names.
    lines: Vec<usize>,
    columns: Vec<String>,
}

/// One flight as a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Flight {
    /// Carrier and number, for instance `UA1545`.
    pub key: String,
    /// All columns, separated by commas.
    pub value: String,
}

impl Flights {
    /// Decompresses the file that the program carries.
    ///
    /// # Errors
    /// When it is not what `make-flights.py` writes.
    pub fn load() -> Result<Flights> {
        let bytes = zstd::bulk::decompress(COMPRESSED, MAX_TEXT_BYTES).context("the flights are damaged")?;
        let text = String::from_utf8(bytes).context("the flights are not text")?;
        let mut lines = vec![0];
        lines.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let head = text.lines().next().context("the flights are empty")?;
        let columns: Vec<String> = head.split(',').map(str::to_owned).collect();
        ensure!(lines.len() == 2 + columns.len() * FLIGHTS, "the flights are not all there");
        Ok(Flights { lines, columns, text })
    }

    /// The columns' names.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The flight of that index.
    #[must_use]
    pub fn get(&self, index: usize) -> Flight {
        let (mut value, mut carrier, mut number) = (String::new(), "", "");
        for (at, name) in self.columns.iter().enumerate() {
            let field = self.line(1 + at * FLIGHTS + index);
            match name.as_str() {
                "carrier" => carrier = field,
                "flight" => number = field,
                _ => {}
            }
            if at > 0 {
                value.push(',');
            }
            value.push_str(field);
        }
        Flight { key: format!("{carrier}{number}"), value }
    }

    fn line(&self, number: usize) -> &str {
        &self.text[self.lines[number]..self.lines[number + 1] - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_flight_are_those_of_the_source() {
        let flights = Flights::load().unwrap();
        assert_eq!(flights.columns()[0], "month");
        assert_eq!(flights.get(0).key, "UA1545");
        assert_eq!(flights.get(0).value, "1,1,515,2,11,UA,1545,N14228,EWR,IAH,227");
        let last = flights.get(FLIGHTS - 1);
        assert_eq!(last.key, "MQ3531");
        assert!(last.value.starts_with("9,30,840,"), "{}", last.value);
    }
}
