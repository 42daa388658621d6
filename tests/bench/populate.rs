//! Runs a command on a machine with many real sockets. `cargo bench --bench populate -- busy
//! portscope scan`

#![expect(clippy::print_stdout, reason = "tells how it is used")]

#[path = "load.rs"]
mod load;
#[path = "../support/mixture.rs"]
mod mixture;
#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/population.rs"]
mod population;

use std::{io, process::Command};

fn main() -> io::Result<()> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [name, program, rest @ ..] = arguments.as_slice() else {
        println!("usage: cargo bench --bench populate -- mixed|busy|large COMMAND [ARGUMENT…]");
        return Ok(());
    };
    population::raise_descriptor_limit()?;
    namespace::in_new_namespace(|| {
        let _population = match name.as_str() {
            "mixed" => mixture::build()?,
            "busy" => load::BUSY.build()?,
            "large" => load::LARGE.build()?,
            other => return Err(io::Error::other(format!("no population {other:?}"))),
        };
        Command::new(program).args(rest).status().map(drop)
    })
    .transpose()?;
    Ok(())
}
