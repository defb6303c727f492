"""sscnb: the package under the research book on Spatial Structure Constraints (SSC, IEEE TIP 2024)."""

__version__ = "0.1.0"
