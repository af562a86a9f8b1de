"""One HTML file from records, which needs no network: curves, a table, run cards, throughput beside its ceiling."""

from fastssl.report.page.write import write_page

__all__ = ["write_page"]
