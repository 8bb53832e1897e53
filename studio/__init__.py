"""PEFT Studio: fine-tune image classifiers by hand, and export weights that do elsewhere exactly what they did here."""

__version__ = "0.1.0"
