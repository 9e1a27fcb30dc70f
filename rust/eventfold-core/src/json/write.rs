//! Values to JSON.
use crate::cel::EvalError;
use crate::value::Value;
/// Writes.
pub fn write_value(_value: &Value, _out: &mut Vec<u8>) -> Result<(), EvalError> {
    unimplemented!()
}
/// Normalises.
pub fn to_json_value(_value: Value) -> Result<Value, EvalError> {
    unimplemented!()
}
