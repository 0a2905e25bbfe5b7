# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets out of argument lists, environments, URLs and texts. Pure."""

from __future__ import annotations

import re
from typing import Any, Iterable, Mapping, Sequence

MASK = "********"

# Values this short are not searched for in texts: they would blot out half of every line.
_SHORTEST_SECRET = 4

# Words that make a name secret, wherever they stand between "_", "-" or "." or a change of case.
_SECRET_WORDS = frozenset(
    (
        "token",
        "tokens",
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "apikey",
    )
)
# Words that make a name secret only at its end: --ssl-keyfile is a path, AWS_ACCESS_KEY_ID is not the secret half.
_LAST_SECRET_WORDS = frozenset(("key", "keys", "auth"))
# Names whose secret-looking word does not stand for a secret: sizes, switches, times, file paths and URLs of the thing.
_HARMLESS_LAST_WORDS = frozenset(
    (
        "file",
        "path",
        "dir",
        "url",
        "uri",
        "minutes",
        "seconds",
        "timeout",
        "ms",
        "count",
        "length",
        "limit",
        "name",
        "type",
        "digest",
        "source",
    )
)
_HARMLESS_NAMES = frozenset(("external_auth_post_logout_redirect_key", "public_key"))

# The one-letter option that carries a secret, `gpustack start -t TOKEN`; argparse also takes -tTOKEN, -t=TOKEN and,
# with the switch -d before it, -dtTOKEN.
_TOKEN_LETTER = re.compile(r"(?P<option>-d*t)(?P<value>.*)", re.DOTALL)

# Credentials between the scheme and the host of a URL. A database URL's password may hold "@", ":" and "/", so all
# up to the word's last "@" goes: a path with a port before it and an "@" in it is masked as well, which does no harm.
_URL_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/:@]*)(?::(?P<password>[^\s\"]*))?@")
_SECRET_PARAMETER = re.compile(r"(?P<start>[?&;](?P<name>[^=&;#\s]+)=)(?P<value>[^&;#\s]*)")
_NAME_VALUE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)=(?P<value>.*)", re.DOTALL)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_API_KEY = re.compile(r"\bgpustack_[0-9a-f]{16}_[0-9a-f]{32}\b|\bhf_[A-Za-z0-9]{20,}\b")


def is_secret_name(name: str) -> bool:
    """Whether an option, a variable or a key of this name holds a secret."""
    words = _words(name)
    if not words or "_".join(words) in _HARMLESS_NAMES or words[-1] in _HARMLESS_LAST_WORDS:
        return False
    return any(_is_secret_word(word) for word in words) or words[-1] in _LAST_SECRET_WORDS


def _is_secret_word(word: str) -> bool:
    """PGPASSWORD, HFTOKEN and their like are written in one."""
    return word in _SECRET_WORDS or word.endswith(("password", "passwd", "secret", "token", "apikey"))


def mask_argv(argv: Sequence[str]) -> list[str]:
    """An argument list with the values of secret options masked, in each form that argparse takes."""
    masked: list[str] = []
    secret_follows = False
    for argument in argv:
        if secret_follows:
            masked.append(MASK)
            secret_follows = False
            continue
        masked.append(_mask_argument(argument))
        secret_follows = "=" not in argument and _is_secret_option(argument)
    return masked


def mask_env(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An environment with secret values masked, and credentials in the others."""
    return {name: mask_value(name, value) for name, value in environment.items()}


def mask_value(name: str, value: Any) -> Any:
    """The value that belongs to a name: masked when the name is secret, else with credentials in it masked."""
    if not isinstance(value, str):
        return MASK if value is not None and is_secret_name(name) else value
    if value and is_secret_name(name):
        return MASK
    return mask_patterns(value)


def mask_url(url: str) -> str:
    """A URL without its password and without secret query parameters; a user name alone is a token and goes as well."""
    return _SECRET_PARAMETER.sub(_mask_parameter, _URL_CREDENTIALS.sub(_mask_credentials, url))


def mask_text(text: str, secrets: Iterable[str | None] | None = None) -> str:
    """A text without these secrets, and without what looks like one: URL credentials, private keys, API keys."""
    for secret in sorted({secret for secret in secrets or () if secret}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return mask_patterns(text)


def mask_patterns(text: str) -> str:
    """A text without what looks like a secret whatever its name."""
    return _API_KEY.sub(MASK, _PRIVATE_KEY.sub(MASK, mask_url(text)))


def secret_values(argv: Sequence[str] = (), environment: Mapping[str, Any] | None = None) -> list[str]:
    """The secrets in an argument list and an environment, so that texts can be cleared of them."""
    found = [str(value) for name, value in (environment or {}).items() if value and is_secret_name(name)]
    for before, argument in zip(["", *list(argv)], argv):
        if "=" not in before and _is_secret_option(before):
            found.append(argument)
        elif _is_secret_option(argument) and "=" in argument:
            found.append(argument.split("=", 1)[1])
        elif _attached_value(argument):
            found.append(_attached_value(argument).lstrip("="))
    return [value for value in found if value and value != MASK]


def _mask_argument(argument: str) -> str:
    if argument.startswith("--") and "=" in argument:
        option, value = argument.split("=", 1)
        return f"{option}={MASK if _is_secret_option(option) else mask_patterns(value)}"
    attached = _attached_value(argument)
    if attached:
        return argument[: -len(attached)] + MASK
    if argument.startswith("-"):
        return argument
    return _mask_assignment(argument)


def _mask_assignment(entry: str) -> str:
    match = _NAME_VALUE.fullmatch(entry)
    if not match:
        return mask_patterns(entry)
    return "{}={}".format(match.group("name"), mask_value(match.group("name"), match.group("value")))


def _is_secret_option(argument: str) -> bool:
    option = argument.split("=", 1)[0]
    if option.startswith("--"):
        return is_secret_name(option[2:]) or _is_secret_prefix(option[2:])
    match = _TOKEN_LETTER.fullmatch(argument)
    return match is not None and not match.group("value")


def _is_secret_prefix(name: str) -> bool:
    """argparse takes unambiguous beginnings: --tok is --token, --bootstrap-p is --bootstrap-password."""
    whole = ("token", "bootstrap-password", "huggingface-token", "oidc-client-secret", "saml-sp-private-key")
    return len(name) > 1 and any(option.startswith(name) for option in whole)


def _attached_value(argument: str) -> str:
    match = _TOKEN_LETTER.fullmatch(argument)
    return match.group("value") if match else ""


def _words(name: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def _mask_credentials(match: re.Match[str]) -> str:
    if match.group("password") is None:
        return "{}{}@".format(match.group("scheme"), MASK)
    return "{}{}:{}@".format(match.group("scheme"), match.group("user"), MASK)


def _mask_parameter(match: re.Match[str]) -> str:
    return match.group("start") + (MASK if is_secret_name(match.group("name")) else match.group("value"))
