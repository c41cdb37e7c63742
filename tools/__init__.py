"""Tools that build and check the site; not part of the package."""
