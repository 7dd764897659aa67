"""Things to run: the demo, a comparison of strategies, their data. `README.md` beside this lists them."""
