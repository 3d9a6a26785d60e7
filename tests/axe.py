"""axe-core in a page: what keeps somebody from using it. The fixture `axe` in conftest.py is its script."""

from playwright.async_api import Page


async def violations(page: Page) -> list[str]:
    """What axe finds; the page's context had axe as an init script (the policy lets no other in)."""
    found = await page.evaluate("axe.run()")
    assert len(found["passes"]) > 5
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
