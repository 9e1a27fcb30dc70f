//! Drives eventfold's server over gRPC, or reads its rows straight from PostgreSQL.
//!
//! `eventfold-loadgen server HOST:PORT` or `eventfold-loadgen rows DATABASE_URL`; what to do comes
//! as JSON lines on standard input.

mod protocol;
mod rows;
mod server;
mod session;

use std::io::{BufRead, Write};

use protocol::Request;

/// Any failure ends the cell with its text.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

enum Target {
    Server(server::Server),
    Rows(rows::Rows),
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, address] = arguments.as_slice() else {
        return Err("usage: eventfold-loadgen server HOST:PORT | rows DATABASE_URL".into());
    };
    let target = match kind.as_str() {
        "server" => Target::Server(server::Server::connect(address).await?),
        "rows" => Target::Rows(rows::Rows::connect(address).await?),
        _ => return Err(format!("there is no {kind}").into()),
    };
    let mut output = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let answer = match &target {
            Target::Server(server) => server.run(&request).await,
            Target::Rows(rows) => rows.run(&request).await,
        };
        let text = match answer {
            Ok(answer) => serde_json::to_string(&answer)?,
            Err(fault) => serde_json::json!({ "error": fault.to_string() }).to_string(),
        };
        writeln!(output, "{text}")?;
        output.flush()?;
    }
    Ok(())
}
