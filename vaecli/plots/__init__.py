"""All pictures: matplotlib figures and grids of pixels."""
