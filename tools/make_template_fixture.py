"""Chat templates rendered by Jinja2 with the settings of Hugging Face, for Tests/Fixtures/tokenization-templates.json.

Usage: python tools/make_template_fixture.py weights/SmolLM2-135M-Instruct.Q4_1.gguf Tests/Fixtures
Needs: pip install jinja2 gguf. The Llama templates here are written for these tests: same headers and constructs as
the official ones, other sentences. Official files: official_templates.py.
"""
import argparse
import datetime
import functools
import json
import pathlib

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

DATE = [2026, 3, 9, 15, 4, 5]
BOS, EOS = "<|begin_of_text|>", "<|eot_id|>"

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}"""

LLAMA3 = """{% set loop_messages = messages %}
{% for message in loop_messages %}
    {% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}
    {% if loop.index0 == 0 %}
        {% set content = bos_token + content %}
    {% endif %}
    {{ content }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
"""

LLAMA31 = """{{- bos_token }}
{%- if my_tools is defined %}
    {%- set tools = my_tools %}
{%- endif %}
{%- if not tools_first is defined %}
    {%- set tools_first = true %}
{%- endif %}
{%- if not day is defined %}
    {%- if strftime_now is defined %}
        {%- set day = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set day = "1 Jan 2025" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system turn is taken out of the list and always written. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin is defined or tools is not none %}
    {{- "Mode: tools\\n" }}
{%- endif %}
{%- if builtin is defined %}
    {{- "Names: " + builtin | reject('equalto', 'python') | join(", ") + "\\n\\n"}}
{%- endif %}
{{- "Day: " + day + "\\n\\n" }}
{%- if tools is not none and not tools_first %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system }}
{{- "<|eot_id|>" }}

{%- if tools_first and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("no user turn to put the tools in") }}
{%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\n' -}}
    {{- first + "<|eot_id|>"}}
{%- endif %}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {%- for name, value in call.arguments | items %}
            {{- name + '="' + value + '"' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- endif %}
        {%- endfor %}
        {{- call.arguments | tojson }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

ALTERNATING = """{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'].strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}{% generation %}{{ m['content'] + eos_token }}{% endgeneration %}{% else %}{{ raise_exception('Unknown role: ' + m['role']) }}{% endif %}{% endfor %}"""

U = lambda text: {"role": "user", "content": text}
A = lambda text: {"role": "assistant", "content": text}
S = lambda text: {"role": "system", "content": text}
CONVERSATIONS = [
    [U("Hello")], [S("Be brief."), U("Hello")], [U("Hi"), A("Hello!"), U("And now?")],
    [S(" padded \n"), U("\n  spaces around \t\n"), A("  kept?  \n"), U("")],
    [U("Ünïcödé 🙂 e\u0301\u0085 \u00a0nbsp\u00a0 'quotes' \"double\" \\back\\slash {{ braces }} {% tag %} <|im_end|>")],
    [U("a\r\nb\rc\n\n"), A("line\n\n\nbreaks\n")], [S("only system")], [{"role": "tool", "content": "{\"x\": \"é\"}"}, U("x")], [],
]

# One construct each; `messages` is SNIPPET_MESSAGES.
SNIPPET_MESSAGES = [S("sys"), U("Hello Wörld"), A("answer one"), U("last")]
SNIPPETS = [
    "", "plain", "line\n", "line\n\n", "a\r\nb\rc\n", "{{ 1 }}\n{{ 2 }}\n", "{% if true %}\nyes\n{% endif %}\nno\n",
    "  {% if true %}\n  x\n  {% endif %}\n y", "a {% if true %}b{% endif %} c", "\t{# comment #}\nx", "x {#- c -#}  y", "  {{ 1 }}\n  {{- 2 -}}  \n 3",
    "a\n  {%- if true -%}\n  b\n  {%- endif +%}\n c", "a\n  {%+ if true %}x{% endif %}", "{% if true %}\n\n\nx{% endif %}", "{# a\nb #}\n{# c #}x",
    "{% set x = 1 %}{{ x }}{% set x = x + 1 %}{{ x }}", "{% for i in [1,2,3] %}{% set y = i %}{{ y }}{% endfor %}{{ y }}",
    "{% set x = 0 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.s = ns.s ~ m.role[0] %}{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }},{% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ loop.nextitem.role if loop.nextitem is defined }};{% endfor %}",
    "{% for m in messages %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for m in [] %}x{% else %}none{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% endfor %}", "{% for a, b in [[1,2],[3,4]] %}{{ a }}-{{ b }};{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 'x'}.items() %}{{ k }}={{ v }} {% endfor %}", "{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}", "{% for c in 'aé' %}[{{ c }}]{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }}{% if loop.last %}!{% endif %} {% endfor %}{% endfor %}",
    "{{ range(5) | list }}{{ range(2, 8, 3) | list }}{{ range(5, 0, -2) | list }}", "{% macro f(a, b='z') %}({{ a }}{{ b }}){% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}",
    "{% macro g(n) %}{% if n > 0 %}{{ n }}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(4) }}", "{% set t %}block {{ 1 + 1 }}{% endset %}[{{ t }}]{{ t | length }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{{ 'a' if 1 > 2 else 'b' }}{{ 'c' if 1 > 2 }}", "{{ 'x' if false else 'y' if true else 'z' }}",
    "{{ messages[0].role }}{{ messages[-1]['content'] }}{{ messages[1:3] | length }}{{ messages[::-1][0].content }}", "{{ 'hello'[1] }}{{ 'hello'[-1] }}{{ 'héllo'[1:3] }}{{ 'hello'[::-1] }}{{ 'abc'[5:] }}|",
    "{{ [1,2,3,4,5][1:-1] }}{{ [1,2,3][-2:] }}{{ [1,2,3][:100] }}{{ [1,2,3][::2] }}{{ [1,2,3][3:0:-1] }}", "{{ messages[9] is defined }}{{ messages[0].nothing is defined }}{{ nothing is defined }}{{ nothing }}|",
    "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 1.5 + 1 }} {{ 2 - -1 }} {{ -2 | abs }}",
    "{{ 'a' + 'b' ~ 1 ~ true ~ none }}{{ 'ab' * 3 }}{{ [1] + [2] }}", "{{ 1 == 1.0 }}{{ true == 1 }}{{ 'a' == 'a' }}{{ none == false }}{{ [1,'a'] == [1,'a'] }}{{ {'a': 1} == {'a': 1} }}",
    "{{ 1 < 2 < 3 }}{{ 1 < 2 > 3 }}{{ 'a' < 'b' }}{{ 'Z' < 'a' }}{{ 2 >= 2 }}{{ 1 != 1 }}", "{{ 'ell' in 'hello' }}{{ 'x' not in 'hello' }}{{ 2 in [1, 2] }}{{ 'a' in {'a': 1} }}{{ '' in 'x' }}{{ 'role' in messages[0] }}",
    "{{ not true or true and not false }}{{ 1 and 'x' }}{{ 0 or 'y' }}{{ '' or none }}{{ not [] }}{{ not {} }}{{ not 'a' }}{{ not not 1 }}",
    "{{ none is none }}{{ 1 is not none }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is iterable }}{{ 'a' is iterable }}{{ 1 is number }}{{ 1 is integer }}{{ 1.0 is float }}{{ true is boolean }}{{ true is true }}{{ 3 is odd }}{{ 4 is even }}{{ 6 is divisibleby 3 }}{{ 1 is equalto 1 }}{{ 1 is eq 2 }}{{ 'a' is in ['a'] }}{{ [] is sequence }}{{ x is undefined }}",
    "{{ not x is defined }}{{ x is not defined and 1 is number }}{{ 1 is string or 'a' is string }}", "{{ '  a b \\n' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ messages | length }}{{ 'héé' | length }}{{ {'a': 1} | count }}",
    "{{ 'Hello wOrld' | upper }}{{ 'ÀB' | lower }}{{ 'hello wORLD' | capitalize }}{{ 'hello wORLD foo-bar' | title }}", "{{ 'a-b-c' | replace('-', '+') }}{{ 'aaa' | replace('a', 'b', 2) }}{{ [1, 2, 'x'] | join('/') }}{{ messages | map(attribute='role') | join(',') }}",
    "{{ [3,1,2] | first }}{{ [3,1,2] | last }}{{ 'abc' | first }}{{ [1,2] | reverse | list }}{{ 'abc' | reverse }}{{ 'abc' | list }}", "{{ x | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ none | default('d') }}|{{ x | d('e') }}",
    "{{ '42' | int + 1 }}{{ 'z' | int }}{{ '1.5' | float }}{{ 3.9 | int }}{{ 5 | string + 'a' }}", "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}{{ messages | rejectattr('role', 'eq', 'user') | list | length }}",
    "{{ [0, 1, '', 'a'] | select | list }}{{ [1,2,3,4] | select('odd') | list }}{{ [1,2,3] | reject('equalto', 2) | list }}{{ ['a','b'] | map('upper') | list }}", "{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent(1, true) }}",
    "{{ {'a': 1, 'b': [1, 2.5, none, true, 'é\"\\n\\u001f/<>&']} | tojson }}", "{{ {'a': {'b': [1, {'c': []}], 'd': {}}} | tojson(indent=2) }}", "{{ messages[1] | tojson }}{{ 'x' | tojson }}{{ [] | tojson }}{{ none | tojson }}",
    "{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xyxaxy'.strip('xy') }}|{{ 'a\\n'.rstrip('\\n') }}", "{{ 'a,b,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1)[-1] }}{{ 'a</t>b'.split('</t>')[0] }}{{ 'l1\\nl2\\n'.splitlines() }}",
    "{{ 'Hello'.startswith('He') }}{{ 'Hello'.endswith('lo') }}{{ 'Hello'.upper() }}{{ 'Hello'.lower() }}{{ 'hello'.capitalize() }}{{ 'hello you'.title() }}{{ 'hello'.replace('l', 'L') }}{{ 'hello'.find('l') }}{{ 'hello'.find('z') }}{{ 'éa'.find('a') }}{{ ', '.join(['a', 'b']) }}{{ '12'.isdigit() }}",
    "{{ {'a': 1}.get('a') }}{{ {'a': 1}.get('b') }}{{ {'a': 1}.get('b', 2) }}{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ ({'a': 1} | items | list)[0] | join('=') }}", "{{ 'a\\tb\\\\n\\'q\\'\\u00e9\\x41\\q' }}{{ \"d\\\"q\" }}", "{{ 'one ' 'two' }}",
    "{{ ['a', 1, 2.0, none, true, {'k': 'v'}, [\"it's\"], 'q\"', 'é\\n'] }}", "{{ 1e3 }}{{ 2.5e-1 }}{{ 2.50 }}{{ 100000000000 }}", "{{ strftime_now('%Y-%m-%d %H:%M:%S %A %j') }}", "{% if messages[0]['role'] == 'system' %}S{% elif true %}E{% else %}X{% endif %}",
    "{%- for m in messages -%}\n  {{- m.role }}: {{ m.content -}}\n  {%- if not loop.last %}\n, {% endif -%}\n{%- endfor %}", "{{ {'a': {'b': 1}}.a.b }}{{ {'a-b': 1}['a-b'] }}{{ [[1, 2], [3]][0][1] }}{{ (1, 2) | list }}{{ (1) }}", "{% generation %}x{% endgeneration %}\ny",
    "{{ dict(a=1, b='c') }}{{ 'e\\u0301' == '\\u00e9' }}{{ 'e\\u0301' | length }}{{ 'x\\r\\ny' | length }}{{ 'a\\r\\n' == 'a\\n' }}", "{{ - 3 + 4 }}{{ 2 * -3 }}{{ -2 | string ~ 'x' }}{{ 1 ~ 2 + 3 ~ 4 }}",
    "{{ messages | sort(attribute='content') | map(attribute='content') | join('|') }}{{ [3, 1, 2] | sort }}{{ ['b', 'A', 'a', 'B'] | sort }}{{ ['b', 'A', 'a', 'B'] | sort(case_sensitive=true) }}{{ ['b', 'A', 'a', 'B'] | sort(reverse=true) }}",
    "{% for k, v in {'b': 1, 'A': 3, 'c': 2} | dictsort %}{{ k }}{{ v }}{% endfor %}{{ {'b': 1, 'A': 3} | dictsort(by='value', reverse=true) | map('join', '=') | join(' ') }}{{ {'a': 1, 'B': 3} | dictsort(true) | map('first') | join }}",
    "{{ [3, 1, 2] | min }}{{ [3, 1, 2] | max }}{{ ['b', 'A'] | min }}{{ [] | max }}|{{ messages | max(attribute='content') | tojson }}{{ ['a', 'A', 'b'] | unique | list }}{{ ['a', 'A'] | unique(true) | join }}",
    "{{ {'é': '🙂\x7f', 'a': [1]} | tojson(ensure_ascii=True) }}{{ {'b': [1, 2], 'a': {}} | tojson(separators=(',', ':')) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, indent=1) }}{{ [1] | tojson(indent=0) }}",
    "{{ '<{}|{}>'.format(1, 'x') }}{{ '{1}{0}{{}}'.format('a', 'b') }}{{ '{n}'.format(n=none) }}", "{% macro f(a, b='z', c=1) %}({{ a }}{{ b }}{{ c }}){% endmacro %}{{ f(*[1, 2]) }}{{ f(0, *[1, 2]) }}{{ f(*[1], c=5) }}{{ f(**{'a': 7, 'c': 8}) }}{{ [f][0](3) }}",
    "{% if false %}{{ x | nofilter }}{{ x is notest }}{% endif %}{{ (1 | nofilter) if false else 2 }}", "{% if true %}{{ 1 | nofilter }}{% endif %}", "{% if false %}{% for x in [] %}{{ x | nofilter }}{% endfor %}{% endif %}",
    "{{ [{'f': {'n': 'a'}}, {'f': {'n': 'b'}}] | map(attribute='f.n') | list }}{{ [{'f': {'n': 1}}] | selectattr('f.n', 'equalto', 1) | list | length }}{{ [[1, 2], [3, 4]] | map(attribute=1) | list if false }}",
    "{{ messages | map(attribute='role') | tojson }}", "{{ messages | selectattr('role') | length }}", "{{ 'a}'.format() }}", "{{ '{}'.format() }}", "{{ [1, 'a'] | sort }}", "{{ 1 | dictsort }}", "{{ f(*[1], *[2]) }}", "{{ dict(a=1, 2) }}",
    # What Jinja refuses, we refuse.
    "{{ nothing.field }}", "{{ 'a' + 1 }}", "{{ 1 / 0 }}", "{{ raise_exception('stop') }}", "{% if %}x{% endif %}", "{% for x in 5 %}{% endfor %}", "{% endif %}", "{% if true %}", "{{ 'open }}", "{{ 1 + }}", "{% unknown %}",
    "{{ x | nofilter }}", "{{ x is notest }}", "{{ nothing() }}", "{{ 'a'.nomethod() }}", "{{ (1, }}", "{{ 1 < 'a' }}", "{% break %}", "{{ ''.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{# open",
]


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return body


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise TemplateError(message)

    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: datetime.datetime(*DATE).strftime(format)
    return env


@functools.lru_cache
def compiled(source):
    return environment().from_string(source)


def render_all(source, messages, tools=None, variables=None, **given):
    """The text as transformers renders it, or None when the template or the conversation is refused."""
    try:
        given |= {"messages": messages, "tools": tools, "documents": None, **(variables or {})}
        return compiled(source).render(**given)
    except (TemplateError, TypeError, ValueError, ZeroDivisionError, AttributeError, SyntaxError, KeyError, IndexError):
        return None


def render(source, messages, generation):
    return render_all(source, messages, add_generation_prompt=generation, bos_token=BOS, eos_token=EOS)


def case(name, source):
    return {"name": name, "source": source, "renders": [
        {"messages": m, "generation": g, "text": render(source, m, g)} for m in CONVERSATIONS for g in (False, True)]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    given = parser.parse_args()
    from gguf import GGUFReader
    own = GGUFReader(given.model).fields["tokenizer.chat_template"].contents()
    sources = {"smollm2": own, "chatml": CHATML, "llama3": LLAMA3, "llama31": LLAMA31, "alternating": ALTERNATING}
    result = {
        "date": DATE, "bos": BOS, "eos": EOS, "templates": [case(name, source) for name, source in sources.items()],
        "snippetMessages": SNIPPET_MESSAGES,
        "snippets": [{"source": s, "text": render(s, SNIPPET_MESSAGES, False)} for s in SNIPPETS]}
    (given.folder / "tokenization-templates.json").write_text(json.dumps(result, ensure_ascii=True, indent=0) + "\n", "utf-8")


if __name__ == "__main__":
    main()
