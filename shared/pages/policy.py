"""What a page may load: its own pictures, and the very style and script that stand in it."""

import base64
import hashlib


def content_security_policy(style: str, script: str) -> str:
    """The policy of a page with one inline style and at most one inline script, exactly as they stand in it.

    ``file:`` is for a folder opened without a server, where Firefox takes each file for an origin of its own; ``data:``
    for the icon, which browsers else ask the server's root for.
    """
    rules = {
        "default-src": "'none'",
        "img-src": "'self' data: file:",
        "style-src": _hash(style),
        "script-src": _hash(script) if script else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{directive} {sources}" for directive, sources in rules.items())


def _hash(block: str) -> str:
    """https://www.w3.org/TR/CSP3/#grammardef-hash-source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}'"
