"""States as objects of users' classes: dataclasses, pydantic models, msgspec Structs.

Neither pydantic nor msgspec is needed for this module: a class of theirs cannot come here before
they are imported.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from eventfold._dataclasses import Misfit, build
from eventfold._errors import StateMismatch
from eventfold._json import decode

if TYPE_CHECKING:
    # At run time a default of a type variable needs Python 3.13.
    from typing_extensions import TypeVar

    ModelT = TypeVar("ModelT", default=Any)
    ModelT_co = TypeVar("ModelT_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    ModelT = TypeVar("ModelT")
    ModelT_co = TypeVar("ModelT_co", covariant=True)

Convert = Callable[[bytes], Any]


def converter(model: type[Any]) -> Convert:
    """The function that makes an object of `model` from the JSON text of a state.

    Raises:
        TypeError: `model` is no class of a kind that is known.
    """
    kind = kind_of(model)
    if kind is None:
        wanted = "a dataclass, a pydantic model or a msgspec Struct"
        raise TypeError(f"into= takes {wanted}, not {model!r}")
    return _by_kind(kind, model)


def kind_of(model: object) -> Literal["pydantic", "msgspec", "adapter", "dataclass"] | None:
    """Whose class it is; None: of no kind that is known. `adapter`: a dataclass of pydantic."""
    if isinstance(model, type):
        pydantic, msgspec = sys.modules.get("pydantic"), sys.modules.get("msgspec")
        if pydantic is not None and issubclass(model, pydantic.BaseModel):
            return "pydantic"
        if msgspec is not None and issubclass(model, msgspec.Struct):
            return "msgspec"
        if dataclasses.is_dataclass(model):
            # Those of pydantic validate more than the annotations say.
            return "adapter" if hasattr(model, "__pydantic_validator__") else "dataclass"
    return None


def _by_kind(kind: str, model: type[Any]) -> Convert:
    if kind == "msgspec":
        return _msgspec(model)
    if kind == "dataclass":
        return _dataclass(model)
    pydantic = sys.modules["pydantic"]
    if kind == "adapter":
        return _pydantic(model, pydantic.TypeAdapter(model).validate_python)
    return _pydantic(model, model.model_validate)


def _dataclass(model: type[Any]) -> Convert:
    def convert(state: bytes) -> Any:
        try:
            return build(model, _object(model, state), "")
        except Misfit as misfit:
            raise _mismatch(model, misfit.path, misfit.problem) from None

    return convert


def _pydantic(model: type[Any], validate: Callable[[Any], Any]) -> Convert:
    validation_error = sys.modules["pydantic"].ValidationError

    def convert(state: bytes) -> Any:
        # Not by pydantic's own decoder, which reads numbers through floats.
        value = _object(model, state)
        try:
            return validate(value)
        except validation_error as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(step) for step in first["loc"])
            raise _mismatch(model, path, first["msg"]) from error

    return convert


def _msgspec(model: type[Any]) -> Convert:
    msgspec = sys.modules["msgspec"]
    decoder = msgspec.json.Decoder(model)

    def convert(state: bytes) -> Any:
        _refuse_null(model, state)
        try:
            return decoder.decode(state)
        except msgspec.ValidationError as error:
            problem, _, path = str(error).partition(" - at `")
            raise _mismatch(model, path.rstrip("`").removeprefix("$."), problem) from error

    return convert


def _refuse_null(model: type[Any], state: bytes) -> None:
    if state == b"null":
        raise _mismatch(model, "", "there is no state: the fold deleted the aggregate")


def _object(model: type[Any], state: bytes) -> Any:
    _refuse_null(model, state)
    return decode(state)


def _mismatch(model: type[Any], path: str, problem: str) -> StateMismatch:
    place = f" (at {path})" if path else ""
    facts = {"model": model.__name__, "path": path, "problem": problem}
    return StateMismatch(f"the state is no {model.__name__}: {problem}{place}", facts)
