"""Charts of the field: timeline, efficiency, family tree, detection, initialisation.

A page takes three things of `convatlas.report.charts.kinds`: `inline_chart(kind, name)` for the drawings as HTML,
`CHART_STYLE` for its style sheet, and `rows(kind)` for the table that says the same to those who cannot see them.
"""
