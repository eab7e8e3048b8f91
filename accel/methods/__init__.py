"""The registered methods, and how one is written as text. Listing them imports no torch."""

import ast
from collections.abc import Iterable
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from accel.chain import Chain
from accel.core import Method, Record
from accel.errors import InvalidRequestError, unknown_name

__all__ = ["METHODS", "from_repr", "method_class", "method_of", "modules_of", "parse"]

METHODS: dict[str, tuple[str, str]] = {
    "reference": (
        "accel.methods.reference:Reference",
        "M0: the pipeline as it is",
    ),
    "int8_weight_only": (
        "accel.methods.int8_weight_only:Int8WeightOnly",
        "M1: Linear weights of the UNet as int8, one scale per row",
    ),
    "torch_compile": (
        "accel.methods.torch_compile:TorchCompile",
        "M2: TF32 and torch.compile of the UNet, with CUDA graphs",
    ),
    "fewer_steps": (
        "accel.methods.fewer_steps:FewerSteps",
        "M3: the same sampler with fewer denoising steps",
    ),
    "distilled": (
        "accel.methods.distilled:Distilled",
        "M4: a student's weights under the ordinary sampler",
    ),
    "semi_structured": (
        "accel.methods.semi_structured:SemiStructured",
        "M5: 2:4 sparse Linear weights of the UNet, by magnitude, tuned or not",
    ),
    "keyframes": (
        "accel.methods.keyframes:Keyframes",
        "M6: every n-th frame, and RIFE for those between",
    ),
    "lcm": (
        "accel.methods.lcm:Lcm",
        "M7: latent consistency, 1 to 8 steps of distilled weights",
    ),
    "sampler": (
        "accel.methods.sampler:Sampler",
        "another sampler: Align Your Steps, Heun or DPM++ 2M",
    ),
    "guidance_interval": (
        "accel.methods.guidance_interval:GuidanceInterval",
        "classifier-free guidance on the middle steps only",
    ),
    "tiny_vae": (
        "accel.methods.tiny_vae:TinyVae",
        "a tiny decoder in the place of the VAE's: TAESDV, or one distilled for mini",
    ),
}
"""name -> ("module:Class", one-line summary)."""


def method_class(name: str) -> type[Method]:
    """The class registered under that name; UnknownNameError names the nearest one."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module, _, cls = METHODS[name][0].partition(":")
    return cast(type[Method], getattr(import_module(module), cls))


def parse(text: str) -> Method:
    """A method as the command line writes it.

    `fewer_steps:15`, `int8_weight_only:backend=torchao`, and `fewer_steps:10+torch_compile` for a
    chain: after the colon the fields, in order or by name, with commas between them.
    """
    if "+" in text:
        return Chain(tuple(parse(part) for part in text.split("+")))
    name, _, tail = text.partition(":")
    cls = method_class(name.strip())
    words = [word.strip() for word in tail.split(",") if word.strip()]
    positional = [_value(word) for word in words if "=" not in word]
    named = {k.strip(): _value(v) for k, _, v in (w.partition("=") for w in words if "=" in w)}
    return _build(cls, positional, named, text)


def from_repr(text: str, modules: Iterable[str] = ()) -> Method:
    """The method whose `repr` is `text`: classes of METHODS, and of the other named modules.

    Nothing is evaluated but literals. Raises InvalidRequestError for anything else.
    """
    classes: dict[str, type[Method]] = {"Chain": Chain}
    for name in METHODS:
        classes[METHODS[name][0].partition(":")[2]] = method_class(name)
    for module in modules:
        found = vars(_module(module, text)).items()
        classes |= {n: c for n, c in found if isinstance(c, type) and issubclass(c, Method)}
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise InvalidRequestError(f"{text!r} is not the repr of a method") from error
    return cast(Method, _evaluate(tree, classes, text))


def _module(name: str, text: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise InvalidRequestError(
            f"{text} is defined in the module {name!r}, which cannot be imported here ({error}); "
            "put its folder on PYTHONPATH"
        ) from error


def method_of(record: Record) -> Method:
    """The method that a record was measured with, wherever it is defined."""
    return from_repr(record.method, record.run.get("modules", ()))


def modules_of(method: Method) -> list[str]:
    """The modules that define the method and, in a chain, its parts."""
    parts = method.methods if isinstance(method, Chain) else (method,)
    return sorted({type(part).__module__ for part in parts})


def _evaluate(node: ast.expr, classes: dict[str, type[Method]], text: str) -> object:
    if isinstance(node, ast.Tuple):
        return tuple(_evaluate(item, classes, text) for item in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id not in classes:
            raise unknown_name("method class", node.func.id, classes)
        positional = [_evaluate(item, classes, text) for item in node.args]
        named = {str(k.arg): _evaluate(k.value, classes, text) for k in node.keywords}
        return _build(classes[node.func.id], positional, named, text)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise InvalidRequestError(f"{text!r} is not the repr of a method") from error


def _build(cls: type[Method], args: list[Any], named: dict[str, Any], text: str) -> Method:
    try:
        return cls(*args, **named)
    except TypeError as error:
        known = ", ".join(f.name for f in fields(cast(Any, cls))) or "none"
        raise InvalidRequestError(f"{text!r}: {error}; the fields are: {known}") from error


def _value(word: str) -> object:
    """`word` as a Python literal, or as the text it is (`torchao`, `reduce-overhead`)."""
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(word.lower(), word))
    except (ValueError, SyntaxError):
        return word.strip()
