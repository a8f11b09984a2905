"""Read yaml files by OmegaConf's rules, with limits on size, and name the file in errors. Imports nothing heavy."""

import copy
import functools
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from depthlab.config.errors import UserError
from depthlab.folders import relative

MAX_BYTES = 1 << 20
MAX_NODES = 100_000  # keys, values and lists, counted once for each use of an alias
MAX_DEPTH = 20  # of lists and mappings inside each other
PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


def read_yaml(path: Path) -> Any:
    """The content of a yaml file; `1e-1` is a number and a date is a word, as in Hydra.

    Raises:
        UserError: there is no such file, it is not text or not valid yaml, or it is too large, with its aliases
            (`*name`) expanded.
    """
    name = relative(path)
    if not path.is_file():
        raise UserError(f"there is no file {name}")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        raise UserError(f"{name} is too large: a yaml file may have {MAX_BYTES:,} bytes")
    return copy.deepcopy(_parse(text, name))


@functools.lru_cache(maxsize=256)
def _parse(text: bytes, name: str) -> Any:
    """The content of a text; cached, since a study of a thousand runs reads the same few files for each run.

    Raises:
        UserError: as `read_yaml`.
    """
    try:
        loader = get_yaml_loader()(text.decode())
        root = loader.get_single_node()
        if root is None:
            return None
        _measure(root, {}, name)
        return loader.construct_document(root)
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text: byte {error.start + 1} cannot be read") from None
    except RecursionError:
        raise UserError(_too_deep(name)) from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"cannot read {name}{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # a forbidden character, or a number of thousands of digits
        raise UserError(f"cannot read {name}: {str(error).splitlines()[0]}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a yaml file that must hold `key: value`; an empty file is an empty mapping.

    Raises:
        UserError: as `read_yaml`, or it holds something else.
    """
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{relative(path)} must hold settings as key: value, got {kind(content)}")
    for key in content:
        if not isinstance(key, str):
            raise UserError(f"the keys of {relative(path)} must be words, got {key}")
    return content


def kind(value: Any) -> str:
    """The kind of a yaml value, in words."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = str(value)
    return "nothing" if value is None else shown if len(shown) <= 40 else f"{shown[:40]}..."


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None], name: str) -> tuple[int, int]:
    """Size and height of the tree below a node, with aliases expanded.

    Args:
        known: size and height of measured nodes, by `id`; None while a node is being measured.
        name: name of the file.

    Raises:
        UserError: the tree is too large or too high, contains itself, or has a tag that is not a plain type.
    """
    where = f"{name}, line {node.start_mark.line + 1}"
    if node.tag not in PLAIN:
        raise UserError(f"cannot read {where}: {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed")
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise UserError(f"cannot read {where}: a value contains itself")
        return measured
    known[id(node)] = None
    parts = node.value if isinstance(node, yaml.CollectionNode) else []
    inner = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
    below = [_measure(part, known, name) for part in inner]
    size, height = 1 + sum(size for size, _ in below), 1 + max((height for _, height in below), default=0)
    if size > MAX_NODES:
        raise UserError(f"{name} expands to more than {MAX_NODES:,} values: repeat less with aliases")
    if height > MAX_DEPTH:
        raise UserError(_too_deep(name))
    known[id(node)] = size, height
    return size, height


def _too_deep(name: str) -> str:
    return f"{name} is nested too deeply: at most {MAX_DEPTH} lists and mappings inside each other are allowed"
