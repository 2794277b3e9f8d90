"""The image of a code: a PNG for answers, an SVG for pages (pix-rail.md §2.3, pix-api.md §12.1)."""

from opentill.pix.qr.images import png, png_data_url, svg

__all__ = ["png", "png_data_url", "svg"]
