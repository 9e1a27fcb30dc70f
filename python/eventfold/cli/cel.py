"""`eventfold cel`."""

import base64
import datetime as dt
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

import orjson
import typer

from eventfold import InvalidValue
from eventfold import cel as expressions
from eventfold._json import decode
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.output import AsJson, console, print_json
from eventfold.cli.text import printable, time_text
from eventfold.cli.values import json_argument


def _variables(texts: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"--var takes NAME=JSON, not {text!r}")
        try:
            found[name] = decode(json_argument(value, f"--var {name}") or b" ")
        except InvalidValue as error:
            hint = "; a text stands in double quotes" if value[:1].isalpha() else ""
            raise Failure(
                error.reason, error.message + hint, ExitCode.INVALID_INPUT, {"variable": name}
            ) from None
    return found


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(items: Iterable[str], brackets: str) -> str:
    return brackets[0] + ", ".join(items) + brackets[1]


def literal(value: Any) -> str:
    """A value as an expression would write it, so that 1, 1u and 1.0 differ."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case expressions.UInt():
            return f"{value}u"
        case str():
            return _quoted(value)
        case bytes():
            return 'b"' + "".join(f"\\x{byte:02x}" for byte in value) + '"'
        case Decimal():
            return f"decimal('{value}')"
        case list():
            return _list(map(literal, value), "[]")
        case dict():
            entries = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
            return _list(entries, "{}")
        case dt.datetime():
            return f"timestamp('{time_text(value)}')"
        case dt.timedelta():
            return f"duration('{_seconds(value)}')"
        case expressions.Type():
            return value.name
        case expressions.Optional():
            return f"optional.of({literal(value.value)})" if value.present else "optional.none()"
    return repr(value)


def _seconds(value: dt.timedelta) -> str:
    micros = value // dt.timedelta(microseconds=1)
    seconds, rest = divmod(abs(micros), 1_000_000)
    fraction = f".{rest:06}".rstrip("0") if rest else ""
    return f"{'-' if micros < 0 else ''}{seconds}{fraction}s"


def as_json_value(value: Any) -> Any:
    """A value as a state would hold it.

    Raises:
        Failure: it has no JSON form: a type, an optional, NaN, infinities.
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            # As in states: the shortest spelling, and no `.0`.
            return _number(Decimal(repr(value)))
        case Decimal():
            return orjson.Fragment(str(value))
        case bytes():
            return base64.b64encode(value).decode()
        case dt.datetime():
            return time_text(value)
        case dt.timedelta():
            return _seconds(value)
        case list():
            return [as_json_value(item) for item in value]
        case dict():
            return {_key(key): as_json_value(item) for key, item in value.items()}
    raise _not_json(f"a value of the type {type(value).__name__} has no JSON form")


def _key(key: Any) -> str:
    return literal(key).removesuffix("u") if not isinstance(key, str) else key


def _number(value: Decimal) -> orjson.Fragment:
    if not value.is_finite():
        raise _not_json(f"JSON has no {value}")
    whole = value == value.to_integral_value() and abs(value) < Decimal("1e34")
    return orjson.Fragment(str(int(value)) if whole else str(value))


def _not_json(problem: str) -> Failure:
    return Failure("STATE_NOT_JSON", problem, ExitCode.REFUSED)


def _shown(error: expressions.InvalidExpression | expressions.EvaluationFailed, text: str) -> Any:
    """The facts of an error, with an excerpt also where the core gives only an offset."""
    facts = dict(error.facts)
    if "excerpt" not in facts and error.offset is not None:
        start = text.rfind("\n", 0, error.offset) + 1
        line = text[start:].partition("\n")[0]
        facts["excerpt"] = f"{line}\n{' ' * (error.offset - start)}^"
    facts.pop("offset", None)
    return facts


def cel(
    expression: Annotated[str, typer.Argument(metavar="EXPR", help="An expression.")],
    variables: Annotated[
        list[str] | None,
        typer.Option("--var", metavar="NAME=JSON", help="A variable; repeat for more."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate an expression of folds here, without a server."""
    values = _variables(variables or [])
    try:
        found = expressions.evaluate(expression, values)
    except (expressions.InvalidExpression, expressions.EvaluationFailed) as error:
        raise Failure(
            error.reason, error.message, ExitCode.INVALID_INPUT, _shown(error, expression)
        ) from None
    if as_json:
        print_json(as_json_value(found))
    else:
        console().print(printable(literal(found)), soft_wrap=True)
