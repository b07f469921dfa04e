"""ConfigMaps and Secrets, as manifests and as kubectl prints them."""

import base64
import json

import pytest

from confhub.releases import imports
from confhub.releases.imports import ImportUnreadable, Options


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MANIFEST = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: shop
  namespace: prod
immutable: true
data:
  LOG_LEVEL: info
  POOL: "20"
  nginx.conf: |
    server {{
      listen 80;
    }}
binaryData:
  logo.png: iVBORw0KGgo=
---
# the second one
apiVersion: v1
kind: Secret
metadata:
  name: shop-secret
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{{"stringData": {{"OLD": "old-canary"}}}}'
type: Opaque
data:
  DB_PASSWORD: {b64("s3cr3t")}
  .dockerconfigjson: {b64("{}")}
  BROKEN: "%%%"
  BINARY: //79
  BOTH: {b64("from data")}
stringData:
  API_TOKEN: t0ken
  BOTH: from stringData
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec: {{replicas: 2}}
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {{name: shop-sealed}}
spec: {{encryptedData: {{X: AgB}}}}
"""


def test_a_manifest_of_several_documents() -> None:
    read = imports.read("kubernetes", MANIFEST)

    assert read.set == {
        "LOG_LEVEL": "info", "POOL": "20", "nginx.conf": "server {\n  listen 80;\n}\n",
        "DB_PASSWORD": "s3cr3t", "API_TOKEN": "t0ken", "BOTH": "from stringData",
        "_.dockerconfigjson": "{}",
    }  # fmt: skip
    assert read.secrets == {"DB_PASSWORD", "API_TOKEN", "BOTH", "_.dockerconfigjson"}


def test_what_is_left_out_is_named() -> None:
    read = imports.read("kubernetes", MANIFEST)

    assert dict(read.skipped) == {
        "logo.png": "It is binary (binaryData). Put it into the image or a volume.",
        "BROKEN": "Its value is not base64. Mend it, or use stringData.",
        "BINARY": "Its value is binary. Put it into the image or a volume.",
    }
    assert any("Deployment shop is neither" in note for note in read.notes)
    assert any("SealedSecret shop-sealed holds no readable value" in note for note in read.notes)
    assert "old-canary" not in str(read)


def test_one_object_can_be_chosen() -> None:
    read = imports.read("kubernetes", MANIFEST, options=Options(item="shop"))

    assert set(read.set) == {"LOG_LEVEL", "POOL", "nginx.conf"}
    assert read.secrets == frozenset()


@pytest.mark.parametrize("kind", ["List", "ConfigMapList"])
def test_lists_as_kubectl_prints_them(kind: str) -> None:
    held = {"apiVersion": "v1", "metadata": {"name": "a"}, "data": {"A": "1"}}
    typed = held if kind != "List" else {**held, "kind": "ConfigMap"}
    text = json.dumps({"apiVersion": "v1", "kind": kind, "items": [typed]}, indent=4)

    assert imports.read("kubernetes", text).set == {"A": "1"}


def test_a_key_of_two_objects_is_taken_once_and_said() -> None:
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {A: '%s'}\n"
    read = imports.read("kubernetes", f"{one % ('a', 1)}---\n{one % ('b', 2)}")

    assert read.set == {"A": "1"}
    assert read.skipped == [("A", "It stands there a second time; the first one is taken.")]


def test_values_without_a_text_are_skipped() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  NONE:\n  LIST: [1]\n  OK: 1\n"

    read = imports.read("kubernetes", text)

    assert read.set == {"OK": "1"}
    assert [name for name, _ in read.skipped] == ["NONE", "LIST"]


@pytest.mark.parametrize(
    ("text", "item", "words"),
    [
        ("kind: Deployment\n", "", "no ConfigMap and no Secret"),
        (MANIFEST, "other", "named 'other'"),
        ("kind: Secret\ndata: text\n", "", "`data` of Secret"),
        ("just words\n", "", "no ConfigMap"),
        ("kind: Secret\ndata:\n  A: [\n", "", "cannot be read as YAML"),
    ],
)
def test_what_is_no_manifest_says_why(text: str, item: str, words: str) -> None:
    with pytest.raises(ImportUnreadable) as refused:
        imports.read("kubernetes", text, options=Options(item=item))

    assert words in refused.value.detail


def test_an_object_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ImportUnreadable) as refused:
        imports.read("kubernetes", MANIFEST, options=Options(item="other"))

    assert refused.value.choices == ["shop", "shop-secret"]
