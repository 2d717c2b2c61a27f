"""Configs from files, settings, the command line and declarations; and what is said of those that cannot be used."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from metaflow import Config, ConfigValue
from metaflow.app.configs import Given, read_configs, stored_configs
from metaflow.exception import MetaflowException
from metaflow.flow.config import Declaration
from metaflow.flow.parameters import ParameterContext

CONTEXT = ParameterContext("Flow", "tester", "", print, "local", None)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path)


def declared(**configs: Config) -> dict[str, Declaration]:
    return {name: config._declared._replace(attribute=name) for name, config in configs.items()}


def read(config: Config, *given: Given) -> Any:
    return read_configs(declared(c=config), given, CONTEXT, "beside").configs.values["c"]


def cli(**files: str) -> Given:
    return Given("--config", files=files)


def value(**values: Any) -> Given:
    return Given("--config-value", values=values)


def test_json_by_default() -> None:
    Path("c.json").write_text('{"a": {"b": [1, {"c": null}]}}')
    config = read(Config("c", default="c.json"))
    assert config == {"a": {"b": [1, {"c": None}]}}
    assert type(config.a.b[1]) is ConfigValue


def test_who_goes_first() -> None:
    for name in ("default", "setting", "command"):
        Path(f"{name}.json").write_text(json.dumps({"from": name}))
    settings = Given("METAFLOW_FLOW_CONFIG", files={"c": "setting.json"})
    assert read(Config("c", default="default.json"))["from"] == "default"
    assert read(Config("c", default="default.json"), settings)["from"] == "setting"
    assert read(Config("C", default="default.json"), settings, cli(c="command.json"))["from"] == "command"
    assert read(Config("c", default_value={"from": "value"}), value(c='{"from": "command"}'))["from"] == "command"
    assert read(Config("c", default_value={"from": "value"}), value(c={"from": "caller"}))["from"] == "caller"


def test_where_each_came_from() -> None:
    Path("c.json").write_text("{}")
    Path("beside/d.json").write_text("{}")
    configs = declared(
        c=Config("c"),
        d=Config("d", default="d.json"),
        e=Config("e", default_value={}),
        f=Config("f", default_value="{}"),
    )
    loaded = read_configs(configs, [cli(c="c.json"), value(f='{"x": 1}')], CONTEXT, "beside")
    assert loaded.origins == {
        "c": "c.json (--config)",
        "d": "beside/d.json (its default)",
        "e": "its default_value",
        "f": "--config-value",
    }


def test_no_value_is_none_and_no_value_may_be_refused() -> None:
    assert read(Config("c")) is None
    assert read(Config("c"), value(c="null")) is None
    assert read(Config("c", required=True, default_value={"a": 1})) == {"a": 1}


def test_defaults_that_are_functions() -> None:
    Path("tester.json").write_text('{"a": 1}')
    assert read(Config("c", default=lambda context: f"{context.user_name}.json")) == {"a": 1}
    assert read(Config("c", default_value=lambda context: {"name": context.parameter_name})) == {"name": "c"}


def test_parsers_get_text_whatever_was_given() -> None:
    def parse(text: str) -> dict[str, str]:
        assert isinstance(text, str)
        return {"text": text}

    assert read(Config("c", parser=parse, default_value="k=v")) == {"text": "k=v"}
    assert read(Config("c", parser=parse, default_value="")) == {"text": ""}
    assert read(Config("c", parser=parse, default_value={"x": 1})) == {"text": '{"x": 1}'}
    assert read(Config("c", parser=parse), value(c="12")) == {"text": "12"}
    assert read(Config("c", parser="tomllib.loads", default_value="a.b = 1")).a.b == 1
    assert read(Config("c", parser="metaflow.yaml_parser", default_value="a: [1, {b: 2}]")).a[1].b == 2


def test_plain_ones_are_what_the_parser_returns() -> None:
    assert read(Config("c", parser=str.splitlines, plain=True, default_value="a\nb")) == ["a", "b"]
    assert read(Config("c", plain=True, default_value="17")) == "17"
    assert read(Config("c", plain=True, default_value={"a": 3})) == '{"a": 3}'
    assert read(Config("c", parser="collections.Counter", plain=True, default_value="aab"))["a"] == 2


def test_a_file_with_a_byte_order_mark() -> None:
    Path("c.json").write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read(Config("c", default="c.json")) == {"a": 1}


@dataclasses.dataclass
class Layer:
    size: int
    kind: Literal["dense", "sparse"] = "dense"


@dataclasses.dataclass
class Model:
    name: str
    rate: float = 0.1
    layers: list[Layer] = dataclasses.field(default_factory=list)
    limits: dict[str, int | None] | None = None

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate is negative")


def test_a_schema_fills_in_defaults() -> None:
    config = read(
        Config("c", schema=Model, default_value={"name": "x", "layers": [{"size": 2}], "limits": {"a": None}})
    )
    assert config == {
        "name": "x",
        "rate": 0.1,
        "layers": [{"size": 2, "kind": "dense"}],
        "limits": {"a": None},
    }
    assert config.layers[0].kind == "dense"


def boom(text: str) -> Any:
    raise RuntimeError("no luck")


def fail(context: ParameterContext) -> Any:
    raise KeyError("missing")


JSON = '{\n  "name": "x",\n  "layers": [\n    {"size": "big"}\n  ]\n}'


def three(context: ParameterContext) -> Any:
    return 3


c = partial(partial, Config, "c")
BAD: dict[str, tuple[Callable[[], Config], tuple[Given, ...], tuple[str, ...]]] = {
    "required": (c(required=True), (), ("'c' is required", "--config c FILE")),
    "no file": (c(default="no.json"), (), ("no.json (its default)", "No such file", "looked for in")),
    "no given file": (c(), (cli(c="no.json"),), ("no.json (--config)", "No such file")),
    "a directory": (c(), (cli(c="beside"),), ("beside (--config)", "Is a directory")),
    "no text": (c(), (cli(c="binary"),), ("binary (--config)", "codec can't decode")),
    "no JSON": (c(), (cli(c="bad.json"),), ("bad.json", "bad.json:2", "is not JSON", "column 6")),
    "empty file": (c(), (cli(c="empty"),), ("'c'", "empty:1", "is not JSON: Expecting value")),
    "no JSON value": (c(), (value(c="{bad"),), ("(--config-value)", "is not JSON", "line 1, column 2")),
    "a list": (c(), (value(c="[1]"),), ("is a list, not a dictionary",)),
    "a number": (c(default_value="3"), (), ("(its default_value) is a int, not a dictionary",)),
    "parser's list": (c(parser=str.split, default_value="a"), (), ("is a list", "plain=True")),
    "parser's error": (c(parser=boom, default_value=""), (), ("refused by its parser", "RuntimeError: no luck")),
    "parser's TOML": (c(parser=tomllib.loads, default="bad.toml"), (), ("bad.toml:2", "TOMLDecodeError", "column 5")),
    "parser's YAML": (c(parser=yaml.safe_load, default="bad.yaml"), (), ("bad.yaml:2", "ScannerError")),
    "parser's requirement": (
        c(parser="metaflow.requirements_txt_parser", default="bad.txt"),
        (),
        ("bad.txt:2", "PEP 508"),
    ),
    "no parser module": (c(parser="nowhere.loads", default_value=""), (), ("'nowhere.loads'", "No module named")),
    "no parser function": (c(parser="json.nope", default_value=""), (), ("'json.nope'", "no attribute")),
    "parser no function": (c(parser="json.__name__", default_value=""), (), ("is no function",)),
    "default raises": (c(default=fail), (), ("gives the default", "KeyError")),
    "default of no path": (c(default=three), (), ("the file 3 by its default",)),
    "value raises": (c(default_value=fail), (), ("gives the default_value", "KeyError")),
    "value of no kind": (c(default_value=three), (), ("is a int, not a text or a dictionary",)),
    "setting of no kind": (c(), (Given("METAFLOW_FLOW_CONFIG_VALUE", values={"c": 3}),), ("given 3 by METAFLOW_",)),
    "setting of no path": (c(), (Given("METAFLOW_FLOW_CONFIG", files={"c": 3}),), ("the file 3 by METAFLOW_",)),
    "no such config": (
        partial(Config, "con"),
        (cli(com="x"),),
        ("--config com: the flow has no such", "did you mean 'con'?"),
    ),
    "no such value": (partial(Config, "con"), (value(xyz="{}"),), ("--config-value xyz", "its configs: con")),
    "file and value": (c(), (cli(c="c.json"), value(c="{}")), ("given twice", "by --config,", "by --config-value")),
    "file over setting's value": (
        c(),
        (Given("METAFLOW_FLOW_CONFIG_VALUE", values={"c": "{}"}), cli(c="c.json")),
        ("given twice", "by METAFLOW_FLOW_CONFIG_VALUE"),
    ),
    "schema, missing": (
        c(schema=Model, default_value="{}"),
        (),
        ("does not fit its schema", "name: Model needs this key"),
    ),
    "schema, unknown": (
        c(schema=Model, default_value='{"name": "x", "rat": 1}'),
        (),
        ("rat: ", "did you mean 'rate'?", "column 22"),
    ),
    "schema, deep": (
        c(schema=Model, default="model.json"),
        (),
        ("model.json:4", "layers.0.size: 'big' is not an integer", "column 14"),
    ),
    "schema, literal": (
        c(schema=Model, default_value={"name": "x", "layers": [{"size": 1, "kind": "other"}]}),
        (),
        ("layers.0.kind: 'other' is none of 'dense', 'sparse'",),
    ),
    "schema, bool as number": (
        c(schema=Model, default_value={"name": "x", "layers": [{"size": True}]}),
        (),
        ("True is not an integer",),
    ),
    "schema, union": (
        c(schema=Model, default_value={"name": "x", "limits": {"a": "b"}}),
        (),
        ("limits.a: 'b' is not",),
    ),
    "schema, list": (c(schema=Model, default_value={"name": "x", "layers": {}}), (), ("layers: {} is not a list",)),
    "schema, text": (c(schema=Model, default_value={"name": 3}), (), ("name: 3 is not a text",)),
    "schema of no kind": (c(schema=3), (), ("no dataclass and no pydantic model",)),
    "schema refuses": (
        c(schema=Model, default_value={"name": "x", "rate": -1}),
        (),
        ("Model refuses it: ValueError: rate is negative",),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_one_error_that_says_where(name: str) -> None:
    Path("bad.json").write_text('{"a": 1,\n "b" 2}')
    Path("bad.toml").write_text("a = 1\nb = ]\n")
    Path("bad.yaml").write_text("a: 1\nb: c: d\n")
    Path("bad.txt").write_text("numpy\n-r other.txt\n")
    Path("binary").write_bytes(b"\xff\xfe\x00")
    Path("c.json").write_text("{}")
    Path("model.json").write_text(JSON)
    Path("empty").write_text("")
    config, given, said = BAD[name]
    with pytest.raises(MetaflowException) as caught:
        read(config(), *given)
    text = "\n".join(filter(None, [caught.value.message, caught.value.where, caught.value.hint]))
    for part in said:
        assert part in text


def test_a_pydantic_model_is_a_schema_where_it_is_installed() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Size(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        width: int
        depth: int = 2

    assert read(Config("c", schema=Size, default_value={"width": 3})) == {"width": 3, "depth": 2}
    with pytest.raises(MetaflowException, match="width: "):
        read(Config("c", schema=Size, default_value={"width": "wide"}))


def test_stored_ones_need_nothing_but_what_was_stored() -> None:
    configs = declared(
        c=Config("c", default="gone.json"),
        p=Config("p", plain=True),
        n=Config("n"),
        new=Config("new", default_value={}),
    )
    loaded = stored_configs(configs, {"c": {"a": {"b": 1}}, "p": {"x": 1}, "n": None, "other": 3}, "17")
    assert loaded.configs.values == {"c": {"a": {"b": 1}}, "p": {"x": 1}, "n": None}
    assert loaded.configs.values["c"].a.b == 1
    assert type(loaded.configs.values["p"]) is dict
    assert set(loaded.origins) == {"c", "p", "n"}
