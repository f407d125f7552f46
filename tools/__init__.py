"""What developers run on the repository itself: the tested versions, the figure of imports, the site's pages."""
