"""Render gen/openapi.yaml, the page of the JSON edge, from the descriptors of proto/.

What it takes from where: paths from google.api.http; descriptions from the
comments; constraints of schemas from protovalidate; the HTTP statuses of a
method from the reasons that its comment names under `Errors:`, whose own
comments in errors.proto give the status. A method of a service whose name ends
in JsonEdgeService takes the request message of its twin: the method of the same
name in another service.

Must match: envoy/envoy.yaml.tmpl, which fixes how messages print as JSON.
"""

import dataclasses
import pathlib
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml
from buf.validate import validate_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "trading.v1"
GATEWAY, MODEL = "http://127.0.0.1:8000", "http://127.0.0.1:9000"
EDGE = "JsonEdgeService"
HEADER = "# Generated from proto/ by tools/gen.py; `make gen` writes it anew.\n"
INTRODUCTION = """The JSON edge of Tollgate. The same calls, and streams, are gRPC and grpc-web on the same ports.

Every error is a google.rpc.Status with ErrorInfo: programs read `details[].reason`, people read `message`. Unknown
JSON fields are refused. `X-Request-Id` is kept when the caller sends one, made otherwise, and is in every answer."""

Field = descriptor_pb2.FieldDescriptorProto
Method = descriptor_pb2.MethodDescriptorProto
Message = descriptor_pb2.DescriptorProto
Json = dict[str, Any]  # a part of the page, whose shape OpenAPI 3.1 fixes

SCALARS: dict[int, Json] = {
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_STRING: {"type": "string"},
}
TIMESTAMP: Json = {"type": "string", "format": "date-time"}
CONSTRAINTS = {
    "pattern": "pattern",
    "min_len": "minLength",
    "max_len": "maxLength",
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
}
MEANINGS = {
    "400": "The request is malformed; ErrorInfo names the field.",
    "404": "There is nothing of this name.",
    "412": "A precondition of the order does not hold.",
    "413": "The body is larger than the route takes.",
    "422": "The order is well-formed and cannot be executed as asked.",
    "423": "Trading is locked or halted.",
    "429": "Too many calls, or a reader too slow; wait for `Retry-After`.",
    "500": "The fault is ours; nothing of it is told but an incident id.",
    "503": "A part is out of reach; nothing was done. Retry with the same key.",
    "default": "Any other error, of the same shape.",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The contract, by full names, and the comment of every element."""

    messages: dict[str, Message]
    methods: dict[str, Method]
    comments: dict[str, str]
    statuses: dict[str, str]

    def twin(self, service: str, method: Method) -> str:
        """The full name of the method that an edge method stands for; its own when it is none."""
        own = f"{service}.{method.name}"
        if not service.endswith(EDGE):
            return own
        return next(name for name in self.methods if name.endswith(f".{method.name}") and name != own)


def render(descriptors: bytes) -> str:
    """The OpenAPI page, as YAML, of a FileDescriptorSet with source information."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors).file
    own = [file for file in files if file.package == PACKAGE]
    contract = read(own)
    schemas = {"Status": status_schema(), "ErrorInfo": error_info_schema(contract)}
    paths: dict[str, Json] = {}
    services = {name.rpartition(".")[0] for name in contract.methods}
    for service in sorted(
        services, key=lambda name: (name.startswith("Model"), name)
    ):  # the gateway's word comes first
        for name, method in contract.methods.items():
            if name.rpartition(".")[0] == service and method.options.HasExtension(annotations_pb2.http):
                add_path(paths, contract, service, method)
    for name, request in sorted(reachable(contract)):
        schemas[name.removeprefix(f".{PACKAGE}.")] = message_schema(contract, name, request=request)
    with (ROOT / "pyproject.toml").open("rb") as project:
        version = tomllib.load(project)["project"]["version"]
    page = {
        "openapi": "3.1.0",
        "info": {"title": "Tollgate", "version": version, "description": INTRODUCTION},
        "servers": [{"url": GATEWAY, "description": "the gateway"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "responses": {status: error_response(status) for status in MEANINGS}},
    }
    return HEADER + yaml.dump(page, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120)


class Plain(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out."""

    def ignore_aliases(self, data: object) -> bool:
        """Never an alias."""
        return data is not self


def read(files: list[descriptor_pb2.FileDescriptorProto]) -> Contract:
    """Index the files by full names."""
    contract = Contract(messages={}, methods={}, comments={}, statuses={})
    for file in files:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for index, message in enumerate(file.message_type):
            name = f".{PACKAGE}.{message.name}"
            contract.messages[name] = message
            contract.comments[name] = tidy(comments.get((4, index), ""))
            for number, field in enumerate(message.field):
                contract.comments[f"{name}.{field.name}"] = tidy(comments.get((4, index, 2, number), ""))
        for index, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                name = f"{service.name}.{method.name}"
                contract.methods[name] = method
                contract.comments[name] = tidy(comments.get((6, index, 2, number), ""))
        for index, enum in enumerate(file.enum_type):
            for number, value in enumerate(enum.value):
                status = re.search(r", (\d{3})", comments.get((5, index, 2, number), ""))
                if status:
                    contract.statuses[value.name] = status[1]
    return contract


def tidy(comment: str) -> str:
    """A comment as Markdown: lines of a paragraph joined, paragraphs kept."""
    paragraphs = re.split(r"\n\s*\n", comment.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def add_path(paths: dict[str, Json], contract: Contract, service: str, method: Method) -> None:
    """Add a method under its path; a path that both ports serve answers with either schema."""
    rule = method.options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    request = contract.messages[contract.methods[contract.twin(service, method)].input_type]
    named = re.findall(r"\{(\w+)\}", getattr(rule, verb))
    path = re.sub(r"\{(\w+)\}", lambda found: f"{{{json_name(request, found[1])}}}", getattr(rule, verb))
    server: Json = {"url": MODEL if service.startswith("Model") else GATEWAY}
    if path in paths:
        schema = paths[path][verb]["responses"]["200"]["content"]["application/json"]["schema"]
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}, reference(method.output_type)]
        paths[path][verb]["description"] += f"\n\nOn {MODEL}: {contract.comments[f'{service}.{method.name}']}"
        paths[path]["servers"].append(server)
        return
    paths[path] = {"servers": [server], verb: operation(contract, service, method, named, has_body=bool(rule.body))}


def json_name(message: Message, field: str) -> str:
    """A field's name in JSON."""
    return next(one.json_name for one in message.field if one.name == field)


def operation(contract: Contract, service: str, method: Method, named: list[str], *, has_body: bool) -> Json:
    """One operation: its text, parameters, body and answers."""
    twin = contract.twin(service, method)
    request = contract.methods[twin].input_type
    comment = contract.comments[twin]
    summary = re.split(r"(?<=\.)\s", comment)[0].rstrip(".")
    made: Json = {"operationId": twin.replace(".", "_"), "tags": [twin.partition(".")[0]], "summary": summary}
    made["description"] = comment
    parameters = list(parameters_of(contract, request, named, has_body=has_body))
    if parameters:
        made["parameters"] = parameters
    if has_body:
        must = bool(required_fields(contract.messages[request]))
        made["requestBody"] = {"required": must, "content": {"application/json": {"schema": reference(request)}}}
    made["responses"] = responses(contract, twin, method, takes_input=has_body or bool(parameters), has_body=has_body)
    return made


def parameters_of(contract: Contract, request: str, named: list[str], *, has_body: bool) -> Iterator[Json]:
    """Parameters of the path and the query; for a body with an idempotency key, the header that counts as it."""
    for field in contract.messages[request].field:
        schema = field_schema(contract, field)
        text = {"description": contract.comments[f"{request}.{field.name}"]}
        if field.name in named:
            yield {"name": field.json_name, "in": "path", "required": True, "schema": schema, **text}
        elif not has_body:
            yield {"name": field.json_name, "in": "query", "required": False, "schema": schema, **text}
        elif field.name == "idempotency_key":
            yield {"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema, **text}


def responses(contract: Contract, twin: str, method: Method, *, takes_input: bool, has_body: bool) -> Json:
    """The answers: 200, 202 where the comment tells of it, and an error for each status that a reason brings."""
    kind = "application/x-ndjson" if method.server_streaming else "application/json"
    content: Json = {kind: {"schema": reference(method.output_type)}}
    made: Json = {"200": {"description": contract.comments[method.output_type], "content": content}}
    if "HTTP 202" in contract.comments[twin]:
        made["202"] = {"description": "The venue's answer was lost; keep the key and ask again.", "content": content}
    errors = error_statuses(contract, contract.comments[twin]) | {"500", "503", "default"}
    errors |= {"400"} if takes_input else set()
    errors |= {"413"} if has_body else set()
    return made | {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(errors)}


def error_response(status: str) -> Json:
    """The answer with an error status; those that pass bring the time to wait."""
    failed: Json = {"application/json": {"schema": {"$ref": "#/components/schemas/Status"}}}
    made: Json = {"description": MEANINGS[status], "content": failed}
    if status in {"429", "503"}:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
        made["headers"] = {"Retry-After": seconds}
    return made


def error_statuses(contract: Contract, comment: str) -> set[str]:
    """The HTTP statuses of the reasons that a method's comment names, also by `as OtherMethod`."""
    told = comment.partition("Errors:")[2]
    other = re.match(r"\s*as (\w+)\.", told)
    if other:
        name = next(name for name in contract.methods if name.endswith(f".{other[1]}") and EDGE not in name)
        return error_statuses(contract, contract.comments[name])
    return {contract.statuses[word] for word in re.findall(r"[A-Z_]{4,}", told) if word in contract.statuses}


def reachable(contract: Contract) -> set[tuple[str, bool]]:
    """The messages that travel as JSON, each with whether it is (part of) a request."""
    found: set[tuple[str, bool]] = set()
    for name, method in contract.methods.items():
        if method.options.HasExtension(annotations_pb2.http):
            service = name.rpartition(".")[0]
            if service.endswith(EDGE):
                visit(contract, contract.methods[contract.twin(service, method)].input_type, found, request=True)
            visit(contract, method.output_type, found, request=False)
    return found


def visit(contract: Contract, name: str, found: set[tuple[str, bool]], *, request: bool) -> None:
    """Add a message and those in it."""
    if name not in contract.messages or (name, request) in found:
        return
    found.add((name, request))
    for field in contract.messages[name].field:
        if map_entry(contract.messages[name], field) is None:
            visit(contract, field.type_name, found, request=request)


def message_schema(contract: Contract, name: str, *, request: bool) -> Json:
    """A message as a schema. A request takes no unknown field; an answer prints every field that has a default."""
    message = contract.messages[name]
    made: Json = {"type": "object", "description": contract.comments[name]}
    properties: dict[str, Json] = {}
    for field in message.field:
        comment = contract.comments[f"{name}.{field.name}"]
        properties[field.json_name] = {**field_schema(contract, field, message), "description": comment}
    made["properties"] = properties
    must = required_fields(message) if request else printed_fields(message)
    if must:
        made["required"] = must
    if request:
        made["additionalProperties"] = False
        for optional in properties.keys() - set(must):
            may_be_null(properties[optional])
    return made


def may_be_null(schema: Json) -> None:
    """In JSON of proto3, null stands for a field that is left out."""
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]


def required_fields(message: Message) -> list[str]:
    """The fields that a request must have: those marked so, and those whose empty value breaks their rule."""
    return [
        field.json_name for field in message.field if is_required(field.options.Extensions[validate_pb2.field], field)
    ]


def is_required(rules: validate_pb2.FieldRules, field: Field) -> bool:
    """True when leaving the field out breaks its rules."""
    if rules.required:
        return True
    if field.proto3_optional:
        return False
    text = rules.string
    closed_set = getattr(text, "in")
    refuses_empty = (text.HasField("pattern") and not re.search(text.pattern, "")) or (
        closed_set and "" not in closed_set
    )
    return bool(refuses_empty) or text.min_len > 0 or rules.map.min_pairs > 0 or rules.repeated.min_items > 0


def printed_fields(message: Message) -> list[str]:
    """The fields that an answer always has: all but messages and those with presence."""
    return [
        field.json_name
        for field in message.field
        if not field.proto3_optional and (field.type != Field.TYPE_MESSAGE or field.label == Field.LABEL_REPEATED)
    ]


def field_schema(contract: Contract, field: Field, message: Message | None = None) -> Json:
    """A field as a schema, with its constraints."""
    rules = field.options.Extensions[validate_pb2.field]
    entry = map_entry(message, field) if message is not None else None
    if entry is not None:
        values = {**field_schema(contract, entry.field[1]), **constraints(rules.map.values)}
        names = {"propertyNames": constraints(rules.map.keys)} if rules.map.HasField("keys") else {}
        bounds = limits(minProperties=rules.map.min_pairs, maxProperties=rules.map.max_pairs)
        return {"type": "object", "additionalProperties": values, **names, **bounds}
    if field.type == Field.TYPE_MESSAGE:
        one = dict(TIMESTAMP) if field.type_name == ".google.protobuf.Timestamp" else reference(field.type_name)
    else:
        one = {**SCALARS[field.type], **constraints(rules)}
    if field.label != Field.LABEL_REPEATED:
        return one
    return {"type": "array", "items": one} | limits(
        minItems=rules.repeated.min_items, maxItems=rules.repeated.max_items
    )


def map_entry(message: Message, field: Field) -> Message | None:
    """The entry type of a map field; None for any other field."""
    last = field.type_name.rpartition(".")[2]
    return next((one for one in message.nested_type if one.name == last and one.options.map_entry), None)


def constraints(rules: validate_pb2.FieldRules) -> Json:
    """What protovalidate demands of a scalar, in the words of JSON Schema; finiteness is JSON's own."""
    kind = rules.WhichOneof("type")
    if kind not in {"string", "double", "int32"}:
        return {}
    told = {field.name: value for field, value in getattr(rules, kind).ListFields()}
    made: Json = {word: told[name] for name, word in CONSTRAINTS.items() if name in told}
    return made | ({"enum": list(told["in"])} if "in" in told else {})


def limits(**bounds: int) -> Json:
    """The bounds that are set."""
    return {name: bound for name, bound in bounds.items() if bound}


def reference(name: str) -> Json:
    """A reference to a message's schema."""
    return {"$ref": f"#/components/schemas/{name.removeprefix(f'.{PACKAGE}.')}"}


def status_schema() -> Json:
    """The schema of google.rpc.Status."""
    return {
        "type": "object",
        "description": "google.rpc.Status: every error, whoever made it.",
        "required": ["code", "message", "details"],
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "The gRPC status code."},
            "message": {"type": "string", "description": "What did not happen, then what to do."},
            "details": {
                "type": "array",
                "description": "First an ErrorInfo; BadRequest or RetryInfo where they apply.",
                "prefixItems": [{"$ref": "#/components/schemas/ErrorInfo"}],
                "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
            },
        },
    }


def error_info_schema(contract: Contract) -> Json:
    """The schema of google.rpc.ErrorInfo, with the reasons of the contract."""
    return {
        "type": "object",
        "description": "google.rpc.ErrorInfo: why.",
        "required": ["@type", "reason", "domain"],
        "properties": {
            "@type": {"const": "type.googleapis.com/google.rpc.ErrorInfo"},
            "reason": {"type": "string", "enum": list(contract.statuses), "description": "A value of ErrorReason."},
            "domain": {"const": "tollgate"},
            "metadata": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "The field, or the limit and the value that met it.",
            },
        },
    }
