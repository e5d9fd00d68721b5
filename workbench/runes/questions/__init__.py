"""The questions that a batch answers, one file for each; `workbench.runes` offers them all."""
