"""A report: numbers and strings about one table → one HTML page that needs nothing else.

This package imports results only, never a model: whatever it shows was gathered by an engine into `ReportData`.
Inline SVG and CSS, no script, no font, no request.
"""
