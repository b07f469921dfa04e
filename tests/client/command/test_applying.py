"""Configuration kept in git: what export writes, apply reads, and nothing else happens."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confhub.client.command import documents, own, places, strict_yaml
from tests.client.command.conftest import Command, token_of
from tests.parts.system import System

# Every JSON value, with the texts that readers of YAML take for something else.
ODD = ["", " ", "yes", "No", "on", "null", "~", "0", "007", "0o7", "0x1F", "1e3", "1_000", "12:30", "-", "=", "<<",
       "2026-11-24", "&a", "*a", "!tag", "# no", "a: b", "- a", "|", ">", "%", "@", "`", "'", '"', "\\", "a\nb", "a\n",
       "\n", "\ta", "a \n b", " lead", "trail ", "\u2028", "\x85", "\ufeff", "é", "😀", "{}", "[]", "$secret", ".inf", ".nan"]  # fmt: skip
texts = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40),
)
numbers = st.one_of(
    st.integers(), st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
plain = st.one_of(st.none(), st.booleans(), numbers, texts)
members = texts.filter(lambda name: name != "$secret")
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(members, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(st.dictionaries(keys, values, max_size=5))
def test_what_is_written_is_read_again(entries: dict[str, Any]) -> None:
    place = places.place("checkout@prod")

    text = documents.write_config(place, entries)
    [read] = documents.read(text, "a file")

    assert isinstance(read, documents.Config)
    assert read.place == place
    assert json.dumps(read.entries, sort_keys=True) == json.dumps(entries, sort_keys=True)
    assert own.differences(entries, read.entries) == []
    assert documents.write_config(place, read.entries) == text


def test_a_round_trip_through_the_server_is_no_change(
    confhub: Command, server: System, shop: str
) -> None:
    entries = {f"K{at}": text for at, text in enumerate(ODD)}
    entries |= {
        "BIG": 10**30,
        "SMALL": -1.5e-9,
        "HUGE": 1e300,
        "DEEP": [{"a": [None, True, {"b": "007"}]}],
        "EMPTY": [{}, []],
    }  # type: ignore[dict-item]  # any JSON
    status, answer = server.call("POST", f"/services/{shop}/environments/dev/releases", {"message": "odd", "set": entries})  # fmt: skip
    assert status == 201, answer
    confhub("set", f"{shop}@dev", "--secret", "PW", stdin="horse")
    confhub("publish", f"{shop}@dev", "-m", "with a secret", "--set", "X=1")
    confhub("publish", f"{shop}@dev", "-m", "the secret")

    text = confhub("export", f"{shop}@dev", "--with-layers", "--with-service").out
    dry = confhub("apply", "-f", "-", "--prune", "--dry-run", "--output", "json", stdin=text)
    done = confhub("apply", "-f", "-", "--prune", "--publish", "-m", "again", stdin=text)

    assert [place["changes"] for place in dry.document["places"]] == [[]] * 4
    assert dry.document["services"][0]["changes"] == {}
    assert done.out.count("as it is") == 5
    assert confhub("export", f"{shop}@dev", "--with-layers", "--with-service").out == text
    assert (
        confhub("history", f"{shop}@dev", "--output", "json").document["items"][0]["release"] == 3
    )


def config(place: str, **entries: Any) -> str:
    return documents.write_config(places.place(place), entries)


def test_a_file_is_published_as_one_release_past_the_draft(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "first", "--set", "POOL:=1", "--set", "OLD=x")
    confhub("set", place, "HALF_DONE=1")
    (confhub.folder / "shop.yaml").write_text(config(place, POOL=2, NEW=["a"]))

    dry = confhub("apply", "-f", "shop.yaml", "--dry-run")
    done = confhub("apply", "-f", "shop.yaml", "--publish", "-m", "from git")

    assert (
        dry.out
        == f'{place}: 2 changes (HALF_DONE, OLD not in the file and left; --prune takes out)\n  + NEW  ["a"]\n  ~ POOL  1 → 2\n'
    )
    assert done.out.endswith(f"  {place} r2 is published (3 keys).\n")
    assert confhub("get", place).out == 'NEW:=["a"]\nOLD=x\nPOOL:=2\n'
    assert confhub("diff", place).out == '+ HALF_DONE  "1"\n'
    again = confhub("apply", "-f", "shop.yaml", "--publish", "-m", "from git", "--output", "json")
    assert [each.get("release") for each in again.document["places"]] == [None]
    pruned = confhub("apply", "-f", "shop.yaml", "--publish", "-m", "prune", "--prune")
    assert '  - OLD  "x"\n' in pruned.out
    assert confhub("get", place).out == 'NEW:=["a"]\nPOOL:=2\n'


def test_without_publish_the_drafts_are_written(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "first", "--set", "POOL:=1")

    first = confhub("apply", "-f", "-", stdin=config(place, POOL=2))
    back = confhub("apply", "-f", "-", stdin=config(place, POOL=1))

    assert (
        first.out == f"{place}: 1 change\n  ~ POOL  1 → 2\n  The draft of {place} has 1 change.\n"
    )
    assert (
        back.out == f"{place}: 1 change\n  ~ POOL  2 → 1\n  The draft of {place} has 0 changes.\n"
    )
    assert confhub("history", place, "--output", "json").document["items"][0]["release"] == 1


def test_other_peoples_edits_are_in_the_way(confhub: Command, server: System, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "first", "--set", "POOL:=1")
    mia = Command(confhub.folder, server.url, token_of(server, "mia", "editor"))
    mia("set", place, "POOL:=5", "OTHER=1")
    ours = Command(confhub.folder, server.url)

    refused = ours("apply", "-f", "-", "--publish", "-m", "x", code=1, stdin=config(place, POOL=2))

    assert f"{place}: POOL by token:mia-" in refused.err
    assert "OTHER" not in refused.err
    assert ours("get", place, "POOL").out == "1\n"
    assert "~ POOL  1 → 5" in ours("diff", place).out
    done = ours(
        "apply", "-f", "-", "--publish", "-m", "x", "--over-drafts", stdin=config(place, POOL=2)
    )
    assert "Reverted in the draft: POOL." in done.out
    assert ours("get", place, "POOL").out == "2\n"
    assert ours("diff", place).out == '+ OTHER  "1"\n'


def test_everything_is_refused_before_anything_is_written(
    confhub: Command, another: Callable[[], str]
) -> None:
    one, two = f"{another()}@dev", f"{another()}@dev"
    mask = {"$secret": True, "fingerprint": "aabbccdd", "version": 1}
    text = config(one, A=1) + "---\n" + config(two, PW=mask)

    ran = confhub("apply", "-f", "-", "--publish", "-m", "x", code=1, stdin=text)

    assert f"{two} has no secret PW" in ran.err
    assert f"confhub set {two} --secret PW" in ran.err
    assert confhub("history", one).out == f"{one} has no release yet.\n"


def test_a_refusal_in_the_middle_says_what_is_done(
    confhub: Command, another: Callable[[], str]
) -> None:
    first, second = sorted([another(), another()])
    text = config(f"{first}@dev", A=1) + "---\n" + config(f"{second}@dev", **{"a.b": 1, "a-b": 2})

    ran = confhub("apply", "-f", "-", "--publish", "-m", "x", code=1, stdin=text)

    assert f"Done before it was refused: {first}@dev." in ran.err
    assert "environment variable" in ran.err
    assert confhub("get", f"{first}@dev", "A").out == "1\n"
    assert confhub("history", f"{second}@dev").out == f"{second}@dev has no release yet.\n"


def test_a_secret_in_the_file_is_sealed_and_told_by_nobody(confhub: Command, shop: str) -> None:
    text = config(f"{shop}@dev", PW={"$secret": "horse-in-a-pipe"})

    dry = confhub("apply", "-f", "-", "--dry-run", stdin=text)
    document = confhub("apply", "-f", "-", "--dry-run", "--output", "json", stdin=text)
    done = confhub("apply", "-f", "-", "--publish", "-m", "x", stdin=text)
    diff = confhub("diff", f"{shop}@dev", "--from-file", "-", stdin=text)

    for ran in (dry, document, done, diff):
        assert "horse" not in ran.out + ran.err
    assert confhub("get", f"{shop}@dev").out.startswith("PW  (secret ")


def test_services_sets_and_layers_are_made_in_order(
    confhub: Command, another: Callable[[], str]
) -> None:
    shop = f"new-{another()}"
    folder = confhub.folder / "conf"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.yaml").write_text(
        documents.write_service(shop, name="Shop", description="", includes=[f"{shop}-set"], schema={"type": "object", "properties": {"POOL": {"type": "integer"}}})
    )  # fmt: skip
    (folder / "deep" / "b.yml").write_text(config(f"{shop}@dev", POOL=3, URL="${HOST}/x"))
    (folder / "c.json").write_text(
        json.dumps({"kind": "config", "place": f"set/{shop}-set", "entries": {"HOST": "db"}})
    )
    (folder / ".hidden.yaml").write_text("{")

    missing = confhub("apply", "-f", "conf", "--publish", "-m", "x", code=1)
    dry = confhub("apply", "-f", "conf", "--publish", "-m", "x", "--create", "--dry-run")
    assert "(not_found" in missing.err
    assert f"service {shop}: new: name, description, includes, schema\n" in dry.out
    assert confhub("services", "show", shop, code=1).out == ""

    done = confhub("apply", "-f", "conf", "--publish", "-m", "x", "--create")

    assert f"{shop}@dev r1 is published" in done.out
    assert confhub("get", f"{shop}@dev").out == "HOST=db\nPOOL:=3\nURL=db/x\n"
    assert f"includes {shop}-set" in confhub("services", "show", shop).out
    again = confhub("apply", "-f", "conf", "--publish", "-m", "x", "--create")
    assert again.out.count("as it is") == 3


def test_a_file_is_compared_with_what_is_there(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "x", "--set", "A=1", "--set", "B=1")
    (confhub.folder / "same.yaml").write_text(config(place, A="1", B="1"))
    (confhub.folder / "other.yaml").write_text("A: '2'\nC: [1]\n")

    assert (
        confhub("diff", place, "--from-file", "same.yaml", "--exit-code").out
        == f"{place}: nothing differs.\n"
    )
    other = confhub("diff", place, "--from-file", "other.yaml", "--exit-code", code=1)
    assert other.out == '~ A  "1" → "2"\n- B  "1"\n+ C  [1]\n'
    assert confhub("diff", place, "--from-file", "other.yaml").code == 0
    wrong = confhub("diff", "global", "--from-file", "same.yaml", code=2)
    assert "has no document for global" in wrong.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no document"),
        ("A: 1", "write kind: config or kind: service"),
        ("kind: config\nplace: shop\nentries: {}", "place: write SERVICE@ENVIRONMENT"),
        ("kind: config\nplace: a@b\nentries: [1]", "entries: write KEY: value"),
        ("kind: config\nplace: a@b\nentries: {1A: 1}", "'1A' is not a key"),
        ("kind: config\nplace: a@b\nentry: {}\nentries: {}", "there is no field entry"),
        ("kind: config\nplace: a@b\nentries:\n  A: 1\n  A: 2\n", "line 5: A stands there twice"),
        ('{"kind": "config", "place": "a@b", "entries": {"A": 1, "A": 2}}', "'A' stands there twice"),
        ("kind: config\nplace: a@b\nentries: {A: &x 1, B: *x}", "anchors (&) and aliases (*)"),
        ("kind: config\nplace: a@b\nentries: {A: !!python/name:os.system ''}", "tags ("),
        ("kind: config\nplace: a@b\nentries: {A: .nan}", "no number that JSON has"),
        ("kind: config\nplace: a@b\nentries: {A: 010}", "begins with 0"),
        ("kind: config\nplace: a@b\nentries: {A: {$secret: true}}", "the mask as it was exported"),
        ("kind: config\nplace: a@b\nentries: {}\n---\nkind: config\nplace: a@b\nentries: {}", "stands in - and in -, document 2"),
        ("kind: service\nservice: A\n", "service: 'A' is not a name"),
        ("kind: service\nservice: a\nincludes: b\n", "includes: write a list"),
        ("a: [", "line 2"),
        ("kind: config\nplace: a@b\nentries: {A: \x01}", "character that YAML does not have"),
        ("kind: config\nplace: a@b\nentries: {A: " + "[" * 200 + "]" * 200 + "}", "nests too deeply"),
    ],
    ids=range(19),
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_2_with_the_line(
    confhub: Command, text: str, said: str
) -> None:
    ran = confhub("apply", "-f", "-", "--publish", "-m", "x", code=2, stdin=text)

    assert said in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", "yes"), ("12:30", "12:30"), ("2026-11-24", "2026-11-24"), ("0x1F", 31), ("0o17", 15), ("1e3", 1000.0),
     (".5", 0.5), ("+7", 7), ("", None), ("~", None), ("True", True), ("'1'", "1"), ("1_000", "1_000")],
    ids=lambda word: repr(word),
)  # fmt: skip
def test_words_are_read_by_the_core_schema(text: str, value: Any) -> None:
    [read] = strict_yaml.documents(f"A: {text}\n")

    assert read == {"A": value}
    assert type(read["A"]) is type(value)


def test_numbers_that_are_one_in_json_are_no_difference() -> None:
    assert own.same({"a": [1, 2.0]}, {"a": [1.0, 2]})
    assert not own.same(1, True)
    assert not own.same([0], [False])
    assert not own.same({"a": None}, {})
