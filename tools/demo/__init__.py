"""Make what the page needs in which the model runs, and decide whether there can be one."""
