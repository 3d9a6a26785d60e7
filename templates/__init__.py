"""Words and shapes of letters and pages; a package so that jinja2 finds them wherever they run."""
