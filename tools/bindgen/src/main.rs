//! `eventfold-bindgen MODULE FOLDER`: writes the module as wasm-bindgen leaves it, with its glue.

use std::error::Error;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(module), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("eventfold-bindgen MODULE FOLDER".into());
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(module)
        .out_name("eventfold_wasm")
        .web(true)?
        .typescript(true)
        // The package says where the module is.
        .omit_default_module_path(true)
        // After a panic the package goes on with a new instance.
        .reset_state_function(true)
        .remove_name_section(true)
        .remove_producers_section(true);
    bindgen.generate(folder)?;
    Ok(())
}
