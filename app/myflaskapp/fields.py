"""Reads input field by field: each rule says what it wants, and all mistakes are told at once."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from .problems import FieldError, InvalidInputError

MAX_ID = 2**31 - 1
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_EMAIL_LENGTH = 254
_ID = re.compile(r"[1-9][0-9]{0,9}")


def parse_id(text: str) -> int | None:
    """Return the id that `text` writes, or None when no row can have it."""
    value = int(text) if _ID.fullmatch(text) else 0
    return value if 0 < value <= MAX_ID else None


def read_json_object() -> dict[str, Any]:
    """Return the request's JSON object.

    Raises:
        UnsupportedMediaType: It is not sent as JSON; a form of another site can't send JSON without asking first.
        RequestEntityTooLarge: It is longer than the app takes.
        BadRequest: It is not JSON, or not an object.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    try:
        body = request.get_json(cache=False)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge("The body is too large.") from None
    except (BadRequest, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body has to be a JSON object.")
    return body


class Fields:
    """The fields of a JSON body or of a query; call one method a field, then `finish`."""

    def __init__(self, values: Mapping[str, Any], kind: str) -> None:
        """Read from `values`; `kind` is "pointer" for a body and "parameter" for a query."""
        self._values = values
        self._kind = kind
        self._known: set[str] = set()
        self._errors: list[FieldError] = []

    def refuse(self, name: str, detail: str) -> None:
        """Note a mistake in the field `name`."""
        where = "#/" + name.replace("~", "~0").replace("/", "~1") if self._kind == "pointer" else name
        self._errors.append(FieldError({self._kind: where}, detail))

    def text(self, name: str, longest: int, *, required: bool = True, lines: bool = False) -> str:
        """Return a text of at most `longest` characters without blanks around it; "" when it is refused."""
        value = self._take(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str):
            self.refuse(name, "is required" if value is None else "must be a text")
            return ""
        if any(_is_forbidden(character, lines) for character in value):
            self.refuse(name, "must not hold control characters")
            return ""
        value = unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip()
        if required and not any(character.isprintable() and not character.isspace() for character in value):
            self.refuse(name, "must not be empty")
        elif len(value) > longest:
            self.refuse(name, f"must have at most {longest} characters, has {len(value)}")
        else:
            return value
        return ""

    def email(self, name: str) -> str:
        """Return an e-mail address, "" when it is refused."""
        count = len(self._errors)
        value = self.text(name, _EMAIL_LENGTH)
        if len(self._errors) == count and not _EMAIL.fullmatch(value):
            self.refuse(name, "must be an e-mail address, such as name@example.org")
        return value

    def whole_number(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number from `least` to `most`, None when it is null, refused or not there."""
        value = self._take(name)
        if value is None:
            return None
        # True is an int to Python, not to people.
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.refuse(name, f"must be a whole number from {least} to {most}, or null")
            return None
        return value

    def count(self, name: str, default: int, most: int) -> int:
        """Return a number written in digits, from 1 to `most`; `default` when it is refused or not there."""
        value = self._take(name)
        if value is None:
            return default
        number = parse_id(value)
        if number is None or number > most:
            self.refuse(name, f"must be a whole number from 1 to {most}")
            return default
        return number

    def finish(self) -> None:
        """Check that nothing was refused and that a body holds no other fields.

        Raises:
            InvalidInputError: It names every mistake.
        """
        if self._kind == "pointer":
            for name in sorted(str(key) for key in self._values.keys() - self._known):
                self.refuse(_printable(name), "is not a field")
        if self._errors:
            raise InvalidInputError(self._errors)

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._values.get(name)


def _is_forbidden(character: str, lines: bool) -> bool:
    """Tell whether `character` is a control character or a half of a pair, which no database stores."""
    if lines and character in "\n\r\t":
        return False
    return unicodedata.category(character) in ("Cc", "Cs")


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:40])
