"""The targets of the pages' links, as a repository's browser resolves them: files, headings, tests, addresses."""

import re
import string
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pfo_pipeline_tests.docs.pages import DOCS, PAGES, PROJECT, code_words, prose, read

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
_LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>|<img src=\"([^\"]+)\"")
_PUNCTUATION = str.maketrans("", "", (string.punctuation + "…“”’").replace("-", "").replace("_", ""))


def targets(page: Path) -> list[str]:
    return ["".join(found) for found in _LINK.findall(prose(page))]


def anchors(page: Path) -> Iterator[str]:
    """The fragments that GitHub gives to a page's headings."""
    seen: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        slug = heading.lower().translate(_PUNCTUATION).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug


@each_page
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    for target in targets(page):
        if urlsplit(target).scheme:
            continue
        path, _, fragment = target.partition("#")
        led = (page.parent / path).resolve() if path else page
        assert led.is_relative_to(PROJECT), target
        assert led.exists(), target
        assert not fragment or fragment in anchors(led), target


@each_page
def test_every_address_is_on_a_network_or_this_machine(page: Path) -> None:
    for target in targets(page):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.hostname, target
            here = parts.hostname in ("127.0.0.1", "localhost")
            assert here or (parts.scheme == "https" and "." in parts.hostname), target


@each_page
def test_every_sentence_that_links_to_a_test_is_its_name(page: Path) -> None:
    for sentence, path in re.findall(r"\[([^]]+)\]\((\.\./pfo_pipeline_tests/[^)]+\.py)\)", prose(page)):
        name = "_".join(["test", *re.findall(r"\w+", sentence.lower())])
        assert f"def {name}(" in read((page.parent / path).resolve()), sentence


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = re.findall(r"^([a-z-]+)$", read(DOCS / "index.md").partition("```{toctree}")[2], re.MULTILINE)

    assert sorted([*listed, "index"]) == sorted(page.stem for page in DOCS.glob("*.md"))


def test_no_page_contains_a_path_of_our_machines() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.~])/(home|root|tmp|Users|mnt)/", read(page)), page.name


def test_every_project_file_named_on_a_page_exists() -> None:
    """Paths in backquotes whose first folder is one of the repository's."""
    folders = {"pfo_pipeline", "pfo_pipeline_tests", "benchmarks", "deploy", "docs"}
    named = {
        (page, word) for page in PAGES for word in code_words(page) if word.split("/")[0] in folders and "/" in word
    }

    assert len(named) > 2
    assert [(page.name, word) for page, word in named if not (PROJECT / word).exists()] == []


def test_every_page_named_by_the_program_exists() -> None:
    files = [*(PROJECT / "pfo_pipeline").rglob("*.py"), *PROJECT.glob("*.toml"), *(PROJECT / "deploy").rglob("*.*")]
    texts = [path.read_text(encoding="utf-8") for path in files if path.is_file()]
    named = {name for text in texts for name in re.findall(r"docs/([a-z-]+\.md)", text)}

    assert len(named) > 2
    assert [name for name in named if not (DOCS / name).exists()] == []
