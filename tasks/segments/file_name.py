"""Names of files and folders that come from data: no part of them leaves the folder, and no two become one."""

import hashlib
import re

LONGEST = 100  # bytes; file systems take 255, and an ending has to fit too


def file_name(text: str) -> str:
    """A file name for a text: the text itself where it is one, else what is left of it and a digest of all of it.

    Args:
        text: a label, an image id, or a data set's name; anything.

    Returns:
        At most 100 bytes of letters, digits, `_`, `-`, `.` and inner blanks; it does not start with a dot.
    """
    kept = re.sub(r"[^\w. -]+", "_", text).lstrip(". ").rstrip(". ")
    if kept == text and 0 < len(text.encode()) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    shortened = kept.encode()[: LONGEST - len(digest) - 1].decode(errors="ignore")
    return f"{shortened}-{digest}" if shortened else digest
