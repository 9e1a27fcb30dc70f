//! Stubs from the protos of the repository, without a protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = [
        "eventfold/v1/appends.proto",
        "eventfold/v1/event_store.proto",
        "eventfold/v1/folds.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed={root}/{file}");
    }
    let descriptors = protox::compile(files, [root])?;
    // Bytes are shared with the received message, not copied out of it.
    tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
