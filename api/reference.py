"""`/docs`: the OpenAPI document as one plain page. No script, no font, no style sheet from anywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 0.875rem/1.4 ui-monospace, monospace }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid #8884; border-radius: 4px }
details { border-top: 1px solid #8884; padding: 0.5rem 0 } summary { cursor: pointer }
table { border-collapse: collapse } td, th { text-align: left; vertical-align: top; padding: 0.2rem 1rem 0.2rem 0 }
.verb { display: inline-block; min-width: 4rem; font-weight: 600 }
"""


def reference_page(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document."""
    info = document["info"]
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])} API</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p>{escape(info.get('description', ''))}</p>",
            '<p>The whole contract, for generators and other tools: <a href="/openapi.json">/openapi.json</a>.</p>',
            "<h2>Routes</h2>",
            *_operations(document),
            "<h2>Objects</h2>",
            *_schemas(document),
            "</body></html>",
        ]
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield from _operation(method, path, item[method])


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    title = escape(operation.get("summary", ""))
    yield f'<details id="{escape(operation["operationId"])}"><summary><span class="verb">{method.upper()}</span>'
    yield f"<code>{escape(path)}</code> &ndash; {title}</summary><p>{escape(operation.get('description', ''))}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        yield _table(
            ("parameter", "in", "meaning"),
            [(p["name"], p["in"], p.get("description") or _type(p["schema"])) for p in parameters],
        )
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{escape(media_type)}</code>, {_link(content.get('schema', {}))}</p>"
        for example in content.get("examples", {}).values():
            yield f"<p>{escape(example['summary'])}</p><pre>{escape(json.dumps(example['value'], indent=2))}</pre>"
    yield _table(
        ("status", "meaning"), [(status, answer["description"]) for status, answer in operation["responses"].items()]
    )
    yield "</details>"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<p>{escape(schema.get('description', ''))}</p>"
        fields = schema.get("properties", {}).items()
        rows = [(field, _type(inner), inner.get("description", "")) for field, inner in fields]
        if rows:
            yield _table(("field", "type", "meaning"), rows)
        for example in schema.get("examples", []):
            yield f"<pre>{escape(json.dumps(example, indent=2))}</pre>"
        yield "</details>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr><tr>{'</tr><tr>'.join(lines)}</tr></table>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(branch) for branch in schema[key])
    if "enum" in schema or "const" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "any"))
    return f"list of {_type(schema['items'])}" if kind == "array" and "items" in schema else kind


def _link(schema: dict[str, Any]) -> str:
    name = escape(_type(schema))
    return f'<a href="#{name}">{name}</a>'
