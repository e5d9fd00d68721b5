"""Every setting of the workbench, read once, frozen, and refused with a sentence when wrong.

Strongest first: what the caller passes, `WORKBENCH_*` variables, `workbench.toml` in the
working folder, `workbench.toml` in the data folder, the defaults below.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from workbench.core.batch_address import BASES, check_base
from workbench.core.job import TASK_MARK
from workbench.errors import InputError, SettingsError, shown, without_secrets

PREFIX = "WORKBENCH_"
FILE_NAME = "workbench.toml"
NOT_SETTINGS = frozenset({TASK_MARK, "WORKBENCH_SHARED", "WORKBENCH_CHROMIUM"})
"""Variables that share the prefix: the mark of a task's process, and those of the test suite."""

NO_FOLDER = (
    "the data folder is {value}, which is an address; allowed: a folder of this machine. To a hub "
    "elsewhere go workbench.MeshClient and workbench.HubClient"
)

Port = Annotated[int, Field(ge=0, le=65535)]
Names = Annotated[tuple[str, ...], NoDecode]


def default_data(source: Path = Path(__file__).parent.parent) -> Path:
    """A clone's own `data/`, so that `make`, the command and a notebook meet at one hub.

    An installed package has the user's data folder, as the operating system places it.
    """
    if (source / "pyproject.toml").is_file() and (source / "data" / "samples").is_dir():
        return source / "data"
    return platformdirs.user_data_path("runes-workbench", appauthor=False)


class Settings(BaseSettings):
    """What a hub, a page and a kernel agree on. Secrets never show in a repr."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    data: Path = Field(default_factory=default_data)
    """The folder with everything that is kept."""
    ws_port: Port = 3001
    """Port of `/ws`; 0 takes a free one."""
    mesh_port: Port = 8081
    """Port of `/mesh`; 0 takes a free one."""
    host: str = ""
    """Address to listen on; empty is loopback only, both 127.0.0.1 and ::1."""
    hosts: Names = ()
    """Host names, besides loopback and `host`, under which browsers may address the hub."""
    origins: Names = ()
    """Origins of web pages that may connect, such as `https://mesh.example.org`; full match."""
    token: SecretStr | None = None
    """The token with scope admin; one is made where none is given."""
    submit_token: SecretStr | None = None
    """A token that may look, query and submit."""
    view_token: SecretStr | None = None
    """A token that may only look."""
    dask_address: str | None = None
    """An existing Dask scheduler; without one the hub runs its own."""
    slots: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Tasks at a time; without a number, the machine's cores less one."""
    input_limit_mb: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Largest input of a task, in MB of 1,000,000 bytes."""
    rune_limit: Annotated[int, Field(ge=1)] = 5000
    """Most runes in one batch."""
    own_functions: Literal["admin", "submit", "off"] = "admin"
    """The scope of a token that may send functions of its own to be run here; `off` refuses all."""
    private_addresses: bool = False
    """Whether `inputDataURL` and the URL of a model may name this machine or a private network."""
    batch_base_url: str | None = None
    """What a batch's id is put after, such as `https://host/batches/`: see `process_batch`."""
    query_limit_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Longest run of a user's query."""
    query_memory_mb: Annotated[int, Field(ge=256)] = 2048
    """Most memory of a user's query."""
    models: Path | None = None
    """The folder with language models (GGUF files); without one, `models` in the data folder."""
    download_limit_mb_s: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Most that downloads of models take of the network together, in MB per second."""
    llama_server: Path | None = None
    """A `llama-server` program of your own, such as one built for your GPU."""
    llm_servers: Names = ()
    """Servers of language models, as `http://host:port` or `name=http://host:port`."""
    llm_keys: SecretStr | None = None
    """Keys of those servers, as `name=key`, separated by commas."""
    llm_discover: bool = True
    """Whether servers that run on this machine are found by themselves."""
    llm_answer_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    """Tokens that an answer in a conversation may have where nobody says otherwise."""
    llm_rate: Annotated[str, Field(pattern=r"^[1-9]\d{0,6}/(second|minute|hour)$")] = "1000/minute"
    """Messages about conversations and models that a token may send, of each type."""
    metrics_interval_s: Annotated[float, Field(ge=0.5, le=30)] = 2.0
    """How often this machine and its GPUs are read, in seconds; a follower may want it faster."""
    metrics_history: bool = True
    """Whether metrics are kept. Without, nothing is read while nobody looks, and nothing alerts."""
    metrics_raw_h: Annotated[float, Field(gt=0, le=8760)] = 24.0
    """How long each reading is kept, in hours."""
    metrics_minutes_d: Annotated[float, Field(gt=0, le=36_500)] = 30.0
    """How long their minutes are kept, in days."""
    metrics_hours_d: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """How long their hours are kept, in days; without a number, for ever."""
    keep_logs_d: Annotated[float, Field(ge=1, le=36_500)] | None = None
    """How long the log of an ended task is kept, in days; without a number, for ever."""
    keep_results_d: Annotated[float, Field(ge=1, le=36_500)] | None = None
    """How long the result of an ended task is kept, in days; batches and the task itself stay."""
    keep_events_d: Annotated[float, Field(ge=1, le=36_500)] | None = None
    """How long the steps of ended tasks, past alerts and loans of GPUs are kept, in days."""
    alert_utilization_pct: Annotated[float, Field(gt=0, le=100)] = 90.0
    """A GPU that is busier raises an alert."""
    alert_memory_pct: Annotated[float, Field(gt=0, le=100)] = 90.0
    """A GPU whose memory is fuller raises an alert."""
    alert_temperature_c: Annotated[float, Field(gt=0, le=150)] = 80.0
    """A GPU that is hotter, in °C, raises an alert."""
    alert_for_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long it has to last, and how long it has to be over."""
    power_price: Annotated[float, Field(ge=0, le=1000)] | None = None
    """What a kWh costs: then tasks and answers show what their GPU's energy cost."""
    power_currency: Annotated[str, Field(max_length=8)] = ""
    """The currency of that price, such as `EUR` or `R$`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What the hub writes to its log."""
    log_format: Literal["text", "json"] = "text"
    """How: lines for people, or one JSON object a line for programs."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Addresses without the user, the password and the token that may stand in them."""
        for name, value in super().__repr_args__():
            yield name, _shown(value)

    @field_validator("origins", "hosts", "llm_servers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A comma-separated text as a tuple; a trailing slash is no part of an Origin."""
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            return parts
        return tuple(str(part).strip().rstrip("/") for part in parts if str(part).strip())

    def secrets(self) -> tuple[str, ...]:
        """Every secret among them, so that it can be kept out of what is written."""
        held = [getattr(self, name) for name in type(self).model_fields]
        values = [each.get_secret_value() for each in held if isinstance(each, SecretStr)]
        parts = [part.partition("=")[2].strip() for each in values for part in each.split(",")]
        return tuple(filter(None, (*values, *parts)))

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`keep_results_d = true` would be one day, and all older results be gone."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError("a value, not true or false")
        return value

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("data", "models", "llama_server", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("batch_base_url", mode="after")
    @classmethod
    def _base(cls, value: str | None) -> str | None:
        try:
            return None if value is None else check_base(value)
        except InputError:
            raise ValueError(BASES) from None

    @field_validator("token", "submit_token", "view_token", mode="after")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 8:
            raise ValueError("text of 8 characters or more")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The files are read by `load_settings`, which knows the data folder."""
        return (init_settings,)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    return tuple(map(_shown, value)) if isinstance(value, tuple) else value


def load_settings(**overrides: Any) -> Settings:
    """All settings; overrides that are None count as not given. Raises SettingsError."""
    given = {name: value for name, value in overrides.items() if value is not None}
    _refuse_unknown(given, "setting")
    strong = {**_read_file(Path.cwd() / FILE_NAME), **_read_environment(), **given}
    if "://" in str(strong.get("data") or ""):  # a Path would make a folder of it
        raise SettingsError(NO_FOLDER, value=shown(str(strong["data"])))
    data = Path(strong.get("data") or default_data()).expanduser().absolute()
    weak = {} if data == Path.cwd() else _read_file(data / FILE_NAME)
    try:
        return Settings(**{**weak, **strong})
    except ValidationError as error:
        raise _sentence(error) from None


def _read_environment() -> dict[str, Any]:
    """`WORKBENCH_*` as settings. Empty is as good as unset."""
    names = [name for name in os.environ if name.upper().startswith(PREFIX)]
    found = {name for name in names if name.upper() not in NOT_SETTINGS}
    for name in sorted(found):
        if name != name.upper() or name.removeprefix(PREFIX).lower() not in Settings.model_fields:
            raise _unknown("variable", name, _variables())
    return {
        name.removeprefix(PREFIX).lower(): os.environ[name] for name in found if os.environ[name]
    }


def _read_file(path: Path) -> dict[str, Any]:
    """One `workbench.toml` as settings; nothing where there is none."""
    try:
        with path.open("rb") as stream:
            read = tomllib.load(stream)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            "{path} cannot be read: {reason}; mend the file or remove it",
            path=str(path),
            reason=str(error),
        ) from None
    _refuse_unknown(read, f"setting in {path}")
    return read


def _refuse_unknown(given: Iterable[str], what: str) -> None:
    for name in given:
        if name not in Settings.model_fields:
            raise _unknown(what, name, list(Settings.model_fields))


def _unknown(what: str, name: str, known: list[str]) -> SettingsError:
    """The refusal of a misspelt name: pydantic-settings alone ignores it without a word."""
    by_short = {each.upper().removeprefix(PREFIX): each for each in known}
    short = name.upper().removeprefix(PREFIX)
    nearest = difflib.get_close_matches(short, by_short, n=1, cutoff=0.5)
    if not nearest:
        return SettingsError(
            "there is no {what} {name}; there are: {known}",
            what=what,
            name=name,
            known=", ".join(known),
        )
    return SettingsError(
        "there is no {what} {name}; did you mean {nearest}?",
        what=what,
        name=name,
        nearest=by_short[nearest[0]],
    )


def _variables() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _sentence(error: ValidationError) -> SettingsError:
    """The first fault with variable, value and rule; a token's value is never named."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    allowed = reason.removeprefix("Input should be ")
    secret = any(word in name for word in ("token", "keys", "url"))
    return SettingsError(
        "{variable} is {value}; allowed: {allowed}",
        variable=PREFIX + name.upper(),
        value="(not shown)" if secret else shown(first["input"]),
        allowed=allowed,
    )
