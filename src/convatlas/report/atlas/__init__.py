"""The atlas as a site of files: a page for each network, concept and question, and ways to find them."""
