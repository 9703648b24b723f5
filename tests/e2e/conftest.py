"""What several end-to-end tests share."""
import pytest


@pytest.fixture(scope="session")
def strict(systems):
    """A system where nobody may sign up, and pages of one origin may call."""
    return systems("strict", {"RESTSIP_HTTP_SIGNUP": "closed", "RESTSIP_DEMO": "no",
                              "RESTSIP_HTTP_CORS_ORIGINS": "https://app.example.org, https://b.example.org:8443"})


def pytest_configure(config):
    config.addinivalue_line("markers", "last: looks back at the whole run")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "last" in item.keywords)
