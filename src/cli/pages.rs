//! `esker completions` and `esker man`: what the shell and `man` want to know of the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::Shell;

use crate::env::Env;

/// Arguments of `esker completions`.
#[derive(clap::Args, Debug)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

/// Arguments of `esker man`.
#[derive(clap::Args, Debug)]
pub struct Man {
    /// The folder for `esker.1` and a page for each subcommand.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of a shell.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(mut command: Command, arguments: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "esker", &mut script);
    print!("{}", String::from_utf8(script).context("the script is not UTF-8")?);
    Ok(())
}

/// Writes the manual pages.
///
/// # Errors
/// When the folder cannot be written to.
pub fn man(env: &Env, command: Command, arguments: &Man) -> Result<()> {
    let folder = &arguments.folder;
    env.disk.create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, page) in pages(command)? {
        let file = folder.join(name);
        env.disk
            .write_atomically(&file, &page)
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(())
}

/// File names and contents: the command and its subcommands.
fn pages(mut command: Command) -> Result<Vec<(String, Vec<u8>)>> {
    command.build();
    let mut found = Vec::new();
    let mut waiting = vec![("esker".to_owned(), command)];
    while let Some((name, command)) = waiting.pop() {
        for inner in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
            waiting.push((format!("{name}-{}", inner.get_name()), inner.clone()));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command.display_name(name.clone())).render(&mut page)?;
        found.push((format!("{name}.1"), page));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_subcommand_has_a_page() {
        let pages = pages(crate::cli::Arguments::command()).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for wanted in ["esker.1", "esker-topic.1", "esker-topic-create.1", "esker-doctor.1"] {
            assert!(names.contains(&wanted), "{names:?}");
        }
        let (_, page) = pages.iter().find(|(name, _)| name == "esker-topic-create.1").unwrap();
        assert!(String::from_utf8_lossy(page).contains("partitions"));
    }
}
