"""An experiment's comparison for people: one HTML page with plots, or tables in Markdown.

Both say the same numbers, from one set of rows (`rows.py`); the templates only lay them out. The page has no script and
loads nothing. Names and descriptions are the client's: HTML is escaped by Jinja2, Markdown by `markdown.escape`.
"""

from api.report.page import render

__all__ = ["render"]
