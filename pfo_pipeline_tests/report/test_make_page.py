"""A page's values from the configuration: names if they are published, and the time zone of days."""

from pathlib import Path

import pytest

from pfo_pipeline.config import Config, load_config
from pfo_pipeline.report.build import PageRequest, make_page, timezone_of
from pfo_pipeline_tests.ledger.samples import connection, user
from pfo_pipeline_tests.report.ledgers import DAY, NOW, figure, linked, written

_CONFIG = """
office = "office"
{settings}
[tenants.smith]
name = "The Smiths of Willow Lane"
domain = "smith"
[[tenants.smith.users]]
id = "jane"
name = "Jane Amelia Smith"
token = "env:TOKEN"
[tenants.jones]
domain = "jones"
timezone = "Asia/Tokyo"
[[tenants.jones.users]]
id = "jo"
token = "env:OTHER"
"""


def configured(folder: Path, settings: str = "") -> Config:
    path = folder / "pfo.toml"
    path.write_text(_CONFIG.format(settings=settings), encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize(("settings", "is_named"), [("", True), ("publish_personal_columns = false", False)])
def test_people_are_named_if_names_are_published(tmp_path: Path, settings: str, is_named: bool) -> None:
    config = configured(tmp_path, settings)

    with written(tmp_path / "data") as loaded:
        loaded.load(NOW - DAY, user(), connection(), linked(1), figure(1, "5.00", NOW - DAY))
        page, html = make_page(
            loaded.reader(), PageRequest(("smith",)), office="office", config=config, rates=None, now=NOW
        )

    assert page.title == ("The Smiths of Willow Lane" if is_named else "smith")
    for name in ("The Smiths of Willow Lane", "Jane Amelia Smith"):
        assert (name in html) == is_named


def test_days_use_the_tenants_time_zone_or_utc_if_there_are_several(tmp_path: Path) -> None:
    config = configured(tmp_path)

    assert timezone_of(config, ["jones"]) == "Asia/Tokyo"
    assert timezone_of(config, ["smith"]) == "Europe/Paris"
    assert timezone_of(config, ["smith", "jones"]) == "UTC"
    assert timezone_of(None, ["smith"]) == "Europe/Paris"
