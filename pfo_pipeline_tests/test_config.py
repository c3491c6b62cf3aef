"""The configuration file: what is accepted, how mistakes are named, how secrets are read and kept out of messages."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from pfo_pipeline.config import (
    Config,
    ConfigError,
    SecretError,
    config_path,
    data_dir,
    load_config,
    role_of_process,
)

GOOD = """
office = "north"

[tenants.smith]
name = "Smith family"
domain = "smith-sandbox"
client_id = "12345678"
client_secret = "env:SMITH_CLIENT_SECRET"
redirect_uri = "https://office.example/return"
timezone = "Europe/London"
timeout_seconds = 90

[[tenants.smith.users]]
id = "jane"
powens_id = 731
name = "Jane"
token = "env:SMITH_JANE"

[[tenants.smith.users]]
id = "john"
token = "file:secrets/john"

[tenants.jones]
domain = "jones"
base_url = "http://127.0.0.1:8080/jones/2.0/"
integration = "disconnected"
users = [{ id = "jo", token = "env:JONES_JO" }]
"""
EXAMPLE = Path(__file__).parents[1] / "pfo.example.toml"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PFO_CONFIG", "PFO_DATA_DIR", "PFO_ROLE", "SMITH_JANE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "pfo.toml"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    """The lines that name mistakes."""
    with pytest.raises(ConfigError) as refused:
        load_config(written(folder, text))
    first, *lines = str(refused.value).split("\n")
    assert first == f"{folder / 'pfo.toml'} has mistakes:"
    return [line.removeprefix("  ") for line in lines]


def with_tenant(*lines: str) -> str:
    """A configuration of one tenant with its obligatory keys, and these."""
    users = [] if any(line.startswith("users") for line in lines) else ['users = [{ id = "jane", token = "env:X" }]']
    domain = [] if any(line.startswith("domain") for line in lines) else ['domain = "smith"']
    return "\n".join(['office = "north"', "[tenants.smith]", *domain, *lines, *users])


def with_token(folder: Path, reference: str) -> Config:
    return load_config(written(folder, with_tenant(f"users = [{{ id = 'jane', token = '{reference}' }}]")))


def token_of(config: Config) -> str:
    tenant = config.tenant("smith")
    return config.user_token(tenant, tenant.users[0])


class TestGoodConfiguration:
    def test_a_good_configuration_is_read_whole(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        assert config.office == "north"
        assert config.source == tmp_path / "pfo.toml"
        assert list(config.by_id) == ["smith", "jones"]
        smith = config.tenant("smith")
        assert (smith.id, smith.name, smith.domain) == ("smith", "Smith family", "smith-sandbox")
        assert (smith.client_id, smith.redirect_uri) == ("12345678", "https://office.example/return")
        assert (smith.zone, smith.timeout_seconds) == (ZoneInfo("Europe/London"), 90)
        assert [(user.id, user.powens_id, user.name) for user in smith.users] == [
            ("jane", 731, "Jane"),
            ("john", None, ""),
        ]

    def test_what_is_left_out_has_a_default(self, tmp_path: Path) -> None:
        jones = load_config(written(tmp_path, GOOD)).tenant("jones")

        assert (jones.timezone, jones.timeout_seconds) == ("Europe/Paris", 60)
        assert (jones.client_id, jones.client_secret, jones.redirect_uri) == (None, None, None)

    def test_a_domain_gives_the_root_and_a_base_url_replaces_it(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        assert config.tenant("smith").root == "https://smith-sandbox.biapi.pro/2.0"
        assert config.tenant("jones").root == "http://127.0.0.1:8080/jones/2.0"

    def test_a_tenant_rests_only_when_told_to(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        assert config.tenant("smith").integration == "connected"
        assert config.tenant("jones").integration == "disconnected"

    def test_a_user_is_found_by_its_id_or_not_at_all(self, tmp_path: Path) -> None:
        smith = load_config(written(tmp_path, GOOD)).tenant("smith")

        john = smith.user("john")

        assert john is smith.users[1]
        assert smith.user("jo") is None

    def test_an_unknown_tenant_is_answered_with_those_that_are_known(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        with pytest.raises(ConfigError, match=r"'brown' is not in .*pfo\.toml\. Known tenants: jones, smith\."):
            config.tenant("brown")

    def test_a_configuration_does_not_change_once_it_is_read(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        with pytest.raises(ValidationError, match="frozen"):
            config.office = "south"

    def test_every_reference_to_a_secret_is_listed_with_its_key(self, tmp_path: Path) -> None:
        assert load_config(written(tmp_path, GOOD)).secret_references() == [
            ("tenants.smith.client_secret", "env:SMITH_CLIENT_SECRET"),
            ("tenants.smith.users.jane.token", "env:SMITH_JANE"),
            ("tenants.smith.users.john.token", "file:secrets/john"),
            ("tenants.jones.users.jo.token", "env:JONES_JO"),
        ]

    def test_webhooks_are_proved_by_a_secret_or_by_one_or_several_tokens(self, tmp_path: Path) -> None:
        smith, jones = 'domain = "smith-sandbox"\n', 'domain = "jones"\n'
        text = GOOD.replace(smith, smith + 'config_token = "env:C"\nwebhook_secret = "file:hooks"\n')
        config = load_config(written(tmp_path, text.replace(jones, jones + 'webhook_bearer = "env:A"\n')))
        assert config.secret_references()[1:3] == [
            ("tenants.smith.config_token", "env:C"),
            ("tenants.smith.webhook_secret", "file:hooks"),
        ]
        assert ("tenants.jones.webhook_bearer", "env:A") in config.secret_references()
        config = load_config(written(tmp_path, text.replace(jones, jones + 'webhook_bearer = ["env:A", "env:B"]\n')))
        assert config.tenant("jones").webhook_bearer == ("env:A", "env:B")

    def test_the_example_that_is_to_be_copied_is_good(self) -> None:
        assert load_config(EXAMPLE).tenants


class TestMistakes:
    def test_every_mistake_is_named_at_once_by_its_key(self, tmp_path: Path) -> None:
        text = """
        office = "Head Office"
        ofice = "north"

        [tenants.smith]
        domain = "Smith_1"
        base_url = "ftp://smith"
        client_id = 12345678
        client_secret = "s3cret"
        integration = "broken"
        timezone = "Europe/Pariss"
        timeout_seconds = 0
        colour = "blue"

        [[tenants.smith.users]]
        id = "jane"
        powens_id = 0
        token = "env:X"

        [[tenants.smith.users]]
        id = "John Smith"

        [tenants.jones]
        users = []

        [tenants.brown]
        domain = "brown"
        users = [{ id = "a", token = "env:A" }, { id = "a", token = "env:B" }]
        """

        found = mistakes(tmp_path, text)

        assert {line.split(": ")[0] for line in found} == {
            "ofice",
            "office",
            "tenants.smith.domain",
            "tenants.smith.base_url",
            "tenants.smith.client_id",
            "tenants.smith.client_secret",
            "tenants.smith.integration",
            "tenants.smith.timezone",
            "tenants.smith.timeout_seconds",
            "tenants.smith.colour",
            "tenants.smith.users[0].powens_id",
            "tenants.smith.users[1].id",
            "tenants.smith.users[1].token",
            "tenants.jones.domain",
            "tenants.jones.users",
            "tenants.brown.users",
        }
        assert len(found) == 16

    @pytest.mark.parametrize(
        ("line", "mistake"),
        [
            ('colour = "blue"', "tenants.smith.colour: is not a known key"),
            ("users = 3", "tenants.smith.users: must be tables, such as [tenants.smith] and "),
            ("users = []", "tenants.smith.users: there is none; add [[tenants.NAME.users]] with an id and a token"),
            ('users = [{ id = "jane" }]', "tenants.smith.users[0].token: is missing"),
            ('users = ["jane"]', "tenants.smith.users[0]: must be tables"),
            ("client_id = 123", "tenants.smith.client_id: must be text in quotes and digits only"),
            ('client_id = "12a"', "tenants.smith.client_id: must be text in quotes and digits only"),
            ("name = 5", "tenants.smith.name: must be text in quotes"),
            (
                'timezone = "Mars"',
                "tenants.smith.timezone: 'Mars' is not a time zone name; use one such as Europe/Paris",
            ),
            ("timeout_seconds = 601", "tenants.smith.timeout_seconds: Input should be less than or equal to 600"),
            ('integration = "off"', "tenants.smith.integration: Input should be 'connected' or 'disconnected'"),
            (
                'domain = "smith.biapi.pro"',
                "tenants.smith.domain: 'smith.biapi.pro' is not a Powens domain label: give smith for "
                "https://smith.biapi.pro",
            ),
        ],
    )
    def test_a_mistake_is_told_with_its_remedy(self, tmp_path: Path, line: str, mistake: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(line))

        assert found.startswith(mistake)

    def test_two_users_of_one_tenant_with_one_id_are_refused(self, tmp_path: Path) -> None:
        users = 'users = [{ id = "jane", token = "env:A" }, { id = "jane", token = "env:B" }]'

        assert mistakes(tmp_path, with_tenant(users)) == ["tenants.smith.users: two of them have the same id"]

    @pytest.mark.parametrize(
        "text", ['office = "north"', 'office = "north"\ntenants = {}'], ids=["no table", "an empty table"]
    )
    def test_a_configuration_without_tenants_is_refused(self, tmp_path: Path, text: str) -> None:
        assert mistakes(tmp_path, text) == ["tenants: there is none; add a table such as [tenants.smith]"]

    @pytest.mark.parametrize("tenants", ["3", '["smith"]', '"smith"'])
    def test_tenants_that_are_no_tables_do_not_hide_other_mistakes(self, tmp_path: Path, tenants: str) -> None:
        found = mistakes(tmp_path, f"tenants = {tenants}")

        assert [line.split(": ")[0] for line in found] == ["office", "tenants"]

    def test_a_tenant_that_is_no_table_is_named(self, tmp_path: Path) -> None:
        (found,) = mistakes(tmp_path, 'office = "north"\ntenants.smith = 5')

        assert found.startswith("tenants.smith: must be tables")

    @pytest.mark.parametrize("slug", ["", "Smith", "-smith", "smith family", "a" * 64, "é", "smith\\n"])
    def test_what_names_an_office_a_tenant_or_a_user_is_a_slug(self, tmp_path: Path, slug: str) -> None:
        text = f"""
        office = "{slug}"
        [tenants."{slug}"]
        domain = "smith"
        users = [{{ id = "{slug}", token = "env:X" }}]
        """

        found = mistakes(tmp_path, text)

        assert len([line for line in found if "is not a slug" in line]) == 3

    @pytest.mark.parametrize("slug", ["a", "0", "smith-2_b", "a" * 63])
    def test_a_slug_has_small_letters_digits_and_dashes(self, tmp_path: Path, slug: str) -> None:
        text = f'office = "{slug}"\ntenants.{slug} = {{ domain = "d", users = [{{ id = "{slug}", token = "env:X" }}] }}'

        assert load_config(written(tmp_path, text)).tenant(slug).users[0].id == slug

    @pytest.mark.parametrize("host", ["smith.biapi.pro", "10.0.0.7", "127.0.0.1.evil.example", "0.0.0.0"])  # noqa: S104
    def test_http_is_refused_off_loopback(self, tmp_path: Path, host: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(f'base_url = "http://{host}:8080/2.0"'))

        assert found.startswith("tenants.smith.base_url: http would send tokens in clear; use https")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
    def test_http_is_taken_on_loopback(self, tmp_path: Path, host: str) -> None:
        text = with_tenant(f'base_url = "http://{host}:8080/2.0/"')

        assert load_config(written(tmp_path, text)).tenant("smith").root == f"http://{host}:8080/2.0"

    @pytest.mark.parametrize(
        "url",
        [
            "smith.biapi.pro",
            "ftp://smith",
            "https://",
            "https:///2.0",
            "https://smith:port/2.0",
            "https://smith:99999/2.0",
            "https://[::1/2.0",
            "https://smith .pro/2.0",
            "https://smith/\\u0000",
            "https://smith\\uff20x/2.0",
        ],
    )
    def test_what_is_no_url_is_refused(self, tmp_path: Path, url: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(f'base_url = "{url}"'))

        assert found.startswith("tenants.smith.base_url: is not a URL; give one such as https://smith.biapi.pro/2.0")

    @pytest.mark.parametrize(
        "url",
        ["https://jane:s3cret@smith/2.0", "https://smith/2.0?s3cret", "https://smith/2.0#s3cret", "https://smith/2.0?"],
    )
    def test_a_url_holds_no_password_query_or_fragment_and_none_is_shown(self, tmp_path: Path, url: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(f'base_url = "{url}"'))

        assert found == "tenants.smith.base_url: must hold no user, password, query or fragment"

    def test_a_file_that_is_not_there_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"There is no configuration at .*nowhere\.toml\. Copy pfo\.example\.toml"
        ):
            load_config(tmp_path / "nowhere.toml")

    def test_a_file_that_is_not_toml_is_told_with_the_place(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"pfo\.toml is not valid TOML: .*line 2"):
            load_config(written(tmp_path, 'office = "north"\ntoken = s3cret'))

    @pytest.mark.parametrize("text", [b"\xff\xfe", 'office = "Höhe"'.encode("latin-1")])
    def test_a_file_that_is_not_utf8_is_refused(self, tmp_path: Path, text: bytes) -> None:
        with pytest.raises(ConfigError, match=r"cannot be read: UnicodeDecodeError\. It must be a UTF-8 text file\."):
            load_config(written(tmp_path, text))

    @pytest.mark.parametrize(
        ("text", "why"),
        [("x = " + "[" * 5000, "nested too deeply"), ("x = " + "1" * 5000, "4300 digits")],
        ids=["nested", "digits"],
    )
    def test_what_the_toml_reader_does_not_bear_is_no_toml(self, tmp_path: Path, text: str, why: str) -> None:
        with pytest.raises(ConfigError, match=rf"pfo\.toml is not valid TOML: .*{why}"):
            load_config(written(tmp_path, text))

    @pytest.mark.parametrize("domain", ["a" * 64, "smith-", "-smith", "smith.biapi.pro"])
    def test_a_domain_is_one_label_as_names_on_the_internet_are(self, tmp_path: Path, domain: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(f'domain = "{domain}"'))

        assert found.startswith(f"tenants.smith.domain: '{domain}' is not a Powens domain label")
        assert load_config(written(tmp_path, with_tenant(f'domain = "{"a" * 63}"'))).tenants

    def test_the_names_of_our_own_fields_are_no_keys(self, tmp_path: Path) -> None:
        """They were overwritten, so what the operator wrote had no effect and was not told."""
        found = mistakes(tmp_path, 'source = "/elsewhere"\n' + with_tenant('id = "jones"', "colour = 1"))

        assert found == [
            "source: is not a known key",
            "tenants.smith.colour: is not a known key",
            "tenants.smith.id: is not a known key",
        ]
        assert mistakes(tmp_path, with_tenant('id = "smith"')) == ["tenants.smith.id: is not a known key"]

    def test_a_data_folder_with_a_nul_is_refused(self, tmp_path: Path) -> None:
        found = mistakes(tmp_path, 'data_dir = "a\\u0000b"\n' + with_tenant())

        assert found == ["data_dir: is not a path: it holds a NUL character"]

    def test_a_folder_is_no_configuration(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: IsADirectoryError"):
            load_config(tmp_path)


class TestSecrets:
    def test_a_secret_of_the_environment_is_read_when_it_is_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = with_token(tmp_path, "env:SMITH_JANE")
        monkeypatch.setenv("SMITH_JANE", "  t0ken\n")

        assert token_of(config) == "t0ken"
        monkeypatch.setenv("SMITH_JANE", "renewed")

        assert token_of(config) == "renewed"

    def test_a_secret_file_is_found_beside_the_configuration(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home"
        (home / "secrets").mkdir(parents=True)
        (home / "secrets" / "jane").write_text("t0ken\n")
        config = with_token(home, "file:secrets/jane")
        monkeypatch.chdir("/")

        assert token_of(config) == "t0ken"

    def test_a_secret_file_may_have_an_absolute_path(self, tmp_path: Path) -> None:
        (tmp_path / "jane").write_text("t0ken")

        assert token_of(with_token(tmp_path, f"file:{tmp_path}/jane")) == "t0ken"

    def test_a_configuration_loads_without_its_secrets(self, tmp_path: Path) -> None:
        assert load_config(written(tmp_path, GOOD)).tenants

    @pytest.mark.parametrize("value", [None, "", "  \n"])
    def test_a_variable_that_is_unset_or_empty_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        if value is not None:
            monkeypatch.setenv("SMITH_JANE", value)

        with pytest.raises(SecretError) as refused:
            token_of(with_token(tmp_path, "env:SMITH_JANE"))

        assert str(refused.value) == (
            "tenants.smith.users.jane.token: environment variable SMITH_JANE is not set. "
            'Set it, or point the reference at a file: "file:PATH".'
        )

    @pytest.mark.parametrize("content", [b"", b" \n\t\n"])
    def test_a_file_without_a_secret_is_named(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "jane").write_bytes(content)

        with pytest.raises(SecretError) as refused:
            token_of(with_token(tmp_path, "file:jane"))

        assert str(refused.value) == (
            f"tenants.smith.users.jane.token: file {tmp_path / 'jane'} is empty. Write the secret into it."
        )

    @pytest.mark.parametrize(
        ("name", "why"),
        [("nowhere", "FileNotFoundError"), ("folder", "IsADirectoryError"), ("binary", "UnicodeDecodeError")],
    )
    def test_a_file_that_cannot_be_read_is_named_with_the_reason(self, tmp_path: Path, name: str, why: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "binary").write_bytes(b"t0ken\xff")

        with pytest.raises(SecretError) as refused:
            token_of(with_token(tmp_path, f"file:{name}"))

        assert str(refused.value) == (
            f"tenants.smith.users.jane.token: file {tmp_path / name} cannot be read ({why}). "
            "Create it with the secret alone in it, readable by this account."
        )

    def test_a_path_that_no_system_takes_cannot_be_read_either(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, with_tenant('users = [{ id = "jane", token = "file:a\\u0000b" }]')))

        with pytest.raises(SecretError, match="cannot be read"):
            token_of(config)

    # As a header each of these failed inside the HTTP library, as an error of no user and no key.
    @pytest.mark.parametrize("value", ["t0ken\nother", "t0ken other", "t0kén", "t0ken\x7f"])
    def test_a_secret_that_no_header_takes_is_refused_by_its_key_and_not_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("SMITH_JANE", value)
        (tmp_path / "jane").write_text(value, encoding="utf-8")

        for reference in ("env:SMITH_JANE", "file:jane"):
            with pytest.raises(
                SecretError, match=r"tenants\.smith\.users\.jane\.token: .* holds more than one"
            ) as refused:
                token_of(with_token(tmp_path, reference))
            assert "t0k" not in str(refused.value)

    @pytest.mark.parametrize("value", ["s3cret", "s3cret:x", "env:", "file:", "ENV:S3CRET", ""])
    def test_a_secret_in_the_file_itself_is_refused_and_not_shown(self, tmp_path: Path, value: str) -> None:
        users = f'users = [{{ id = "jane", token = "{value}" }}]'
        found = mistakes(tmp_path, with_tenant(f'client_secret = "{value}"', users))

        assert found == [
            f"{key}: is not a secret reference; use env:NAME or file:PATH, never the secret itself"
            for key in ("tenants.smith.client_secret", "tenants.smith.users[0].token")
        ]

    @pytest.mark.parametrize("value", ["53271", "['s3cret']", "{ value = 's3cret' }", "true"])
    def test_a_secret_of_another_type_is_not_shown_either(self, tmp_path: Path, value: str) -> None:
        (found,) = mistakes(tmp_path, with_tenant(f"client_secret = {value}"))

        assert found == "tenants.smith.client_secret: must be text in quotes"

    def test_a_configuration_holds_references_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SMITH_JANE", "t0ken")
        config = with_token(tmp_path, "env:SMITH_JANE")
        token_of(config)

        assert "t0ken" not in repr(config)
        assert "t0ken" not in config.model_dump_json()


class TestProcess:
    def test_the_configuration_is_looked_for_in_the_working_directory(self, tmp_path: Path) -> None:
        written(tmp_path, GOOD)

        assert config_path() == tmp_path / "pfo.toml"
        assert load_config().office == "north"

    def test_another_configuration_is_named_in_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "other").mkdir()
        path = written(tmp_path / "other", GOOD.replace('"north"', '"south"'))
        monkeypatch.setenv("PFO_CONFIG", "other/pfo.toml")

        assert config_path() == path
        assert load_config().office == "south"

    def test_an_empty_variable_names_no_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PFO_CONFIG", "")

        assert config_path() == tmp_path / "pfo.toml"

    def test_a_process_is_an_admin_unless_told_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert role_of_process() == "admin"
        monkeypatch.setenv("PFO_ROLE", "user")
        assert role_of_process() == "user"
        monkeypatch.setenv("PFO_ROLE", "admin")
        assert role_of_process() == "admin"

    @pytest.mark.parametrize("role", ["", "root", "Admin"])
    def test_another_role_is_refused_rather_than_taken_for_one(
        self, monkeypatch: pytest.MonkeyPatch, role: str
    ) -> None:
        monkeypatch.setenv("PFO_ROLE", role)

        with pytest.raises(ConfigError, match=rf"PFO_ROLE is '{role}'\. Set it to user or admin\."):
            role_of_process()

    def test_data_lies_in_the_working_directory_by_default(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, GOOD))

        assert data_dir(config) == tmp_path / "data"
        assert data_dir(None) == tmp_path / "data"

    def test_a_configured_data_folder_starts_at_the_configuration(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = load_config(written(tmp_path, 'data_dir = "ledger"\n' + GOOD))
        monkeypatch.chdir("/")

        assert data_dir(config) == tmp_path / "ledger"

    def test_a_configured_data_folder_may_be_absolute(self, tmp_path: Path) -> None:
        config = load_config(written(tmp_path, 'data_dir = "/var/pfo"\n' + GOOD))

        assert data_dir(config) == Path("/var/pfo")

    def test_the_environment_has_the_last_word_on_the_data_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = load_config(written(tmp_path, 'data_dir = "ledger"\n' + GOOD))
        monkeypatch.setenv("PFO_DATA_DIR", "elsewhere")

        assert data_dir(config) == data_dir(None) == tmp_path / "elsewhere"


def test_two_users_cannot_be_the_same_person(tmp_path: Path) -> None:
    """Their accounts would take turns in being gone."""
    twice = mistakes(
        tmp_path,
        """
        office = "office"
        [tenants.smith]
        domain = "smith"
        [[tenants.smith.users]]
        id = "jane"
        powens_id = 7
        token = "env:JANE"
        [[tenants.smith.users]]
        id = "john"
        powens_id = 7
        token = "env:JOHN"
        """,
    )

    assert twice == ["tenants.smith.users: two of them have the same powens_id"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("powens_id = true", "tenants.smith.users[0].powens_id"),
        ('powens_id = "7"', "tenants.smith.users[0].powens_id"),
        ("powens_id = 7.0", "tenants.smith.users[0].powens_id"),
    ],
)
def test_a_number_is_written_as_a_number(tmp_path: Path, line: str, key: str) -> None:
    (found,) = mistakes(
        tmp_path,
        f'office = "office"\n[tenants.smith]\ndomain = "smith"\nusers = [{{id = "jane", token = "env:T", {line}}}]\n',
    )

    assert found.startswith(f"{key}: ")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    text = 'office = "office"\n[tenants.smith]\ndomain = "smith"\nusers = [{id = "jane", token = "env:T"}]\n'

    assert load_config(written(tmp_path, b"\xef\xbb\xbf" + text.encode())).office == "office"


def test_two_tenants_cannot_have_the_same_powens_user(tmp_path: Path) -> None:
    """Each of their accounts would count in both."""
    text = """
        office = "office"
        [tenants.smith]
        domain = "smith"
        users = [{{id = "jane", powens_id = 7, token = "env:JANE"}}]
        [tenants.jones]
        domain = "{domain}"
        users = [{{id = "jill", powens_id = 7, token = "env:JILL"}}]
        """

    (twice,) = mistakes(tmp_path, text.format(domain="smith"))

    assert "tenants.smith.users.jane and tenants.jones.users.jill are one Powens user, 7 of smith" in twice
    assert load_config(written(tmp_path, text.format(domain="jones"))).tenants[1].id == "jones"


def test_two_users_cannot_have_one_token(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        """
        office = "office"
        [tenants.smith]
        domain = "smith"
        users = [{id = "jane", token = "env:TOKEN"}]
        [tenants.jones]
        domain = "jones"
        users = [{id = "mary", token = "env:TOKEN"}]
        """,
    )

    assert found == ["tenants: two users have the same token reference, env:TOKEN; each user has a token of its own"]


@pytest.mark.parametrize("other", ["client_secret", "config_token", "webhook_secret"])
def test_one_secret_for_two_purposes_is_told_by_both_keys(tmp_path: Path, other: str) -> None:
    """`pfo connect` would have written the token over the other secret."""
    found = mistakes(
        tmp_path,
        f"""
        office = "office"
        [tenants.smith]
        domain = "smith"
        {other} = "file:secrets/./one"
        users = [{{id = "jane", token = "file:secrets/one"}}]
        """,
    )

    assert found == [
        f"tenants: tenants.smith.{other} and tenants.smith.users.jane.token are the same secret, file:secrets/one; each "
        "needs one of its own"
    ]


def test_one_client_secret_serves_two_tenants_and_a_token_proves_posts(tmp_path: Path) -> None:
    path = tmp_path / "pfo.toml"
    path.write_text(
        """
        office = "office"
        [tenants.smith]
        domain = "smith"
        client_secret = "env:CLIENT_SECRET"
        webhook_bearer = "env:TOKEN"
        users = [{id = "jane", token = "env:TOKEN"}]
        [tenants.jones]
        domain = "smith"
        client_secret = "env:CLIENT_SECRET"
        users = [{id = "mary", token = "env:OTHER"}]
        """,
        encoding="utf-8",
    )

    assert len(load_config(path).secret_references()) == 5


def test_a_return_address_is_checked_and_kept_to_the_letter(tmp_path: Path) -> None:
    text = """
        office = "office"
        [tenants.smith]
        domain = "smith"
        redirect_uri = "{}"
        users = [{{id = "jane", token = "env:TOKEN"}}]
        """

    assert "redirect_uri" in mistakes(tmp_path, text.format("office.example/return"))[0]
    config = load_config(written(tmp_path, text.format("https://office.example/return/")))
    assert config.tenant("smith").redirect_uri == "https://office.example/return/"


@pytest.mark.parametrize("uri", ["https://jane:s3cret@office/return", "https://office/return?a=b#s3cret"])
def test_a_return_address_may_have_a_query_but_no_password_or_fragment(tmp_path: Path, uri: str) -> None:
    good = with_tenant('redirect_uri = "https://office/return?to=a@b&c"')

    assert load_config(written(tmp_path, good)).tenant("smith").redirect_uri == "https://office/return?to=a@b&c"
    assert mistakes(tmp_path, with_tenant(f'redirect_uri = "{uri}"')) == [
        "tenants.smith.redirect_uri: must hold no user, password or fragment"
    ]


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('webhook_secret = "s3cret"', "tenants.jones.webhook_secret: is not a secret reference"),
        ('webhook_bearer = ["s3cret"]', "tenants.jones.webhook_bearer[0]: is not a secret reference"),
        ('config_token = "s3cret"', "tenants.jones.config_token: is not a secret reference"),
        ('webhook_secret = "env:A"\nwebhook_bearer = "env:B"', "tenants.jones.webhook_bearer: posts are signed"),
    ],
)
def test_how_posts_are_proved_is_said_once_and_by_reference(tmp_path: Path, line: str, mistake: str) -> None:
    text = GOOD.replace('domain = "jones"', f'domain = "jones"\n{line}')

    (output,) = mistakes(tmp_path, text)

    assert output.strip().startswith(mistake)
    assert "s3cret" not in output


def test_the_pages_for_members_are_those_of_powens_unless_told_otherwise(tmp_path: Path) -> None:
    def pages(line: str = "") -> str:
        return load_config(written(tmp_path, with_tenant(line))).tenant("smith").webview_url

    assert pages() == "https://webview.powens.com/en"
    assert pages('webview_url = "https://webview.powens.com/fr/"') == "https://webview.powens.com/fr"
    assert mistakes(tmp_path, with_tenant('webview_url = "http://webview.powens.com/fr"')) == [
        "tenants.smith.webview_url: http would send tokens in clear; use https (http is allowed on loopback only)"
    ]


_ALERTED = """
office = "office"
[alerts]
{alerts}
[tenants.smith]
domain = "smith"
alert_targets = "env:CHAT"
users = [{{id = "jane", token = "env:TOKEN"}}]
"""


def test_alerts_have_targets_by_reference_and_waits_by_severity(tmp_path: Path) -> None:
    text = _ALERTED.format(alerts='targets = ["file:mail"]\nrepeat_hours = {critical = [4, 24], notice = []}')

    config = load_config(written(tmp_path, text))

    assert config.alerts.repeat_hours.model_dump() == {"critical": (4, 24), "warning": (24, 24, 24, 168), "notice": ()}
    assert {("alerts.targets", "file:mail"), ("tenants.smith.alert_targets", "env:CHAT")} <= set(
        config.secret_references()
    )


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("", 26),
        ("[alerts]\nstale_hours = 30", 30),
        ("[freshness]\nread_hours = 40", 40),
        ("[alerts]\nstale_hours = 30\n[freshness]\nread_hours = 40", 40),
    ],
)
def test_hours_since_a_read_have_their_old_name_too(tmp_path: Path, text: str, hours: int) -> None:
    config = load_config(written(tmp_path, _ALERTED.replace("[alerts]\n{alerts}", text).format()))

    assert config.freshness.read_hours == hours


@pytest.mark.parametrize(
    ("alerts", "mistake"),
    [
        ('targets = ["mailto://jane:s3cret@mail.example"]', "alerts.targets[0]: is not a secret reference"),
        ("repeat_hours = {critical = [0]}", "alerts.repeat_hours.critical[0]: "),
        ("repeat_hours = {urgent = [1]}", "alerts.repeat_hours.urgent: is not a known key"),
        ("stale_hours = 0", "freshness.read_hours: "),
    ],
)
def test_a_mistake_in_the_alerts_is_named_and_no_address_repeated(tmp_path: Path, alerts: str, mistake: str) -> None:
    (found,) = mistakes(tmp_path, _ALERTED.format(alerts=alerts))

    assert found.startswith(mistake)
    assert "s3cret" not in found


_REPORTED = _ALERTED.replace("[alerts]\n{alerts}", "[report]\n{report}")


def test_the_page_is_configured_and_not_written_beside_an_encrypted_ledger(tmp_path: Path) -> None:
    assert "[report]" in _REPORTED
    plain = load_config(written(tmp_path, _REPORTED.format(report='locale = "de_CH"')))
    encrypted = 'encryption_key = "env:KEY"\n' + _REPORTED

    assert (plain.report.locale, plain.writes_pages) == ("de_CH", True)
    assert not load_config(written(tmp_path, encrypted.format(report=""))).writes_pages
    assert load_config(written(tmp_path, encrypted.format(report="after_refresh = true"))).writes_pages
    assert not load_config(written(tmp_path, _REPORTED.format(report="after_refresh = false"))).writes_pages


@pytest.mark.parametrize(
    ("report", "mistake"),
    [
        ('locale = "english"', "report.locale: 'english' is no locale; use one such as en_GB"),
        ('locale = "xx_YY"', "report.locale: 'xx_YY' is no locale"),
        ('reference_currency = "EUR"', "report: reference_currency and rates go together"),
        ('rates = "rates.csv"', "report: reference_currency and rates go together"),
        ('reference_currency = "euro"\nrates = "r.csv"', "report.reference_currency: 'euro' is no currency code"),
        ('after_refresh = "daily"', "report.after_refresh: "),
        ('folder = "pages"', "report.folder: is not a known key"),
    ],
)
def test_a_mistake_about_the_page_is_named(tmp_path: Path, report: str, mistake: str) -> None:
    (found,) = mistakes(tmp_path, _REPORTED.format(report=report))

    assert found.startswith(mistake)
