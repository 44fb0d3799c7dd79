"""Official chat templates out of packages that carry them, and what Jinja2 makes of a dozen conversations with each.

Usage: python tools/official_templates.py FOLDER [PACKAGES]   (make test-templates; needs jinja2)
       python tools/official_templates.py --own Tests/Fixtures
The templates belong to the makers of the models, under many licences, so none is in the repository. They are taken from the
packages below, downloaded into PACKAGES (FOLDER/packages) unless they are there, and written to FOLDER/NAME.jinja to be read;
FOLDER/renders.json is for OfficialTemplateTests. With --own, templates of our own make the fixture templates-tools.json.
"""
import argparse
import ast
import json
import pathlib
import subprocess
import sys
import tarfile
import zipfile

from make_template_fixture import DATE, render_all

PACKAGES = ["trl==1.16.0", "guidance==0.3.1", "axolotl==0.19.0", "xinference==4.1.0", "llama-cpp-python==0.3.36"]
BOS, EOS = "<s>", "</s>"

SCHEMA = {"type": "object", "properties": {
    "place": {"type": "string", "description": "City, \"quoted\" & <tagged>"},
    "days": {"type": "integer", "minimum": 1, "default": 3},
    "parts": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": ["string", "null"]}, "a": {"enum": ["x", "é", 1.5, True, None]}}, "required": ["b"]}}},
    "required": ["place"]}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Weather\nof a place", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "now", "description": "Zeit: ünïcödé 🙂", "parameters": {"type": "object", "properties": {}}}}]


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


def call(identifier, name, arguments):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


CALLED = [
    turn("user", "Weather in Rom?"),
    turn("assistant", "", tool_calls=[call("abcdefghi", "weather", {"place": "Rom", "days": 2, "parts": [{"b": None, "a": 1.0}]})]),
    turn("tool", "{\"sky\": \"clear\", \"t\": 21.5}", tool_call_id="abcdefghi", name="weather"),
    turn("assistant", "Clear, 21.5 °C."), turn("user", "Thanks")]
TWO_CALLS = [
    turn("system", "Use tools."), turn("user", "Both"),
    turn("assistant", None, tool_calls=[call("abcdefghi", "weather", {"place": "Oslo"}), call("123456789", "now", {})]),
    turn("tool", "cold", tool_call_id="abcdefghi", name="weather"), turn("tool", "15:04", tool_call_id="123456789", name="now")]
CONVERSATIONS = [
    {"messages": [turn("user", "Hello")]},
    {"messages": [turn("system", "Be brief."), turn("user", "Hello")]},
    {"messages": [turn("user", "Hi"), turn("assistant", "Hello!"), turn("user", "And now?"), turn("assistant", "<think>\nhm\n</think>\n\nDone."), turn("user", "More")]},
    {"messages": [turn("system", ""), turn("user", ""), turn("assistant", ""), turn("user", "x")]},
    {"messages": [turn("system", " padded \n"), turn("user", "\n  spaces \t\n"), turn("assistant", "  kept?  \n")]},
    {"messages": [turn("user", "Ünï 🙂👩‍👩‍👧 e\u0301\u0085\u00a0 'q' \"d\" \\n {{ x }} {% y %} <|im_end|>\r\nb\rc")]},
    {"messages": [turn("system", "Help."), turn("user", "Weather?")], "tools": TOOLS},
    {"messages": [turn("user", "Weather?")], "tools": TOOLS[:1], "variables": {"enable_thinking": False, "tools_in_user_message": False, "date_string": "1 Jan 2025"}},
    {"messages": CALLED, "tools": TOOLS},
    {"messages": TWO_CALLS, "tools": TOOLS},
    {"messages": [turn("user", "q"), turn("assistant", "a", reasoning_content="because\n"), turn("user", "long " * 200), turn("assistant", "begun")], "variables": {"enable_thinking": True}},
    {"messages": [turn("user", [{"type": "text", "text": "part one"}, {"type": "text", "text": " and two"}])]},
    {"messages": []},
]


# Written for these tests with the constructs of official templates, whose texts are not in the repository.
OWN = {
    "chatml-tools": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Functions\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(search=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.search and message.role == "user" and message.content is string and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.search = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {{- content }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
            {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
            {{- '<call>\\n{"name": "' ~ tool_call.name ~ '", "arguments": ' }}
            {%- if tool_call.arguments is string %}
                {{- tool_call.arguments }}
            {%- else %}
                {{- tool_call.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<result>\\n' + content + '\\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "inst-tools": """{%- if messages and messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("a call's id has nine characters") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("user, assistant, tool and at first system are the roles, not " + message.role) }}
    {%- endif %}
{%- endfor %}
""",
    "role-tags": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "role-lines": """{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}{% if not loop.last %}{{ '<|assistant|>\\n' + message['content'] + eos_token + '\\n' }}{% else %}{{ '<|assistant|>\\n' + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}{% endfor %}""",
    "turns": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn here') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start>' + role + '\\n' + message['content'] | trim + '<end>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start>model\\n'}}{% endif %}""",
    "system-in-user": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "schema-macro": """{%- macro kind(schema, depth=0) -%}
    {%- if schema.type is string -%}
        {{ schema.type }}{% if schema.get('properties') %}{{ '{' }}{% for name, part in schema.properties | dictsort %}{{ name }}:{{ kind(part, depth + 1) }}{{ ',' if not loop.last }}{% endfor %}{{ '}' }}{% endif %}
        {%- if schema.get('items') %}[{{ kind(schema['items'], depth + 1) }}]{% endif %}
    {%- elif schema.type is iterable -%}
        {{ schema.type | join('|') }}
    {%- elif 'enum' in schema -%}
        {{ schema.enum | map('string') | join('/') }}
    {%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] %}
{{ loop.index }}. {{ tool.function.name | upper }}: {{ kind(tool.function.parameters) }} ({{ tool.function.parameters.required | default([], true) | join(', ') }})
{% else %}no tools
{% endfor %}
{{ strftime_now('%d %b %Y') }}{{ date_string | default(' today') }}
{%- for message in messages if message.role != 'system' %}
{% generation %}{{ message.role | capitalize }}: {{ message.content | string | length }}{% endgeneration %}
{%- if message.tool_calls is defined %}{{ message.tool_calls | map(attribute='function.name') | join('+') }}{% endif %}
{%- endfor %}
""",
}



def jinja_files(wheels, package, folder):
    """(name, text) of the .jinja files in a folder of a wheel."""
    for path in sorted(wheels.glob(package + "-*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                if name.startswith(folder) and name.endswith(".jinja"):
                    yield package + "-" + pathlib.Path(name).stem, wheel.read(name).decode()


def sources(wheels):
    """(name, text) of every template in the packages."""
    for path in sorted(wheels.glob("llama_cpp_python-*.tar.gz")):
        with tarfile.open(path) as archive:
            for member in archive:
                if "/models/templates/" in member.name and member.name.endswith(".jinja"):
                    yield "llama.cpp-" + pathlib.Path(member.name).stem, archive.extractfile(member).read().decode()
    yield from jinja_files(wheels, "trl", "trl/chat_templates/")
    yield from jinja_files(wheels, "axolotl", "axolotl/utils/chat_templates/templates/")
    for path in sorted(wheels.glob("guidance-*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for node in ast.parse(wheel.read("guidance/chat.py").decode()).body:
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                    yield "guidance-" + node.targets[0].id.removesuffix("_template"), node.value.value
    for path in sorted(wheels.glob("xinference-*.whl")):
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                if name.startswith("xinference/model/llm/models/") and name.endswith(".json"):
                    models = json.loads(wheel.read(name))
                    for model in models if isinstance(models, list) else [models]:
                        if model.get("chat_template"):
                            yield "xinference-" + model["model_name"], model["chat_template"]


def download(wheels):
    wheels.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        name = package.split("==")[0].replace("-", "_")
        if not any(wheels.glob(name + "-*")):
            kind = ["--no-binary" if name == "llama_cpp_python" else "--only-binary", ":all:"]
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, package, "-d", str(wheels)], check=True)


def write(path, sources):
    templates = []
    for name, source in sources:
        texts = [render_all(source, bos_token=BOS, eos_token=EOS, add_generation_prompt=generation, **conversation)
                 for conversation in CONVERSATIONS for generation in (False, True)]
        templates.append({"name": name, "source": source, "texts": texts})
    conversations = [json.dumps(conversation, ensure_ascii=False) for conversation in CONVERSATIONS]
    path.write_text(
        json.dumps({"date": DATE, "bos": BOS, "eos": EOS, "conversations": conversations, "templates": templates}, indent=0) + "\n", "utf-8")
    refused = sum(text is None for template in templates for text in template["texts"])
    print(f"{len(templates)} templates, {sum(len(t['texts']) for t in templates) - refused} texts, {refused} refusals by Jinja2")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("packages", nargs="?", type=pathlib.Path)
    parser.add_argument("--own", action="store_true", help="write templates-tools.json into FOLDER, from the templates above")
    given = parser.parse_args()
    if given.own:
        return write(given.folder / "templates-tools.json", OWN.items())
    packages = given.packages or given.folder / "packages"
    download(packages)
    given.folder.mkdir(parents=True, exist_ok=True)
    official = {}
    for name, source in sources(packages):
        if source not in official:
            official[source] = name
            (given.folder / (name + ".jinja")).write_bytes(source.encode())
    write(given.folder / "renders.json", ((name, source) for source, name in official.items()))


if __name__ == "__main__":
    main()
