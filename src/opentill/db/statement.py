"""Translates `:name` parameters to PostgreSQL's `$1`. SQLite takes `:name` as it is."""

import re
from functools import lru_cache

STATEMENTS_MAX = 4096  # statements are constants of the code, so there are far fewer

# What may hold a colon that is no parameter comes first; only the last alternative has a name.
_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*'        # text
    | "(?:[^"]|"")*"        # quoted name
    | --[^\n]*              # comment to the end of the line
    | /\*.*?\*/             # comment
    | ::                    # cast
    | :(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=STATEMENTS_MAX)
def numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the statement with `$1`, `$2`, … and the names that stand behind the numbers, in order."""
    names: dict[str, int] = {}

    def number(token: re.Match[str]) -> str:
        name = token["name"]
        return token[0] if name is None else f"${names.setdefault(name, len(names) + 1)}"

    return _TOKEN.sub(number, sql).encode(), tuple(names)
