"""The Backbone and adapters page: palette, layer tree and inspector."""
