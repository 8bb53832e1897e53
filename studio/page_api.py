"""The names that a plugin with a page may use; importing them imports Qt."""

from studio.core.messages import N_, N_n
from studio.ui.i18n.language import localized, tr, tr_n
from studio.ui.pages.base import Page
from studio.ui.pages.registry import PageSpec
from studio.ui.pages.registry import register as register_page
from studio.ui.services.background import listen
from studio.ui.services.workspace import Workspace

__all__ = ["N_", "N_n", "Page", "PageSpec", "Workspace", "listen", "localized", "register_page", "tr", "tr_n"]
