//! Values of Python as values of expressions, and back; no JSON in between.

use eventfold_core::error::CoreError;
use eventfold_core::limits::VALUE_DEPTH_MAX;
use eventfold_core::number::Decimal;
use eventfold_core::value::{Duration, Key, Map, Timestamp, TypeValue, Value};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple, PyType,
};

use super::errors;

const NANOS_PER_MICRO: i64 = 1_000;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// The classes that are looked for; those of `eventfold.cel` are written in Python.
struct Classes {
    decimal: Py<PyType>,
    datetime: Py<PyType>,
    timedelta: Py<PyType>,
    /// 1970, with a time zone.
    epoch: Py<PyAny>,
    uint: Py<PyType>,
    optional: Py<PyType>,
    kind: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        let datetime = class("datetime", "datetime")?;
        let utc = py.import("datetime")?.getattr("UTC")?;
        Ok(Classes {
            epoch: datetime.call1(py, (1970, 1, 1, 0, 0, 0, 0, utc))?,
            decimal: class("decimal", "Decimal")?,
            datetime,
            timedelta: class("datetime", "timedelta")?,
            uint: class("eventfold.cel", "UInt")?,
            optional: class("eventfold.cel", "Optional")?,
            kind: class("eventfold.cel", "Type")?,
        })
    })
}

fn refused(py: Python<'_>, problem: impl Into<String>) -> PyErr {
    errors::raise(py, CoreError::new("INVALID_VALUE", problem.into()))
}

/// The value of an expression that an object stands for.
pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    read(object, classes(object.py())?, 0)
}

fn read(object: &Bound<'_, PyAny>, classes: &Classes, depth: usize) -> PyResult<Value> {
    let py = object.py();
    if depth > VALUE_DEPTH_MAX {
        return Err(refused(py, format!("the value nests deeper than {VALUE_DEPTH_MAX} levels")));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = object.cast::<PyString>() {
        let text = text.to_str().map_err(|_| refused(py, "a str holds a lone surrogate"))?;
        return Ok(Value::from(text));
    }
    // Before int, which bool extends.
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(value) = object.cast::<PyInt>() {
        return read_int(value, classes);
    }
    if let Ok(value) = object.cast::<PyFloat>() {
        return Ok(Value::double(value.value()));
    }
    if let Ok(map) = object.cast::<PyDict>() {
        let mut out = Map::with_capacity(map.len());
        for (key, value) in map {
            put(&mut out, &key, &value, classes, depth)?;
        }
        return Ok(Value::map(out));
    }
    if let Ok(items) = object.cast::<PyList>() {
        return items.iter().map(|item| read(&item, classes, depth + 1)).collect_list();
    }
    if let Ok(items) = object.cast::<PyTuple>() {
        return items.iter().map(|item| read(&item, classes, depth + 1)).collect_list();
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().into()));
    }
    read_other(object, classes, depth)
}

trait CollectList {
    fn collect_list(self) -> PyResult<Value>;
}

impl<I: Iterator<Item = PyResult<Value>>> CollectList for I {
    fn collect_list(self) -> PyResult<Value> {
        self.collect::<PyResult<Vec<_>>>().map(Value::list)
    }
}

fn read_int(object: &Bound<'_, PyInt>, classes: &Classes) -> PyResult<Value> {
    let py = object.py();
    if object.is_instance(classes.uint.bind(py))? {
        return Ok(Value::Uint(object.extract()?));
    }
    if let Ok(value) = object.extract() {
        return Ok(Value::Int(value));
    }
    // An enum's own text would be its name.
    let text = py.get_type::<PyInt>().call_method1("__repr__", (object,));
    let text = text.map_err(|_| refused(py, "an int has too many digits"))?;
    number(py, &text)
}

fn number(py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<Value> {
    let text = text.extract::<String>()?;
    Decimal::from_json(&text)
        .map(Value::Decimal)
        .ok_or_else(|| refused(py, format!("an expression has no {text}")))
}

fn read_other(object: &Bound<'_, PyAny>, classes: &Classes, depth: usize) -> PyResult<Value> {
    let py = object.py();
    if object.is_instance(classes.decimal.bind(py))? {
        return number(py, &object.str()?.into_any());
    }
    if object.is_instance(classes.datetime.bind(py))? {
        if object.call_method0("utcoffset")?.is_none() {
            return Err(refused(py, "a datetime has no time zone"));
        }
        let micros = micros(&object.sub(classes.epoch.bind(py))?)?;
        let time = Timestamp::from_micros(micros);
        return time
            .map(Value::Timestamp)
            .ok_or_else(|| refused(py, "a datetime is outside of the years 1 to 9999"));
    }
    if object.is_instance(classes.timedelta.bind(py))? {
        let nanos = micros(object)?.checked_mul(NANOS_PER_MICRO);
        return nanos
            .map(|nanos| Value::Duration(Duration::from_nanos(nanos)))
            .ok_or_else(|| refused(py, "a timedelta is longer than about 292 years"));
    }
    if object.is_instance(classes.optional.bind(py))? {
        if !object.getattr("present")?.is_truthy()? {
            return Ok(Value::Optional(None));
        }
        let inner = read(&object.getattr("_value")?, classes, depth + 1)?;
        return Ok(Value::Optional(Some(inner.into())));
    }
    if object.is_instance(classes.kind.bind(py))? {
        let name: String = object.getattr("name")?.extract()?;
        return TypeValue::from_name(&name)
            .map(Value::Type)
            .ok_or_else(|| refused(py, format!("there is no type `{name}`")));
    }
    if let Ok(map) = object.cast::<PyMapping>() {
        let mut out = Map::new();
        for entry in map.items()? {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry.extract()?;
            put(&mut out, &key, &value, classes, depth)?;
        }
        return Ok(Value::map(out));
    }
    let name = object.get_type().name()?;
    Err(refused(py, format!("a {name} is no value of an expression")))
}

fn put(
    map: &mut Map,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    classes: &Classes,
    depth: usize,
) -> PyResult<()> {
    let found = read(key, classes, depth + 1)?;
    let scalar =
        matches!(found, Value::String(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_));
    let Some(key) = Key::from_value(&found).filter(|_| scalar) else {
        let problem = format!("a key of a map is no {}", found.type_name());
        return Err(refused(value.py(), problem));
    };
    map.insert(key, read(value, classes, depth + 1)?);
    Ok(())
}

fn micros(delta: &Bound<'_, PyAny>) -> PyResult<i64> {
    let part = |name: &str| delta.getattr(name)?.extract::<i64>();
    // A timedelta has at most a thousand million days: no overflow.
    let seconds = part("days")? * SECONDS_PER_DAY + part("seconds")?;
    let micros =
        i128::from(seconds) * i128::from(MICROS_PER_SECOND) + i128::from(part("microseconds")?);
    i64::try_from(micros).map_err(|_| refused(delta.py(), "a timedelta is too long"))
}

/// The object for a value. Its depth is bounded by the evaluation.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    write(py, value, classes(py)?)
}

fn write<'py>(py: Python<'py>, value: &Value, classes: &Classes) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null | Value::Absent(_) => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::Int(value) => value.into_bound_py_any(py),
        Value::Uint(value) => classes.uint.bind(py).call1((value,)),
        Value::Double(value, _) => value.into_bound_py_any(py),
        Value::Decimal(value) => classes.decimal.bind(py).call1((value.to_string(),)),
        Value::String(text) => text.into_bound_py_any(py),
        Value::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
        Value::List(items) => {
            let items = items.iter().map(|item| write(py, item, classes));
            Ok(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any())
        }
        Value::Map(map) => {
            let out = PyDict::new(py);
            for (key, value) in &**map {
                out.set_item(write(py, &key.to_value(), classes)?, write(py, value, classes)?)?;
            }
            if out.len() < map.len() {
                return Err(refused(py, "a map has two keys that are one in Python: 1 and true"));
            }
            Ok(out.into_any())
        }
        Value::Timestamp(time) => {
            let micros = i64::from(time.nanos()) / NANOS_PER_MICRO;
            let since = classes.timedelta.bind(py).call1((0, time.seconds(), micros))?;
            classes.epoch.bind(py).add(since)
        }
        Value::Duration(length) => {
            // Towards minus infinity would make a negative one longer.
            let micros = length.nanos() / NANOS_PER_MICRO;
            classes.timedelta.bind(py).call1((0, 0, micros))
        }
        Value::Type(kind) => classes.kind.bind(py).call1((kind.name(),)),
        Value::Optional(None) => classes.optional.bind(py).call0(),
        Value::Optional(Some(inner)) => {
            classes.optional.bind(py).call_method1("of", (write(py, inner, classes)?,))
        }
    }
}
