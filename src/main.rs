//! The `esker` command.

fn main() -> std::process::ExitCode {
    esker::cli::main()
}
