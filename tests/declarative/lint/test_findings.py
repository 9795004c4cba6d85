"""What rules find beyond their examples, and what they must leave alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dagflow.declarative.lint import Finding, lint_file
from declarative.lint.example_tools import FUNCTIONS
from declarative.yaml_files import write_graph, write_prompt


def found(folder: Path, text: str, code: str) -> list[Finding]:
    """The findings of one rule; the file must be sound otherwise."""
    report = lint_file(write_graph(folder, text), root=folder, functions=FUNCTIONS, environment={})
    assert [] == [str(finding) for finding in report.findings if finding.code.startswith("DF0")]
    return [finding for finding in report.findings if finding.code == code]


def shell(folder: Path, command: str) -> dict[str, Finding]:
    """The findings about a shell node with a command, by code."""
    text = f"""
        state: {{name: str}}
        nodes:
          find: {{type: shell, command: {command}, timeout: 10, state_key: found}}
        edges:
          - {{from: START, to: find}}
          - {{from: find, to: END}}
    """
    report = lint_file(write_graph(folder, text), root=folder, environment={})
    return {finding.code: finding for finding in report.findings}


@pytest.mark.parametrize(
    "command",
    [
        "[awk, '$1 == \"{name}\"', names.txt]",
        "[sed, -n, '/{name}/p', names.txt]",
        "[/usr/bin/jq, -r, '.{name}', names.json]",
        "[psql, -h, db, -c, \"SELECT '{name}'\"]",
        "[ssh, host, 'ls {name}']",
        "[sqlite3, names.db, \"select '{name}'\"]",
        "\"awk '{{print {name}}}' names.txt\"",
    ],
)
def test_values_in_scripts_are_found(command: str, tmp_path: Path) -> None:
    """A value is found wherever a program reads a script of its own language."""
    assert "DF601" in shell(tmp_path, command)


@pytest.mark.parametrize(
    "command",
    [
        "[awk, -v, 'name={name}', '$1 == name', names.txt]",
        "[jq, --arg, name, '{name}', '.[$name]', names.json]",
        "[sed, -n, /x/p, '{name}.txt']",
        "[sed, -f, script.sed, '{name}.txt']",
        "[psql, -v, 'name={name}', -f, query.sql]",
        "[grep, --, '{name}', names.txt]",
    ],
)
def test_values_beside_scripts_are_fine(command: str, tmp_path: Path) -> None:
    """Where a value is an argument of its own, nothing is found."""
    assert "DF601" not in shell(tmp_path, command)


def test_values_in_scripts_of_interpreters_are_faults(tmp_path: Path) -> None:
    """The compiler refuses them itself, and the linter tells that once."""
    told = shell(tmp_path, "[sh, -c, 'ls {name}']")
    assert "could run anything" in told["DF004"].message
    assert "DF601" not in told


@pytest.mark.parametrize(
    "line",
    [
        'env: {API_KEY: "q8Jx72LmZp0"}',
        'env: {DB_PASSWORD: "hunter2hunter2"}',
        'stdin: "sk-abcdefghijklmnop1234"',
        'stdin: "use postgres://me:hunter2hunter2@db/x"',
        'stdin: "-----BEGIN RSA PRIVATE KEY-----"',
        'description: "AKIAABCDEFGHIJKLMNOP"',
    ],
)
def test_secrets_are_found_and_not_told(line: str, tmp_path: Path) -> None:
    """What looks like a secret is found wherever it stands, and its value is in no message."""
    text = f"""
        nodes:
          fetch: {{type: shell, command: [curl, "https://example.org"], timeout: 10, {line}}}
        edges:
          - {{from: START, to: fetch}}
          - {{from: fetch, to: END}}
    """
    (finding,) = found(tmp_path, text, "DF603")
    secret = line.partition('"')[2].rstrip('"}')
    assert secret not in str(finding)


@pytest.mark.parametrize(
    "text",
    [
        'state: {api_key: str, token: "str | null"}',
        'checkpointer: {type: redis, url: "redis://:${PASSWORD}@host/0", ttl: 60}',
        "description: How to keep a secret, and a token of love",
        "web: {message_key: token, response_key: api_token}\nstate: {token: str, api_token: str}",
    ],
)
def test_names_and_variables_are_no_secrets(text: str, tmp_path: Path) -> None:
    """The name of a key, a type and an environment variable are no secrets."""
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"{text}\nnodes:\n  a: {{type: passthrough}}\nedges:\n  - {{from: START, to: a}}\n  - {{from: a, to: END}}\n"
    )
    report = lint_file(path, root=tmp_path, environment={})
    assert "DF603" not in {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "a.-+" * 25_000, "eyJ-" * 25_000, "x://a:" * 15_000, "sk-" * 30_000, "# dagflow: ignore " * 5_000],
)
def test_hostile_texts_take_no_time(text: str, tmp_path: Path) -> None:
    """No text makes a rule, or the search for comments, go through it again and again."""
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"nodes:\n  a: {{type: passthrough, description: '{text}', output: {{x: '{text}'}}}}\n"
        "edges:\n  - {from: START, to: a}\n  - {from: a, to: END}\n"
    )
    begun = time.perf_counter()
    lint_file(path, root=tmp_path, environment={})
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        (["n > 5", "n <= 5"], 0),
        (["n > 5", "n < 5"], 1),
        (["done", "not done"], 0),
        (["done == true", "done == false"], 0),
        (["kind == 'a'", "kind in ['b', 'c']"], 0),
        (["kind == 'a'", "kind == 'b'"], 1),
        (["kind == 'a'", "kind != 'a'"], 0),
        (["n > 5 and done", "n <= 5"], 1),
    ],
)
def test_conditions_that_cover_everything_need_no_default(conditions: list[str], wanted: int, tmp_path: Path) -> None:
    """Opposite conditions need no default edge, nor do those that name every value of the key's type."""
    edges = "".join(f'\n  - {{from: a, to: END, condition: "{condition}"}}' for condition in conditions)
    path = tmp_path / "graph.yaml"
    path.write_text(
        f"state: {{n: int, done: bool, kind: \"'a' | 'b' | 'c'\"}}\nnodes:\n  a: {{type: passthrough}}\nedges:\n"
        f"  - {{from: START, to: a}}{edges}\n"
    )
    report = lint_file(path, root=tmp_path, environment={})
    assert wanted == [finding.code for finding in report.findings].count("DF105")


READS = """
    state: {text: str, words: int, sure: {type: int, default: 0}}
    nodes:
      count: {type: passthrough, output: {words: "{len(text)}", sure: 1}}
      rate: {type: passthrough, output: {long: "READ"}}
      both: {type: passthrough, output: {all: "{words}"}}
    edges:
      - {from: START, to: [count, rate]}
      - {from: count, to: both}
      - {from: rate, to: both}
      - {from: both, to: END}
"""


@pytest.mark.parametrize(
    ("read", "wanted"),
    [
        ("{words > 3}", 1),
        ("{state.words > 3}", 1),
        ("{default(words, 0) > 3}", 0),
        ("{words if exists(words) else 0}", 0),
        ("{sure}", 0),
        ("{text}", 0),
    ],
)
def test_keys_of_other_branches_are_not_there(read: str, wanted: int, tmp_path: Path) -> None:
    """A node that reads what only a branch beside it writes is found; a default, `default` and `exists` are enough."""
    assert wanted == len(found(tmp_path, READS.replace("READ", read), "DF211"))


def test_a_key_may_be_changed_in_place(tmp_path: Path) -> None:
    """A node that reads and writes one key reads what the run was given."""
    text = """
        state: {text: str}
        nodes:
          shout: {type: passthrough, output: {text: "{upper(text)}"}}
        edges:
          - {from: START, to: shout}
          - {from: shout, to: END}
    """
    assert [] == found(tmp_path, text, "DF211")


def test_a_loop_reads_what_an_earlier_turn_wrote(tmp_path: Path) -> None:
    """In a loop, what comes later comes before as well."""
    text = """
        state: {text: str, note: {type: "str | null", default: null}}
        nodes:
          write: {type: passthrough, output: {draft: "{text} {note}"}}
          judge: {type: passthrough, output: {note: "{draft}", good: true}}
        edges:
          - {from: START, to: write}
          - {from: write, to: judge}
          - {from: judge, to: END, condition: good}
          - {from: judge, to: write}
        loop_limits: {judge: 3}
    """
    assert [] == found(tmp_path, text, "DF211")


def test_a_join_whose_branches_are_both_read_is_meant(tmp_path: Path) -> None:
    """Nothing is said of a join that needs what its branches write, nor of one that reads nothing."""
    for read in ("{one} {two}", "{state}", "done"):
        text = f"""
            state: {{text: str}}
            nodes:
              a: {{type: passthrough, output: {{one: "{{text}}"}}}}
              b: {{type: passthrough, output: {{two: "{{text}}"}}}}
              c: {{type: passthrough, output: {{all: "{read}"}}}}
            edges:
              - {{from: START, to: [a, b]}}
              - {{from: a, to: c}}
              - {{from: b, to: c}}
              - {{from: c, to: END}}
        """
        assert [] == found(tmp_path, text, "DF402")


def test_a_merge_after_a_choice_is_no_join_that_waits(tmp_path: Path) -> None:
    """Where only one branch is taken, nothing waits: the rules about joins are silent."""
    text = """
        state: {n: int}
        nodes:
          a: {type: passthrough}
          b: {type: passthrough, output: {m: 1}}
          c: {type: passthrough, output: {m: 2}}
          d: {type: passthrough, output: {k: "{m}"}}
        edges:
          - {from: START, to: a}
          - {from: a, to: b, condition: "n > 1"}
          - {from: a, to: c}
          - {from: b, to: d}
          - {from: c, to: d}
          - {from: d, to: END}
    """
    for code in ("DF204", "DF401", "DF402", "DF404"):
        assert [] == found(tmp_path, text, code)


def test_a_conversation_needs_no_limit(tmp_path: Path) -> None:
    """A loop that asks a person in each turn is paced by them."""
    text = """
        checkpointer: {type: sqlite, path: runs.db}
        state: {message: str, answer: {type: str, default: ""}}
        nodes:
          ask: {type: interrupt, message: "{answer} And now?", resume_key: message}
          reply: {type: passthrough, output: {answer: "You said {message}."}}
        edges:
          - {from: START, to: ask}
          - {from: ask, to: END, condition: "message == 'bye'"}
          - {from: ask, to: reply}
          - {from: reply, to: ask}
    """
    assert [] == found(tmp_path, text, "DF407")


def test_a_fallback_out_of_a_loop_is_no_way_out(tmp_path: Path) -> None:
    """A loop that only a failure ends is one that nothing leads out of."""
    text = """
        nodes:
          a: {type: passthrough, on_error: {fallback: {to: c}}}
          b: {type: passthrough}
          c: {type: passthrough}
        edges:
          - {from: START, to: a}
          - {from: a, to: b}
          - {from: b, to: a}
          - {from: c, to: END}
        loop_limits: {a: 3}
    """
    assert ["nodes.a"] == [finding.path for finding in found(tmp_path, text, "DF409")]


def test_models_of_prompt_files_are_looked_at(tmp_path: Path) -> None:
    """A prompt file may name the language model, well or badly."""
    text = """
        state: {text: str}
        nodes:
          greet: {type: llm, prompt: hello, variables: {text: "{text}"}, temperature: 0.5, state_key: answer}
        edges:
          - {from: START, to: greet}
          - {from: greet, to: END}
    """
    write_prompt(tmp_path, "hello", "user: Hello {text}\nvariables: [text]\nlm: antropic:M\n")
    (finding,) = found(tmp_path, text, "DF306")
    assert finding.mark.file == "hello.yaml"
    assert "did you mean 'anthropic'?" in finding.message
    assert [] == found(tmp_path, text, "DF305")
    write_prompt(tmp_path, "hello", "user: Hello {text}\nvariables: [text]\nprovider: openai\nmodel: M\n")
    assert [] == found(tmp_path, text, "DF306")
    write_prompt(tmp_path, "hello", "user: Hello {text}\nvariables: [text]\n")
    assert ["nodes.greet.temperature"] == [finding.path for finding in found(tmp_path, text, "DF305")]


def counting(function: str) -> str:
    return f"""
        state: {{text: str, unused: int}}
        nodes:
          count: {{type: python, function: "{function}", state_key: words}}
        edges:
          - {{from: START, to: count}}
          - {{from: count, to: END}}
    """


def test_functions_tell_what_they_read(tmp_path: Path) -> None:
    """The parameters of a python node's function are reads of the keys of their names."""
    text = counting("tools:count_words_async")
    assert ["state.unused"] == [finding.path for finding in found(tmp_path, text, "DF203")]


def test_files_without_functions_are_not_judged_by_them(tmp_path: Path) -> None:
    """Where a function cannot be found, what it would read is not known, and rules about reading are silent."""
    text = counting("nowhere_at_all:count")
    report = lint_file(write_graph(tmp_path, text), root=tmp_path, environment={})
    assert {"DF004"} == {finding.code for finding in report.findings if not finding.code.startswith("DF7")}


def test_names_of_many_nodes_are_not_all_told(tmp_path: Path) -> None:
    """A message names the first nodes and counts the others."""
    names = [f"n{number}" for number in range(20)]
    nodes = "".join(f"  {name}: {{type: passthrough}}\n" for name in names)
    edges = "".join(f"  - {{from: {one}, to: {other}}}\n" for one, other in zip(names, [*names[1:], "n0"], strict=True))
    path = tmp_path / "graph.yaml"
    path.write_text(f"nodes:\n{nodes}edges:\n  - {{from: START, to: n0}}\n{edges}")
    (finding,) = [one for one in lint_file(path, root=tmp_path).findings if one.code == "DF409"]
    assert "n0, n1, n2, n3, n4 and 15 more" in finding.message
