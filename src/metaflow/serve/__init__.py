"""One server for everything: runs recorded over HTTP, and pages that show them."""
